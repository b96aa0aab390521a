//! The crowd in space: entities that fly in a cube and turn about all axes.
//!
//! Guarantees that a step is the same on every machine: additions, multiplications, divisions and square roots only.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use glam::{Quat, Vec3};
use throng_server::runner::TickTime;
use throng_server::simulation::{Replicated, Seed};
use throng_shared::protocol::pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::ProtocolAppExt;

use crate::movement::Steering;
use crate::protocol::{BenchProtocol, SPEED, SteerInput, THRUST_SHARE, TURN_PER_TICK};
use crate::scene::RunningScene;

/// Registers the protocol of the crowd in space: that of the other scenes, with poses in space.
pub struct BenchProtocol3d;

impl Plugin for BenchProtocol3d {
    fn build(&self, app: &mut App) {
        app.add_plugins(BenchProtocol).poses_3d(Quanta3d::default());
    }
}

/// Moves an entity by one tick of `tick_s` seconds in the cube of `side` units around the origin. It bounces off the
/// sides. `velocity` is set to its velocity after the step.
pub fn step_3d(
    position: &mut Position3d,
    velocity: &mut Velocity3d,
    rotation: &mut Rotation3d,
    input: SteerInput,
    tick_s: f32,
    side: f32,
) {
    rotation.0 = (small_turn(input.turn) * rotation.0).normalize();
    let mut moving = rotation.0 * Vec3::NEG_Z * (SPEED * (1.0 + THRUST_SHARE * input.thrust));
    let edge = side * 0.5;
    for axis in 0..3 {
        let next = position.0[axis] + moving[axis] * tick_s;
        if next.abs() > edge {
            // Mirrors the direction of flight along this axis.
            rotation.0 = mirrored(rotation.0, axis);
            moving[axis] = -moving[axis];
            position.0[axis] = (edge.copysign(next) * 2.0 - next).clamp(-edge, edge);
        } else {
            position.0[axis] = next;
        }
    }
    velocity.0 = moving;
}

/// Returns the turn of an input: up to [`TURN_PER_TICK`], about an axis that differs with every input.
fn small_turn(turn: f32) -> Quat {
    let about = |factor: f32| {
        let scaled = turn * factor;
        (scaled - scaled.floor()) * 2.0 - 1.0
    };
    let half = TURN_PER_TICK * 0.5 * std::f32::consts::FRAC_1_SQRT_2;
    Quat::from_xyzw(about(7.3) * half, turn * half, about(53.7) * half, 1.0)
}

/// Returns a rotation under which -z points to where it pointed, mirrored along `axis`.
fn mirrored(rotation: Quat, axis: usize) -> Quat {
    let from = rotation * Vec3::NEG_Z;
    let mut to = from;
    to[axis] = -to[axis];
    // The shortest turn between two unit vectors, without trigonometry.
    let dot = from.dot(to);
    let turn = if dot > -0.999 {
        let cross = from.cross(to);
        Quat::from_xyzw(cross.x, cross.y, cross.z, 1.0 + dot).normalize()
    } else {
        // Half a turn about any axis across.
        let across = from.any_orthonormal_vector();
        Quat::from_xyzw(across.x, across.y, across.z, 0.0)
    };
    (turn * rotation).normalize()
}

/// Moves all entities by one tick.
pub(super) fn move_entities_3d(
    mut entities: Query<(
        &Replicated,
        &Steering,
        &mut Position3d,
        &mut Velocity3d,
        &mut Rotation3d,
    )>,
    world: Res<RunningScene>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    for (replicated, steering, mut position, mut velocity, mut rotation) in &mut entities {
        let input = steering.input.unwrap_or_else(|| SteerInput {
            turn: seed.of(replicated.global(), time.tick).within(-1.0, 1.0),
            thrust: 0.0,
        });
        let (tick_s, side) = (time.length.as_secs_f32(), world.side);
        step_3d(&mut position, &mut velocity, &mut rotation, input, tick_s, side);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_step_in_space_stays_within_the_cube_and_points_where_it_flies(
            side in 1.0f32..1_000.0,
            start in prop::array::uniform3(-0.5f32..0.5),
            turns in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 1..300),
        ) {
            let mut position = Position3d(Vec3::from_array(start) * side);
            let (mut velocity, mut rotation) = (Velocity3d::default(), Rotation3d::default());
            for (turn, thrust) in turns {
                let input = SteerInput { turn, thrust };
                step_3d(&mut position, &mut velocity, &mut rotation, input, 0.05, side);
                prop_assert!(position.0.abs().max_element() <= side * 0.5);
                let speed = SPEED * (1.0 + THRUST_SHARE * thrust);
                let ahead = rotation.0 * Vec3::NEG_Z * speed;
                prop_assert!((velocity.0 - ahead).length() < 2e-2, "{} {}", velocity.0, ahead);
                prop_assert!((rotation.0.length() - 1.0).abs() < 1e-5);
            }
        }
    }
}
