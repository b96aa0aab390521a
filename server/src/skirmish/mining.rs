//! Ore: out of asteroids, into holds, to stations. None comes from nowhere, none gets lost.

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::skirmish::components::{Asteroid, Cargo, Ore, Ship};
use throng_shared::skirmish::content::Space;
use throng_shared::skirmish::movement::heading_of;
use throng_shared::tick::Tick;

use super::bodies::{Bodies, BodyKind, Mass};
use super::content::{Rules, pulse, ticks};
use super::pilots::Helm;
use super::populate;
use crate::runner::TickTime;
use crate::simulation::{Importance, Random, Replicated, Seed};

/// Seconds until an asteroid that was mined out is replaced by another one elsewhere.
const REPLACED_AFTER_S: f32 = 20.0;
/// Cosine of the half angle ahead of a ship in which it mines.
const MINING_COSINE: f32 = 0.8;

/// Where all ore came from and went, for ever: what was `seeded` is in asteroids, in holds, or `sold`.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct OreLedger {
    /// Ore that asteroids were born with.
    pub seeded: u64,
    /// Ore that stations bought.
    pub sold: u64,
    /// Asteroids that are due, in the order in which they were mined out.
    pub due: Vec<Tick>,
    /// Asteroids that were ever born.
    pub born: u64,
}

/// An asteroid of `radius` units with so much ore.
pub(super) fn rock(place: Vec2, radius: f32, ore: u32) -> impl Bundle {
    let radius_10 = (radius * 10.0).round().clamp(1.0, 255.0) as u8;
    let radius = f32::from(radius_10) * 0.1;
    let mass = Mass {
        radius,
        inverse: 1.0 / (10.0 * radius * radius),
    };
    let seen = (Asteroid { radius_10 }, Ore(ore), Importance(1));
    (mass, seen, Position(place), Replicated::default())
}

/// A new asteroid at `place`, entered into the ledger.
pub(super) fn born(
    ledger: &mut OreLedger,
    space: &Space,
    place: Vec2,
    random: &mut Random,
) -> impl Bundle + use<> {
    let (small, large) = space.asteroid_radius;
    // Most are small.
    let share = random.within(0.0, 1.0);
    let radius = small.get() + (large.get() - small.get()) * share * share;
    let ore = (space.ore.get() * radius * radius).round().max(1.0) as u32;
    ledger.seeded += u64::from(ore);
    rock(place, radius, ore)
}

/// Lets new asteroids drift in for those that were mined out.
pub(super) fn replace_asteroids(
    mut commands: Commands,
    mut ledger: ResMut<OreLedger>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    while ledger.due.first().is_some_and(|due| time.tick.since(*due) >= 0) {
        ledger.due.remove(0);
        ledger.born += 1;
        let mut random = seed.of(GlobalId(populate::ROCKS | ledger.born), time.tick);
        let region = random.bits() as usize % rules.content.space.regions.len();
        let place = populate::free_place(&bodies, &rules.content.space, region, 5.0, &mut random);
        commands.spawn(born(&mut ledger, &rules.content.space, place, &mut random));
    }
}

/// Mines what is ahead of those who want to, in the order of their ids, as far as there is ore and room.
pub(super) fn mine_asteroids(
    mut commands: Commands,
    mut ships: Query<(&Ship, &Helm, &mut Cargo)>,
    mut asteroids: Query<&mut Ore>,
    bodies: Res<Bodies>,
    mut ledger: ResMut<OreLedger>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut found: Local<Vec<u32>>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok((ship, helm, mut cargo)) = ships.get_mut(body.entity) else {
            continue;
        };
        let class = rules.class(ship.class);
        let Some(amount) = pulse(class.mining_per_s.get(), body.id.0, &time).filter(|_| helm.mines) else {
            continue;
        };
        let Some(rock) = rock_ahead(
            &bodies,
            row,
            rules.content.space.mining_range.get(),
            &asteroids,
            &mut found,
        ) else {
            continue;
        };
        let entity = bodies.rows[rock].entity;
        let Ok(mut ore) = asteroids.get_mut(entity) else {
            continue;
        };
        let mined = amount.min(ore.0).min(class.cargo.saturating_sub(cargo.0));
        if mined == 0 {
            continue;
        }
        ore.0 -= mined;
        cargo.0 += mined;
        if ore.0 == 0 {
            commands.entity(entity).despawn();
            ledger.due.push(time.tick + ticks(REPLACED_AFTER_S, &time));
        }
    }
}

/// The asteroid with ore whose hull is nearest ahead; of two equally far the lower row.
fn rock_ahead(
    bodies: &Bodies,
    row: usize,
    range: f32,
    asteroids: &Query<&mut Ore>,
    found: &mut Vec<u32>,
) -> Option<usize> {
    let from = bodies.discs[row].position;
    let ahead = heading_of(bodies.rows[row].heading);
    bodies.near(from, range, found);
    let mut nearest: Option<(f32, usize)> = None;
    for &other in &*found {
        let other = other as usize;
        let to = bodies.discs[other].position - from;
        let has_ore = || {
            asteroids
                .get(bodies.rows[other].entity)
                .is_ok_and(|ore| ore.0 > 0)
        };
        if bodies.rows[other].kind != BodyKind::Asteroid
            || to.dot(ahead) < to.length() * MINING_COSINE
            || !has_ore()
        {
            continue;
        }
        let distance = to.length() - bodies.discs[other].radius;
        if nearest.is_none_or(|(best, _)| distance < best) {
            nearest = Some((distance, other));
        }
    }
    nearest.map(|(_, rock)| rock)
}
