//! What happens to those who are destroyed, and to what they carried.

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::skirmish::components::{Cargo, Credits, Drone, Score};
use throng_shared::skirmish::messages::Destroyed;

use super::bodies::Bodies;
use super::borders::{Beyond, Victory};
use super::content::{Rules, ticks};
use super::damage::DestroyedBy;
use super::drones::{Egg, Mind, Nursery};
use super::mining;
use super::pilots::{Hangar, Pilot};
use crate::runner::TickTime;
use crate::simulation::{Avatar, Player, Tell};

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

/// Takes destroyed drones out of the world and orders their replacement.
pub(super) fn bury_drones(
    mut commands: Commands,
    bodies: Res<Bodies>,
    drones: Query<(&Drone, &Mind, &DestroyedBy)>,
    pilots: Query<&Pilot>,
    mut players: Query<&mut Score, With<Hangar>>,
    mut beyond: Beyond,
    mut nursery: ResMut<Nursery>,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for body in &bodies.rows {
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
        if let Some(killer) = by.0.filter(|&by| is_elsewhere(by, &bodies)) {
            beyond.tell(killer, &Victory::Drone);
        } else if let Some(mut score) =
            pilot_of(by.0, &bodies, &pilots).and_then(|pilot| players.get_mut(pilot).ok())
        {
            score.drones += 1;
        }
    }
}

type Seated = (
    &'static Player,
    &'static mut Hangar,
    &'static mut Score,
    &'static mut Credits,
);

/// Takes destroyed ships out of the world; their pilots get new ones, their ore stays. Then shows pilots'
/// scores on the ships that are left.
pub(super) fn bury_ships(
    mut commands: Commands,
    bodies: Res<Bodies>,
    ships: Query<(&Pilot, &Position, &Cargo, Option<&DestroyedBy>)>,
    pilots: Query<&Pilot>,
    mut players: Query<Seated>,
    mut shown: Query<(&Pilot, &mut Score, &mut Credits), Without<Hangar>>,
    mut wrecks: ResMut<Wrecks>,
    mut tell: Tell,
    mut beyond: Beyond,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let respawn_ticks = ticks(rules.content.space.respawn_s.get(), &time);
    for body in &bodies.rows {
        let Ok((pilot, position, cargo, Some(by))) = ships.get(body.entity) else {
            continue;
        };
        wrecks.0.push(Wreck {
            at: position.0,
            ore: cargo.0,
        });
        commands.entity(body.entity).despawn();
        let news = Destroyed {
            ship: body.id,
            by: by.0,
            respawn_ticks,
        };
        if let Ok((player, mut hangar, mut score, _)) = players.get_mut(pilot.0) {
            score.deaths += 1;
            hangar.next_ship = Some(time.tick + respawn_ticks);
            // Who lost a dearer ship begins again with what everybody has.
            hangar.class = 0;
            commands.entity(pilot.0).remove::<Avatar>();
            super::told(tell.player(player, &news));
        }
        if let Some(killer) = by.0.filter(|&by| is_elsewhere(by, &bodies)) {
            beyond.tell(killer, &Victory::Ship(news.clone()));
        }
        let killer = pilot_of(by.0, &bodies, &pilots).filter(|killer| *killer != pilot.0);
        if let Some(Ok((player, _, mut score, _))) = killer.map(|killer| players.get_mut(killer)) {
            score.kills += 1;
            super::told(tell.player(player, &news));
        }
    }
    for (pilot, mut score, mut credits) in &mut shown {
        if let Ok((_, _, kept, owned)) = players.get(pilot.0) {
            score.set_if_neq(*kept);
            credits.set_if_neq(*owned);
        }
    }
}

/// Turns ore that was left behind into rocks.
pub(super) fn leave_wrecks(mut commands: Commands, mut wrecks: ResMut<Wrecks>) {
    for wreck in wrecks.0.drain(..).filter(|wreck| wreck.ore > 0) {
        commands.spawn(mining::rock(wreck.at, 0.6, wreck.ore));
    }
}

/// Whether a craft is not of this simulation, or not any more.
fn is_elsewhere(craft: GlobalId, bodies: &Bodies) -> bool {
    bodies
        .find(craft)
        .is_none_or(|row| bodies.rows[row].ghost_of.is_some())
}

/// The player who flew the craft of this id, as far as it is still there.
fn pilot_of(craft: Option<GlobalId>, bodies: &Bodies, pilots: &Query<&Pilot>) -> Option<Entity> {
    let row = bodies.find(craft?)?;
    Some(pilots.get(bodies.rows[row].entity).ok()?.0)
}
