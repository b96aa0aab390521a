//! Motion: crafts by the shared step, asteroids to rest, and all bodies apart after collisions.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::Boost;
use skirmish_shared::movement::{Motion, accelerate, bounded, slowed};
use throng_server::prelude::TickTime;
use throng_shared::protocol::pose::{Heading, POSITION_QUANTUM, Pose, Position, VELOCITY_QUANTUM, Velocity};

use super::bodies::{Bodies, BodyKind};
use super::collision::{Contact, Disc, Solver};
use super::components::{Craft, Helm};
use super::content::Rules;

/// Share of its speed that an asteroid loses in a second.
const ASTEROID_DRAG: f32 = 0.3;

/// The contacts of this tick, in the order of rows.
#[derive(Resource, Debug, Default)]
pub struct Contacts(pub Vec<Contact>);

/// Accelerates ships and drones according to their helms: the first half of the shared step.
pub(super) fn steer_crafts(
    mut crafts: Query<(Craft, &Helm, Option<&mut Boost>)>,
    mut bodies: ResMut<Bodies>,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let tick_s = time.length.as_secs_f32();
    for row in 0..bodies.rows.len() {
        let body = bodies.rows[row];
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok((craft, helm, boost)) = crafts.get_mut(body.entity) else {
            continue;
        };
        let disc = &bodies.discs[row];
        let mut motion = Motion {
            position: disc.position,
            velocity: disc.velocity,
            heading: body.heading,
            boost_ms: boost.as_ref().map_or(0, |boost| boost.0),
        };
        accelerate(&mut motion, rules.handling(craft.model()), helm.controls, tick_s);
        if let Some(mut boost) = boost {
            boost.set_if_neq(Boost(motion.boost_ms));
        }
        bodies.set_motion(row, &motion);
    }
}

/// Slows asteroids that were pushed until they rest.
pub(super) fn slow_asteroids(mut bodies: ResMut<Bodies>, time: Res<TickTime>) {
    let tick_s = time.length.as_secs_f32();
    let Bodies { rows, discs, .. } = &mut *bodies;
    for (row, disc) in rows.iter().zip(discs) {
        if row.kind == BodyKind::Asteroid && disc.velocity != Vec2::ZERO {
            disc.velocity = floored(slowed(disc.velocity, ASTEROID_DRAG, tick_s));
        }
    }
}

/// Moves all bodies by one tick, resolves collisions, keeps bodies within the bounds, and rounds to quanta.
pub(super) fn collide(
    mut bodies: ResMut<Bodies>,
    mut contacts: ResMut<Contacts>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut solver: Local<Solver>,
    mut pairs: Local<Vec<(u32, u32)>>,
) {
    let half = rules.content.space.half.get();
    let Bodies { rows, discs, grid } = &mut *bodies;
    grid.pairs(
        |a, b| {
            let (one, two) = (&rows[a as usize], &rows[b as usize]);
            // A missile passes through its own team and through other missiles.
            let is_missile = one.kind == BodyKind::Missile || two.kind == BodyKind::Missile;
            !is_missile || (one.kind != two.kind && !one.team.is_mate(two.team))
        },
        &mut pairs,
    );
    solver.solve(discs, &pairs, time.length.as_secs_f32(), &mut contacts.0);
    for disc in discs
        .iter_mut()
        .filter(|disc| disc.velocity != Vec2::ZERO || disc.bumped)
    {
        (disc.position, disc.velocity) = bounded(disc.position, disc.velocity, half);
        round_to_quanta(disc);
    }
}

/// Rounds a disc to quanta: positions to the nearest, velocities that a collision changed towards zero, so that
/// rounding adds no energy.
fn round_to_quanta(disc: &mut Disc) {
    if disc.bumped {
        disc.velocity = floored(disc.velocity);
    }
    let pose = Pose::quantize(&Position(disc.position), &Velocity(disc.velocity), &Heading(0.0));
    disc.position = pose.position().0;
    disc.velocity = pose.velocity().0;
}

/// Rounds a velocity to quanta, each component towards zero.
fn floored(velocity: Vec2) -> Vec2 {
    // The tolerance of a thousandth of a quantum keeps a speed that is already in quanta unchanged.
    let floor = |speed: f32| {
        let quanta = (speed.abs() / VELOCITY_QUANTUM + 1e-3).floor();
        (quanta * VELOCITY_QUANTUM).copysign(speed)
    };
    let floored = Vec2::new(floor(velocity.x), floor(velocity.y));
    Pose::quantize(&Position::default(), &Velocity(floored), &Heading::default())
        .velocity()
        .0
}

const _: () = assert!(
    POSITION_QUANTUM < super::collision::SKIN,
    "rounding must not press discs into each other"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_velocity_never_adds_speed_and_keeps_whole_quanta() {
        for n in -2_000..2_000 {
            let speed = n as f32 * 0.013;
            assert!(
                floored(Vec2::splat(speed)).x.abs() <= speed.abs() + 1e-4,
                "{speed}"
            );
            let pose = Pose {
                vx: n as i16,
                ..Pose::default()
            };
            assert_eq!(floored(pose.velocity().0), pose.velocity().0, "{n}");
        }
    }
}
