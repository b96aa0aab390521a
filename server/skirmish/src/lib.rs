//! Skirmish: space combat on Throng's public API, and nothing but that.
//!
//! Owns the rules: who flies, shoots, mines, trades, dies and comes back. Guarantees that the world's next
//! state follows from its state, the inputs and the seed: every rule goes through the bodies in the order of
//! their global ids, or writes only to the entity at hand. Refuses to be known: it is an ordinary plugin, and
//! nothing of the engine imports it.
//!
//! A tick, in order:
//!
//! | phase | systems |
//! |---|---|
//! | who is here | exchange content, gather the bodies, seat pilots, give new ships, replace drones |
//! | what they want | read the pilots' inputs, let the drones think, take orders at stations, pass on the chat |
//! | where they go | accelerate, collide, write back |
//! | what they do | fire lasers, launch and detonate missiles, mine, repair |
//! | what comes of it | take damage, die, recover, rank pilots |

pub mod bodies;
pub mod borders;
pub mod chat;
pub mod collision;
pub mod content;
pub mod damage;
pub mod death;
pub mod drones;
pub mod flight;
pub mod grid;
pub mod lasers;
pub mod mining;
pub mod missiles;
pub mod pilots;
pub mod populate;
pub mod reports;
pub mod rewind;
pub mod roster;
pub mod standings;
pub mod stations;
#[cfg(test)]
mod tests;

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use skirmish_shared::SkirmishProtocol;
use skirmish_shared::standings::Standings;
use throng_server::prelude::{ContentSource, ServerSystems};
use throng_shared::protocol::registry::RegistryError;

use content::{ContentWatch, ReloadedRules, Rules, Sources};

/// Runs the game.
pub struct SkirmishPlugin {
    /// Drones at the start, and at all times as far as they can be replaced.
    pub drones: u32,
    /// Asteroids at the start; one that is mined out is replaced.
    pub asteroids: u32,
    /// Where content comes from. Until its files are good, it is what the binary carries.
    pub content: ContentSource,
}

impl SkirmishPlugin {
    /// The game with the content that is built in.
    #[must_use]
    pub fn new(drones: u32, asteroids: u32) -> Self {
        Self {
            drones,
            asteroids,
            content: ContentSource::BuiltIn,
        }
    }

    /// The rules at the start; what leaves them in `delivery` later.
    fn load(&self, delivery: &ReloadedRules) -> Rules {
        let rules = match &self.content {
            ContentSource::BuiltIn => return Rules::built_in(),
            ContentSource::Texts(files) => Sources::from_files(files).and_then(|sources| sources.rules()),
            ContentSource::Folder(folder) => {
                let (rules, watch) = ContentWatch::open(folder.clone());
                if let Err(error) = watch.start(delivery) {
                    tracing::warn!(%error, "no thread; content is not watched");
                }
                rules
            }
        };
        rules.unwrap_or_else(|error| {
            tracing::error!("{error}; the content that is built in holds");
            Rules::built_in()
        })
    }
}

impl Plugin for SkirmishPlugin {
    fn build(&self, app: &mut App) {
        let delivery = ReloadedRules::default();
        let rules = self.load(&delivery);
        app.add_plugins(SkirmishProtocol);
        borders::cross_borders(app, &rules);
        app.insert_resource(rules.files.clone())
            .insert_resource(rules)
            .insert_resource(delivery)
            .insert_resource(populate::Population {
                drones: self.drones,
                asteroids: self.asteroids,
            })
            .init_resource::<bodies::Bodies>()
            .init_resource::<flight::Contacts>()
            .init_resource::<damage::DamageEvents>()
            .init_resource::<death::DestroyedShips>()
            .init_resource::<death::Wrecks>()
            .init_resource::<drones::DroneRespawnQueue>()
            .init_resource::<mining::OreLedger>()
            .init_resource::<reports::Hits>()
            .init_resource::<roster::Roster>()
            .init_resource::<Standings>()
            .add_systems(Startup, populate::fill_space);
        order_systems(app);
    }
}

/// A tick of the game, one thing after another.
fn order_systems(app: &mut App) {
    let who_is_here = (
        content::adopt_content,
        bodies::gather_bodies,
        roster::apply_roster_updates,
        pilots::release_pilots,
        pilots::equip_pilots,
        pilots::give_ships,
        drones::replace_drones,
        mining::replace_asteroids,
    );
    let what_they_want = (
        pilots::read_inputs,
        drones::think,
        stations::take_orders,
        chat::pass_on_chat,
        chat::deliver_direct_messages,
    );
    let where_they_go = (
        flight::steer_crafts,
        missiles::steer_missiles,
        flight::slow_asteroids,
        flight::collide,
        bodies::scatter_bodies,
    );
    let what_they_do = (
        lasers::fire_lasers,
        missiles::launch_missiles,
        missiles::detonate_missiles,
        damage::apply_collision_damage,
        mining::mine_asteroids,
        mining::ship_ore,
        mining::stow_ore,
        stations::repair_ships,
    );
    let what_comes_of_it = (
        borders::apply_remote_damage,
        borders::award_kills,
        damage::take_damage,
        reports::report_hits,
        death::despawn_destroyed_drones,
        death::despawn_destroyed_ships,
        death::leave_wrecks,
        damage::recover_shields,
        standings::rank_pilots,
        standings::tell_own_standings,
        roster::broadcast_roster,
    );
    app.add_systems(
        FixedUpdate,
        (
            who_is_here.chain(),
            what_they_want.chain(),
            where_they_go.chain(),
            what_they_do.chain(),
            what_comes_of_it.chain(),
        )
            .chain()
            .in_set(ServerSystems::Simulate),
    );
}

/// Logs that a message did not go out: a pilot plays on without it.
fn log_unsent(result: Result<(), RegistryError>) {
    if let Err(error) = result {
        tracing::error!(%error, "a message was not sent");
    }
}
