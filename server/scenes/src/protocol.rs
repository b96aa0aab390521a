//! The protocol of the benchmark scenes, shared by server and bots: the input of a bot and the movement of an entity.
//!
//! Guarantees that a step is the same on every machine: trigonometry comes from `libm`, and the rest is addition,
//! multiplication and comparison.

use std::f32::consts::{PI, TAU};

use bevy_app::{App, Plugin};
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::input::PlayerInput;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::ProtocolAppExt;

/// Radius of a client's view in all scenes, in units.
pub const VIEW_RADIUS: f32 = 50.0;
/// Speed without thrust, in units per second.
pub const SPEED: f32 = 5.0;
/// Share of [`SPEED`] that full thrust adds and full reverse thrust takes away.
pub const THRUST_SHARE: f32 = 0.5;
/// Heading change of a full turn input, in radians per tick.
pub const TURN_PER_TICK: f32 = 0.3;

/// The input that a bot sends in every tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SteerInput {
    /// Turn, -1 (clockwise) to 1, as a share of [`TURN_PER_TICK`].
    pub turn: f32,
    /// Thrust, -1 to 1; 0 cruises at [`SPEED`].
    pub thrust: f32,
}

impl PlayerInput for SteerInput {
    fn validate(&self) -> Result<(), &'static str> {
        // In this form the check also refuses NaN.
        let fits = |axis: f32| (-1.0..=1.0).contains(&axis);
        if !fits(self.turn) {
            return Err("turn must be within -1 and 1");
        }
        if !fits(self.thrust) {
            return Err("thrust must be within -1 and 1");
        }
        Ok(())
    }
}

/// Moves an entity by one tick of `tick_s` seconds in the square world of `side` units around the origin. It
/// bounces off the edges. `velocity` is set to its velocity after the step.
#[inline]
pub fn step(
    position: &mut Position,
    velocity: &mut Velocity,
    heading: &mut Heading,
    input: SteerInput,
    tick_s: f32,
    side: f32,
) {
    let mut yaw = wrap(heading.0 + input.turn * TURN_PER_TICK);
    let (sine, cosine) = libm::sincosf(yaw);
    let mut moving = Vec2::new(cosine, sine) * (SPEED * (1.0 + THRUST_SHARE * input.thrust));
    let mut new_position = position.0 + moving * tick_s;
    let edge = side * 0.5;
    if new_position.x.abs() > edge {
        new_position.x = bounce(new_position.x, edge);
        moving.x = -moving.x;
        yaw = wrap(PI - yaw);
    }
    if new_position.y.abs() > edge {
        new_position.y = bounce(new_position.y, edge);
        moving.y = -moving.y;
        yaw = -yaw;
    }
    (position.0, velocity.0, heading.0) = (new_position, moving, yaw);
}

/// Mirrors a coordinate at the edge that it has passed. A coordinate far outside ends up on the edge.
#[inline]
fn bounce(coordinate: f32, edge: f32) -> f32 {
    (edge.copysign(coordinate) * 2.0 - coordinate).clamp(-edge, edge)
}

/// Brings an angle of less than two turns into -pi..=pi.
#[inline]
fn wrap(angle: f32) -> f32 {
    if angle > PI {
        angle - TAU
    } else if angle < -PI {
        angle + TAU
    } else {
        angle
    }
}

/// Registers the protocol of the benchmark scenes: poses and [`SteerInput`], no components, no messages.
pub struct BenchProtocol;

impl Plugin for BenchProtocol {
    fn build(&self, app: &mut App) {
        app.input::<SteerInput>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steer_input_out_of_range_or_nan_is_refused() {
        let input = |turn, thrust| SteerInput { turn, thrust }.validate().is_ok();
        assert!(input(0.0, 0.0) && input(1.0, -1.0) && input(-1.0, 1.0));
        for bad in [
            1.000_1,
            -1.000_1,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
        ] {
            assert!(!input(bad, 0.0) && !input(0.0, bad), "{bad}");
        }
    }

    #[test]
    fn positive_turn_turns_left_and_full_thrust_adds_half_the_speed() {
        let (mut position, mut velocity, mut heading) = Default::default();
        let input = SteerInput {
            turn: 1.0,
            thrust: 1.0,
        };
        step(&mut position, &mut velocity, &mut heading, input, 0.05, 100.0);
        assert!((heading.0 - 0.3).abs() < 1e-6);
        assert!((velocity.0.length() - 7.5).abs() < 1e-5 && velocity.0.y > 0.0);
        assert!((position.0 - velocity.0 * 0.05).length() < 1e-6);
    }

    proptest! {
        #[test]
        fn step_stays_within_the_bounds_at_the_set_speed(
            side in 0.01f32..1_000.0,
            start in (-0.5f32..0.5, -0.5f32..0.5, -PI..PI),
            turns in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 1..200),
        ) {
            let mut position = Position(Vec2::new(start.0, start.1) * side);
            let (mut velocity, mut heading) = (Velocity::default(), Heading(start.2));
            for (turn, thrust) in turns {
                step(&mut position, &mut velocity, &mut heading, SteerInput { turn, thrust }, 0.05, side);
                prop_assert!(position.0.abs().max_element() <= side * 0.5);
                let speed = 5.0 + 2.5 * thrust;
                prop_assert!((velocity.0.length() - speed).abs() < 1e-4);
                // The heading matches the velocity also after a bounce.
                let (sine, cosine) = libm::sincosf(heading.0);
                prop_assert!((velocity.0 / speed - Vec2::new(cosine, sine)).length() < 1e-4);
                prop_assert!((-PI..=PI).contains(&heading.0));
            }
        }
    }
}
