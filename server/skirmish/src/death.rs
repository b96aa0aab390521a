//! The end of crafts: replacements, scores, reports, and the ore that they carried.
//!
//! A kill is credited to a player, by an effect that arrives in the next tick in the simulation that has the player
//! then. So a kill counts once, also if the ship that made it was destroyed meanwhile, or is in another simulation. Kills
//! of players who left are lost.

use bevy_ecs::prelude::*;
use skirmish_shared::components::{Callsign, Cargo, Credits, Drone, Score, Ship};
use skirmish_shared::messages::{Destroyed, Exploded, Killer};
use throng_server::prelude::{Avatar, EffectReceived, Player, Tell, TickTime};
use throng_shared::protocol::ids::PlayerId;
use throng_shared::protocol::pose::Position;

use super::bodies::Bodies;
use super::components::{Attacker, AttackerKind, DroneAi, Hangar, Pilot};
use super::content::{Rules, ticks};
use super::damage::DestroyedBy;
use super::drones::{DroneRespawnQueue, RespawnRequest};
use super::effects::{EffectSender, KillCredit, log_unsent};
use super::mining::{Wreck, Wrecks};
use super::reports::report_explosion;
use super::roster::Roster;

/// Credits pilots with their kills of the last tick, and sends their clients the names of the destroyed pilots.
pub(super) fn award_kills(
    mut received: MessageReader<EffectReceived<KillCredit>>,
    mut players: Query<(&Player, &mut Score, &mut Credits), With<Hangar>>,
    mut tell: Tell,
    rules: Res<Rules>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        if let Ok((player, mut score, mut credits)) = players.get_mut(*entity) {
            reward(effect, &mut score, &mut credits, &rules);
            if let KillCredit::Ship(report) = effect {
                log_unsent(tell.player(player, report));
            }
        }
    }
}

/// Adds a kill to its pilot's score, and pays the bounty.
fn reward(kill: &KillCredit, score: &mut Score, credits: &mut Credits, rules: &Rules) {
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

/// Despawns destroyed drones and queues their replacements.
pub(super) fn despawn_destroyed_drones(
    mut commands: Commands,
    bodies: Res<Bodies>,
    drones: Query<(&Drone, &DroneAi, &DestroyedBy)>,
    mut effects: EffectSender,
    mut respawn_queue: ResMut<DroneRespawnQueue>,
    mut tell: Tell,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((drone, ai, &DestroyedBy(by))) = drones.get(body.entity) else {
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
        report_explosion(
            &mut tell,
            &bodies,
            row,
            Exploded::Drone(drone.breed),
            by.map(|by| by.craft),
        );
        if let Some(player) = by.and_then(|by| by.player()) {
            effects.player(player, &KillCredit::Drone);
        }
    }
}

type PilotData = (
    &'static Player,
    &'static Callsign,
    &'static mut Hangar,
    &'static mut Score,
);
type DestroyedShipData = (
    &'static Pilot,
    &'static Ship,
    &'static Position,
    &'static Cargo,
    &'static DestroyedBy,
);

/// Despawns destroyed ships, queues new ones for their pilots and leaves their ore.
pub(super) fn despawn_destroyed_ships(
    mut commands: Commands,
    bodies: Res<Bodies>,
    ships: Query<DestroyedShipData>,
    mut players: Query<PilotData>,
    roster: Res<Roster>,
    mut wrecks: ResMut<Wrecks>,
    mut tell: Tell,
    mut effects: EffectSender,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let respawn_ticks = ticks(rules.content.space.respawn_s.get(), &time);
    for (row, body) in bodies.rows.iter().enumerate() {
        let Ok((pilot, ship, position, cargo, &DestroyedBy(by))) = ships.get(body.entity) else {
            continue;
        };
        wrecks.0.push(Wreck {
            at: position.0,
            ore: cargo.0,
        });
        commands.entity(body.entity).despawn();
        let attacker = by.map(|by| by.craft);
        report_explosion(&mut tell, &bodies, row, Exploded::Ship(ship.class), attacker);
        let names = players.iter().map(|(player, name, ..)| (player.id, name));
        let killer = killer(by, names, &roster);
        let Ok((player, name, mut hangar, mut score)) = players.get_mut(pilot.0) else {
            continue;
        };
        let report = Destroyed {
            ship: body.id,
            victim: name.0.clone(),
            by: attacker,
            killer,
            respawn_ticks,
        };
        score.deaths += 1;
        hangar.next_ship = Some(time.tick + respawn_ticks);
        commands.entity(pilot.0).remove::<Avatar>();
        log_unsent(tell.player(player, &report));
        if let Some(killer) = by
            .and_then(|by| by.player())
            .filter(|&killer| killer != player.id)
        {
            effects.player(killer, &KillCredit::Ship(report));
        }
    }
}

/// Returns the description of an attacker for the message to the destroyed pilot. `names` are the pilots of this
/// simulation.
fn killer<'a>(
    by: Option<Attacker>,
    mut names: impl Iterator<Item = (PlayerId, &'a Callsign)>,
    roster: &Roster,
) -> Killer {
    match by.map(|by| by.kind) {
        None => Killer::Accident,
        Some(AttackerKind::Drone(breed)) => Killer::Drone(breed),
        Some(AttackerKind::Ship(player)) => {
            let here = names
                .find(|(id, _)| *id == player)
                .map(|(_, name)| name.0.clone());
            let name = here.or_else(|| roster.name(player).map(str::to_owned));
            name.map_or(Killer::UnknownPilot, Killer::Pilot)
        }
    }
}

/// Copies the pilots' scores to their ships, where other clients see them.
pub(super) fn show_scores(
    players: Query<(&Score, &Credits), With<Hangar>>,
    mut ships: Query<(&Pilot, &mut Score, &mut Credits), Without<Hangar>>,
) {
    for (pilot, mut score, mut credits) in &mut ships {
        if let Ok((kept, owned)) = players.get(pilot.0) {
            score.set_if_neq(*kept);
            credits.set_if_neq(*owned);
        }
    }
}
