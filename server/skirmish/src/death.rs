//! What happens to those who are destroyed, and to what they carried.

use std::collections::BTreeMap;

use bevy_ecs::entity::{EntityMapper, MapEntities};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Callsign, Cargo, Credits, Drone, Score, Ship};
use skirmish_shared::messages::{Destroyed, Exploded, Killer};
use throng_server::prelude::{Avatar, Player, Tell, TickTime};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::tick::Tick;

use super::bodies::Bodies;
use super::borders::{Beyond, Victory};
use super::content::{Rules, ticks};
use super::damage::{Culprit, DestroyedBy};
use super::drones::{Egg, Mind, Nursery};
use super::mining;
use super::pilots::{Hangar, Pilot};
use super::reports::report_explosion;
use super::told;

/// Ore that is left behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wreck {
    /// Where, in units.
    pub at: Vec2,
    /// How much.
    pub ore: u32,
}

/// What was left behind in this tick.
#[derive(Resource, Debug, Default)]
pub struct Wrecks(pub Vec<Wreck>);

/// Seconds for which a destroyed ship's deeds still count, beyond those that any missile of it flies: news of them
/// may come from beyond borders.
const NEWS_S: f32 = 2.0;

/// Ships that were lately destroyed here, when, and who flew them: what they launched or hit before goes to their
/// pilots' credit.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[component(map_entities)]
pub struct Fallen(BTreeMap<GlobalId, (Tick, Entity)>);

impl MapEntities for Fallen {
    fn map_entities<M: EntityMapper>(&mut self, mapper: &mut M) {
        for (_, player) in self.0.values_mut() {
            player.map_entities(mapper);
        }
    }
}

impl Fallen {
    /// The player who flew a ship.
    #[must_use]
    pub fn pilot(&self, ship: GlobalId) -> Option<Entity> {
        self.0.get(&ship).map(|(_, player)| *player)
    }
}

/// Takes destroyed drones out of the world and orders their replacement.
pub(super) fn bury_drones(
    mut commands: Commands,
    bodies: Res<Bodies>,
    drones: Query<(&Drone, &Mind, &DestroyedBy)>,
    mut players: Query<(&mut Score, &mut Credits), With<Hangar>>,
    mut beyond: Beyond,
    mut nursery: ResMut<Nursery>,
    mut tell: Tell,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((drone, mind, by)) = drones.get(body.entity) else {
            continue;
        };
        nursery.0.push(Egg {
            hatches: time.tick + ticks(rules.breed(drone.breed).replaced_after_s.get(), &time),
            breed: drone.breed,
            flock: mind.flock,
            region: mind.region,
            team: body.team,
        });
        commands.entity(body.entity).despawn();
        report_explosion(&mut tell, &bodies, row, Exploded::Drone(drone.breed), by.id);
        credit_beyond(&mut beyond, by, &Victory::Drone);
        if let Culprit::Pilot(killer) = by.culprit
            && let Ok((mut score, mut credits)) = players.get_mut(killer)
        {
            reward(&Victory::Drone, &mut score, &mut credits, &rules);
        }
    }
}

type Seated = (
    &'static Player,
    &'static Callsign,
    &'static mut Hangar,
    &'static mut Score,
    &'static mut Credits,
);
type Sunk = (
    &'static Pilot,
    &'static Ship,
    &'static Position,
    &'static Cargo,
    &'static DestroyedBy,
);

/// Takes destroyed ships out of the world; their pilots get new ones, their ore stays. Then shows pilots'
/// scores on the ships that are left.
pub(super) fn bury_ships(
    mut commands: Commands,
    bodies: Res<Bodies>,
    ships: Query<Sunk>,
    mut players: Query<Seated>,
    mut shown: Query<(&Pilot, &mut Score, &mut Credits), Without<Hangar>>,
    mut wrecks: ResMut<Wrecks>,
    mut fallen: ResMut<Fallen>,
    mut tell: Tell,
    mut beyond: Beyond,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let missiles = rules.content.missiles.iter().map(|kind| kind.life_s.get());
    let kept = ticks(missiles.fold(0.0, f32::max) + NEWS_S, &time) as i32;
    fallen.0.retain(|_, (since, _)| time.tick.since(*since) < kept);
    let respawn_ticks = ticks(rules.content.space.respawn_s.get(), &time);
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((pilot, ship, position, cargo, by)) = ships.get(body.entity) else {
            continue;
        };
        wrecks.0.push(Wreck {
            at: position.0,
            ore: cargo.0,
        });
        fallen.0.insert(body.id, (time.tick, pilot.0));
        commands.entity(body.entity).despawn();
        report_explosion(&mut tell, &bodies, row, Exploded::Ship(ship.class), by.id);
        let name_of = |player| players.get(player).ok().map(|(_, name, ..)| name.0.clone());
        let news = Destroyed {
            ship: body.id,
            victim: name_of(pilot.0).unwrap_or_default(),
            by: by.id,
            killer: match by.culprit {
                Culprit::Nobody => Killer::Nobody,
                Culprit::Drone(breed) => Killer::Drone(breed),
                Culprit::Pilot(killer) => name_of(killer).map_or(Killer::Gone, Killer::Pilot),
                Culprit::Gone => Killer::Gone,
            },
            respawn_ticks,
        };
        if let Ok((player, _, mut hangar, mut score, _)) = players.get_mut(pilot.0) {
            score.deaths += 1;
            hangar.next_ship = Some(time.tick + respawn_ticks);
            // Who lost a dearer ship begins again with what everybody has.
            hangar.class = 0;
            commands.entity(pilot.0).remove::<Avatar>();
            told(tell.player(player, &news));
        }
        let victory = Victory::Ship(news);
        credit_beyond(&mut beyond, by, &victory);
        if let Culprit::Pilot(killer) = by.culprit
            && killer != pilot.0
            && let Ok((player, _, _, mut score, mut credits)) = players.get_mut(killer)
        {
            reward(&victory, &mut score, &mut credits, &rules);
            victory.tell(&mut tell, player);
        }
    }
    for (pilot, mut score, mut credits) in &mut shown {
        if let Ok((_, _, _, kept, owned)) = players.get(pilot.0) {
            score.set_if_neq(*kept);
            credits.set_if_neq(*owned);
        }
    }
}

/// Enters a victory into its pilot's score, and pays for it.
pub(super) fn reward(victory: &Victory, score: &mut Score, credits: &mut Credits, rules: &Rules) {
    let space = &rules.content.space;
    let bounty = match victory {
        Victory::Drone => {
            score.drones += 1;
            space.drone_bounty
        }
        Victory::Ship(_) => {
            score.kills += 1;
            space.ship_bounty
        }
    };
    credits.0 = credits.0.saturating_add(bounty);
}

/// Turns ore that was left behind into rocks.
pub(super) fn leave_wrecks(mut commands: Commands, mut wrecks: ResMut<Wrecks>) {
    for wreck in wrecks.0.drain(..).filter(|wreck| wreck.ore > 0) {
        commands.spawn(mining::rock(wreck.at, 0.6, wreck.ore));
    }
}

/// Credits somebody of another simulation. Of a drone that is gone there is nobody to be credited.
fn credit_beyond(beyond: &mut Beyond, by: &DestroyedBy, victory: &Victory) {
    if let (Some(killer), Culprit::Gone) = (by.id, by.culprit) {
        beyond.tell(killer, victory);
    }
}
