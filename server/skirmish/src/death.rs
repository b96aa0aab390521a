//! The end of crafts: replacements, scores, reports, and the ore that they carried.

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
use super::borders::{KillCredit, RemoteEffects};
use super::content::{Rules, ticks};
use super::damage::{DamageSource, DestroyedBy};
use super::drones::{DroneAi, DroneRespawnQueue, RespawnRequest};
use super::log_unsent;
use super::mining;
use super::pilots::{Hangar, Pilot};
use super::reports::report_explosion;

/// Ore left behind by a craft.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wreck {
    /// Position, in units.
    pub at: Vec2,
    /// Ore, in units of cargo.
    pub ore: u32,
}

/// The wrecks of this tick, which become rocks at its end.
#[derive(Resource, Debug, Default)]
pub struct Wrecks(pub Vec<Wreck>);

/// Seconds for which kills of a destroyed ship still count, beyond the flight time of its missiles: reports of kills
/// may arrive from other simulations.
const CREDIT_S: f32 = 2.0;

/// Ships that were recently destroyed here, with the tick and the pilot's player. Kills by their missiles, or by
/// shots fired before, are credited to these pilots.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[component(map_entities)]
pub struct DestroyedShips(BTreeMap<GlobalId, (Tick, Entity)>);

impl MapEntities for DestroyedShips {
    fn map_entities<M: EntityMapper>(&mut self, mapper: &mut M) {
        for (_, player) in self.0.values_mut() {
            player.map_entities(mapper);
        }
    }
}

impl DestroyedShips {
    /// Returns the player who flew a destroyed ship.
    #[must_use]
    pub fn pilot(&self, ship: GlobalId) -> Option<Entity> {
        self.0.get(&ship).map(|(_, player)| *player)
    }
}

/// Despawns destroyed drones and queues their replacements.
pub(super) fn despawn_destroyed_drones(
    mut commands: Commands,
    bodies: Res<Bodies>,
    drones: Query<(&Drone, &DroneAi, &DestroyedBy)>,
    mut players: Query<(&mut Score, &mut Credits), With<Hangar>>,
    mut remote: RemoteEffects,
    mut respawn_queue: ResMut<DroneRespawnQueue>,
    mut tell: Tell,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((drone, ai, by)) = drones.get(body.entity) else {
            continue;
        };
        respawn_queue.0.push(RespawnRequest {
            due: time.tick + ticks(rules.breed(drone.breed).replaced_after_s.get(), &time),
            breed: drone.breed,
            flock: ai.flock,
            region: ai.region,
            team: body.team,
        });
        commands.entity(body.entity).despawn();
        report_explosion(&mut tell, &bodies, row, Exploded::Drone(drone.breed), by.id);
        send_kill_credit(&mut remote, by, &KillCredit::Drone);
        if let DamageSource::Pilot(killer) = by.damage_source
            && let Ok((mut score, mut credits)) = players.get_mut(killer)
        {
            reward(&KillCredit::Drone, &mut score, &mut credits, &rules);
        }
    }
}

type PilotData = (
    &'static Player,
    &'static Callsign,
    &'static mut Hangar,
    &'static mut Score,
    &'static mut Credits,
);
type DestroyedShipData = (
    &'static Pilot,
    &'static Ship,
    &'static Position,
    &'static Cargo,
    &'static DestroyedBy,
);

/// Despawns destroyed ships, queues new ones for their pilots and leaves their ore. Then copies the pilots' scores to
/// the remaining ships, where other clients see them.
pub(super) fn despawn_destroyed_ships(
    mut commands: Commands,
    bodies: Res<Bodies>,
    ships: Query<DestroyedShipData>,
    mut players: Query<PilotData>,
    mut shown: Query<(&Pilot, &mut Score, &mut Credits), Without<Hangar>>,
    mut wrecks: ResMut<Wrecks>,
    mut destroyed_ships: ResMut<DestroyedShips>,
    mut tell: Tell,
    mut remote: RemoteEffects,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let missiles = rules.content.missiles.iter().map(|kind| kind.life_s.get());
    let kept = ticks(missiles.fold(0.0, f32::max) + CREDIT_S, &time) as i32;
    destroyed_ships
        .0
        .retain(|_, (since, _)| time.tick.since(*since) < kept);
    let respawn_ticks = ticks(rules.content.space.respawn_s.get(), &time);
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((pilot, ship, position, cargo, by)) = ships.get(body.entity) else {
            continue;
        };
        wrecks.0.push(Wreck {
            at: position.0,
            ore: cargo.0,
        });
        destroyed_ships.0.insert(body.id, (time.tick, pilot.0));
        commands.entity(body.entity).despawn();
        report_explosion(&mut tell, &bodies, row, Exploded::Ship(ship.class), by.id);
        let name_of = |player| players.get(player).ok().map(|(_, name, ..)| name.0.clone());
        let report = Destroyed {
            ship: body.id,
            victim: name_of(pilot.0).unwrap_or_default(),
            by: by.id,
            killer: match by.damage_source {
                DamageSource::Nobody => Killer::Nobody,
                DamageSource::Drone(breed) => Killer::Drone(breed),
                DamageSource::Pilot(killer) => name_of(killer).map_or(Killer::Gone, Killer::Pilot),
                DamageSource::Gone => Killer::Gone,
            },
            respawn_ticks,
        };
        if let Ok((player, _, mut hangar, mut score, _)) = players.get_mut(pilot.0) {
            score.deaths += 1;
            hangar.next_ship = Some(time.tick + respawn_ticks);
            // A pilot who loses a better ship starts again with the free class.
            hangar.class = 0;
            commands.entity(pilot.0).remove::<Avatar>();
            log_unsent(tell.player(player, &report));
        }
        let kill = KillCredit::Ship(report);
        send_kill_credit(&mut remote, by, &kill);
        if let DamageSource::Pilot(killer) = by.damage_source
            && killer != pilot.0
            && let Ok((player, _, _, mut score, mut credits)) = players.get_mut(killer)
        {
            reward(&kill, &mut score, &mut credits, &rules);
            kill.report_to(&mut tell, player);
        }
    }
    for (pilot, mut score, mut credits) in &mut shown {
        if let Ok((_, _, _, kept, owned)) = players.get(pilot.0) {
            score.set_if_neq(*kept);
            credits.set_if_neq(*owned);
        }
    }
}

/// Adds a kill to its pilot's score, and pays the bounty.
pub(super) fn reward(kill: &KillCredit, score: &mut Score, credits: &mut Credits, rules: &Rules) {
    let space = &rules.content.space;
    let bounty = match kill {
        KillCredit::Drone => {
            score.drones += 1;
            space.drone_bounty
        }
        KillCredit::Ship(_) => {
            score.kills += 1;
            space.ship_bounty
        }
    };
    credits.0 = credits.0.saturating_add(bounty);
}

/// Turns the wrecks of this tick into rocks.
pub(super) fn leave_wrecks(mut commands: Commands, mut wrecks: ResMut<Wrecks>) {
    for wreck in wrecks.0.drain(..).filter(|wreck| wreck.ore > 0) {
        commands.spawn(mining::rock(wreck.at, 0.6, wreck.ore));
    }
}

/// Sends the credit for a kill to the simulation of its killer, if that is not here. Credit for a drone that no longer
/// exists is dropped there.
fn send_kill_credit(remote: &mut RemoteEffects, by: &DestroyedBy, kill: &KillCredit) {
    if let (Some(killer), DamageSource::Gone) = (by.id, by.damage_source) {
        remote.tell(killer, kill);
    }
}
