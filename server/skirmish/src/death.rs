//! The end of crafts: replacements, scores, reports, and the ore that they carried.

use bevy_ecs::prelude::*;
use skirmish_shared::components::{Callsign, Cargo, Credits, Drone, Score, Ship};
use skirmish_shared::messages::{Destroyed, Exploded, Killer};
use throng_server::prelude::{
    Avatar, BroadcastReceived, EffectReceived, EffectReturned, Player, Tell, TickTime,
};
use throng_shared::protocol::pose::Position;

use super::bodies::Bodies;
use super::components::{DestroyedShips, DroneAi, Hangar, Pilot};
use super::content::{Rules, ticks};
use super::damage::{DamageSource, DestroyedBy};
use super::drones::{DroneRespawnQueue, RespawnRequest};
use super::effects::{KillCredit, RemoteEffects, UnclaimedKill, log_unsent};
use super::mining::{Wreck, Wrecks};
use super::reports::report_explosion;

/// Seconds for which kills of a destroyed ship still count, beyond the flight time of its missiles: reports of kills
/// may arrive from other simulations.
const CREDIT_S: f32 = 2.0;

/// Credits pilots with their kills in other simulations, also pilots whose ships were destroyed meanwhile. A kill by
/// a drone that no longer exists is credited to no pilot.
pub(super) fn award_kills(
    mut received: MessageReader<EffectReceived<KillCredit>>,
    mut returned: MessageReader<EffectReturned<KillCredit>>,
    mut last: MessageReader<BroadcastReceived<UnclaimedKill>>,
    ships: Query<&Pilot>,
    mut players: Query<(&Player, &mut Score, &mut Credits), With<Hangar>>,
    destroyed_ships: Res<DestroyedShips>,
    mut remote: RemoteEffects,
    mut tell: Tell,
    rules: Res<Rules>,
) {
    for EffectReturned { target, effect } in returned.read() {
        let (by, kill) = (*target, effect.clone());
        remote.broadcast(&UnclaimedKill { by, kill });
    }
    let of_ships = received
        .read()
        .filter_map(|EffectReceived { entity, effect, .. }| {
            let pilot = ships.get(*entity).ok()?;
            Some((pilot.0, effect))
        });
    let of_destroyed = last.read().filter_map(|BroadcastReceived { message, .. }| {
        let pilot = destroyed_ships.pilot(message.by)?;
        Some((pilot, &message.kill))
    });
    for (pilot, kill) in of_ships.chain(of_destroyed) {
        if let Ok((player, mut score, mut credits)) = players.get_mut(pilot) {
            reward(kill, &mut score, &mut credits, &rules);
            kill.report_to(&mut tell, player);
        }
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

/// Sends the credit for a kill to the simulation of its killer, if that is not here. Credit for a drone that no longer
/// exists is dropped there.
fn send_kill_credit(remote: &mut RemoteEffects, by: &DestroyedBy, kill: &KillCredit) {
    if let (Some(killer), DamageSource::Gone) = (by.id, by.damage_source) {
        remote.tell(killer, kill);
    }
}
