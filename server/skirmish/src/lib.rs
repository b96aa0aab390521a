//! Skirmish: a space combat game that uses only Throng's public API.
//!
//! Owns the rules of flying, shooting, mining, trading, dying and respawning. Guarantees that the next state follows
//! from the state, the inputs and the seed: every rule iterates over the bodies in the order of their global ids, or
//! writes only to the entity at hand. It is an ordinary plugin: nothing of the engine imports it.
//!
//! The systems of a tick, in order:
//!
//! | phase | systems |
//! |---|---|
//! | presence | adopt reloaded content, gather the bodies, add and greet pilots, give new ships, replace drones |
//! | intent | read the pilots' inputs, run the drones' AI, execute orders at stations, deliver the chat |
//! | motion | accelerate, collide, write back |
//! | actions | fire lasers, launch and detonate missiles, mine, repair |
//! | consequences | credit kills, take the damage of the last tick, despawn the destroyed, recover shields, rank pilots |

pub mod bodies;
pub mod borders;
pub mod chat;
pub mod collision;
pub mod components;
pub mod content;
pub mod crafts;
pub mod damage;
pub mod death;
pub mod drones;
pub mod effects;
pub mod flight;
pub mod grid;
pub mod lasers;
pub mod mining;
pub mod missiles;
pub mod pilots;
pub mod populate;
pub mod positions;
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

use content::{ContentWatch, ReloadedRules, Rules, Sources};

/// Adds the game to a server.
pub struct SkirmishPlugin {
    /// Number of drones at the start; destroyed drones are replaced.
    pub drones: u32,
    /// Number of asteroids at the start; an asteroid that is mined out is replaced.
    pub asteroids: u32,
    /// Origin of the content. Until its files are valid, the built-in content is used.
    pub content: ContentSource,
}

impl SkirmishPlugin {
    /// Returns the game with the built-in content.
    #[must_use]
    pub fn new(drones: u32, asteroids: u32) -> Self {
        Self {
            drones,
            asteroids,
            content: ContentSource::BuiltIn,
        }
    }

    /// Loads the rules for the start. Rules that are reloaded later are left in `delivery`.
    fn load(&self, delivery: &ReloadedRules) -> Rules {
        let rules = match &self.content {
            ContentSource::BuiltIn => return Rules::built_in(),
            ContentSource::Texts(files) => Sources::from_files(files).and_then(|sources| sources.rules()),
            ContentSource::Folder(folder) => {
                let (rules, watch) = ContentWatch::open(folder.clone());
                if let Err(error) = watch.start(delivery) {
                    tracing::warn!(%error, "cannot start a thread; content is not watched");
                }
                rules
            }
        };
        rules.unwrap_or_else(|error| {
            tracing::error!("{error}; using the built-in content");
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
            .init_resource::<mining::Wrecks>()
            .init_resource::<drones::DroneRespawnQueue>()
            .init_resource::<mining::OreLedger>()
            .init_resource::<roster::Roster>()
            .init_resource::<Standings>()
            .add_systems(Startup, populate::fill_space);
        order_systems(app);
    }
}

/// Orders all systems of a tick in one chain.
fn order_systems(app: &mut App) {
    let presence = (
        content::adopt_content,
        bodies::gather_bodies,
        roster::apply_roster_updates,
        pilots::release_pilots,
        pilots::equip_pilots,
        pilots::greet_returned_pilots,
        pilots::give_ships,
        drones::replace_drones,
        mining::replace_asteroids,
    );
    let intent = (
        pilots::read_inputs,
        drones::think,
        stations::take_orders,
        chat::pass_on_chat,
        chat::deliver_direct_messages,
    );
    let motion = (
        flight::steer_crafts,
        missiles::steer_missiles,
        flight::slow_asteroids,
        flight::collide,
        bodies::scatter_bodies,
    );
    let actions = (
        lasers::fire_lasers,
        missiles::launch_missiles,
        missiles::detonate_missiles,
        damage::apply_collision_damage,
        mining::mine_asteroids,
        mining::ship_ore,
        mining::stow_ore,
        stations::repair_ships,
    );
    let consequences = (
        death::award_kills,
        damage::take_damage,
        death::despawn_destroyed_drones,
        death::despawn_destroyed_ships,
        death::show_scores,
        mining::leave_wrecks,
        damage::recover_shields,
        standings::rank_pilots,
        standings::tell_own_standings,
        roster::broadcast_roster,
    );
    app.add_systems(
        FixedUpdate,
        (
            presence.chain(),
            intent.chain(),
            motion.chain(),
            actions.chain(),
            consequences.chain(),
        )
            .chain()
            .in_set(ServerSystems::Simulate),
    );
}
