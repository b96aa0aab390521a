//! The movement of a ship in one tick: one step, which the server runs and clients predict with.
//!
//! Guarantees that a step from the same motion has the same result on every machine: trigonometry comes from `libm`, the
//! rest is arithmetic. The protocol lists the pose as predicted, so both ends begin a step with the values that are
//! sent. Knows nothing of collisions: the server handles them between the two halves of a step.

use std::f32::consts::{PI, TAU};

use glam::Vec2;

use super::content::Handling;
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};

/// Speed that every hull loses in a second besides its drag, in units a second. It lets a hull come to rest
/// although speeds are in quanta.
pub const FRICTION: f32 = 2.0;

/// The moving state of a ship.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Position, in units.
    pub position: Vec2,
    /// Velocity, in units a second.
    pub velocity: Vec2,
    /// Heading, in radians, counter-clockwise from +x.
    pub heading: f32,
    /// Boost that is left, in milliseconds of burning.
    pub boost_ms: u16,
}

/// The controls of a ship in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Controls {
    /// Turn, from -1 (clockwise) to 1.
    pub turn: f32,
    /// Thrust, from -1 (reverse) to 1.
    pub thrust: f32,
    /// Whether to burn boost while there is some.
    pub boost: bool,
}

impl Motion {
    /// Returns the motion of a pose.
    #[must_use]
    pub fn of(pose: &Pose, boost_ms: u16) -> Self {
        Self {
            position: pose.position().0,
            velocity: pose.velocity().0,
            heading: pose.heading().0,
            boost_ms,
        }
    }

    /// Returns the motion as a pose, rounded to quanta.
    #[must_use]
    pub fn pose(&self) -> Pose {
        Pose::quantize(
            &Position(self.position),
            &Velocity(self.velocity),
            &Heading(self.heading),
        )
    }

    /// Returns the same motion, rounded to the values that clients are sent.
    #[must_use]
    pub fn snapped(&self) -> Self {
        Self {
            position: Position(self.position).rounded().0,
            velocity: Velocity(self.velocity).rounded().0,
            heading: Heading(self.heading).rounded().0,
            boost_ms: self.boost_ms,
        }
    }
}

/// Moves by one step of `tick_s` seconds in the square of half side `half`: [`accelerate`], then [`advance`].
pub fn step(motion: &mut Motion, handling: &Handling, controls: Controls, tick_s: f32, half: f32) {
    accelerate(motion, handling, controls, tick_s);
    advance(motion, tick_s, half);
}

/// Makes the first half of a step: heading, velocity and boost. They are rounded, because the server resolves collisions
/// with what clients know.
pub fn accelerate(motion: &mut Motion, handling: &Handling, controls: Controls, tick_s: f32) {
    let boost = burn(&mut motion.boost_ms, handling, controls, tick_s);
    motion.heading = wrap(motion.heading + controls.turn.clamp(-1.0, 1.0) * handling.turn.get() * tick_s);
    let thrust = controls.thrust.clamp(-1.0, 1.0);
    let power = if thrust < 0.0 {
        handling.reverse.get()
    } else {
        boost
    };
    let push = heading_of(motion.heading) * (thrust * power * handling.thrust.get() * tick_s);
    let coasting = slowed(motion.velocity, handling.drag.get(), tick_s);
    // A speed beyond the limit, from a collision or an earlier boost, is lost to drag; thrust does not hold
    // it.
    let limit = (handling.speed.get() * boost).max(coasting.length());
    motion.velocity = (coasting + push).clamp_length_max(limit);
    *motion = motion.snapped();
}

/// Makes the second half of a step: the position. A ship that reaches the bounds stops there.
pub fn advance(motion: &mut Motion, tick_s: f32, half: f32) {
    motion.position += motion.velocity * tick_s;
    (motion.position, motion.velocity) = bounded(motion.position, motion.velocity, half);
}

/// Returns the position clamped to the bounds, and a velocity that is 0 along each axis that was clamped.
#[must_use]
pub fn bounded(position: Vec2, velocity: Vec2, half: f32) -> (Vec2, Vec2) {
    let inside = position.clamp(Vec2::splat(-half), Vec2::splat(half));
    let stop = |position: f32, inside: f32, speed: f32| if position == inside { speed } else { 0.0 };
    let velocity = Vec2::new(
        stop(position.x, inside.x, velocity.x),
        stop(position.y, inside.y, velocity.y),
    );
    (inside, velocity)
}

/// Returns the velocity after a tick of drag and [`FRICTION`], never reversed.
#[must_use]
pub fn slowed(velocity: Vec2, drag: f32, tick_s: f32) -> Vec2 {
    let speed = velocity.length();
    let lost = (speed * drag + FRICTION) * tick_s;
    if lost >= speed {
        return Vec2::ZERO;
    }
    velocity * ((speed - lost) / speed)
}

/// Returns the unit vector of a heading.
#[inline]
#[must_use]
pub fn heading_of(radians: f32) -> Vec2 {
    let (sine, cosine) = libm::sincosf(radians);
    Vec2::new(cosine, sine)
}

/// Returns the heading of a vector, in -pi..=pi; 0 for the zero vector.
#[inline]
#[must_use]
pub fn heading_towards(vector: Vec2) -> f32 {
    libm::atan2f(vector.y, vector.x)
}

/// Returns an angle of less than two turns in -pi..=pi.
#[inline]
#[must_use]
pub fn wrap(angle: f32) -> f32 {
    if angle > PI {
        angle - TAU
    } else if angle < -PI {
        angle + TAU
    } else {
        angle
    }
}

/// Returns the factor of boost in this tick. Takes the boost from the store, or lets the store recover.
fn burn(boost_ms: &mut u16, handling: &Handling, controls: Controls, tick_s: f32) -> f32 {
    let tick_ms = (tick_s * 1_000.0) as u16;
    if controls.boost && controls.thrust > 0.0 && *boost_ms >= tick_ms {
        *boost_ms -= tick_ms;
        return handling.boost.get().max(1.0);
    }
    let full = (handling.boost_s.get() * 1_000.0) as u16;
    *boost_ms = boost_ms.saturating_add(tick_ms / 2).min(full);
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Share, UpTo};
    use proptest::prelude::*;

    const TICK_S: f32 = 0.05;

    fn up_to<const MAX: u32>(value: f32) -> UpTo<MAX> {
        UpTo::try_from(value).unwrap()
    }

    fn handling() -> Handling {
        Handling {
            thrust: up_to(30.0),
            reverse: Share::try_from(0.5).unwrap(),
            turn: up_to(3.0),
            drag: up_to(0.6),
            speed: up_to(30.0),
            boost: up_to(1.6),
            boost_s: up_to(2.0),
        }
    }

    #[test]
    fn thrust_reaches_the_highest_speed_and_drag_stops_a_ship() {
        let mut motion = Motion::default();
        let forward = Controls {
            thrust: 1.0,
            ..Controls::default()
        };
        (0..100).for_each(|_| step(&mut motion, &handling(), forward, TICK_S, 1_000.0));
        assert!((29.0..=30.1).contains(&motion.velocity.x), "{motion:?}");
        (0..200).for_each(|_| step(&mut motion, &handling(), Controls::default(), TICK_S, 1_000.0));
        assert_eq!(motion.velocity, Vec2::ZERO);
    }

    #[test]
    fn boost_burns_out_and_recovers_in_twice_the_time() {
        let mut motion = Motion {
            boost_ms: 2_000,
            ..Motion::default()
        };
        let boosting = Controls {
            thrust: 1.0,
            boost: true,
            ..Controls::default()
        };
        (0..40).for_each(|_| step(&mut motion, &handling(), boosting, TICK_S, 1_000.0));
        assert!(motion.velocity.x > 35.0 && motion.boost_ms == 0, "{motion:?}");
        let forward = Controls {
            thrust: 1.0,
            ..Controls::default()
        };
        (0..80).for_each(|_| step(&mut motion, &handling(), forward, TICK_S, 1_000.0));
        assert!(
            motion.velocity.x < 30.1,
            "thrust holds the speed that boost gave: {motion:?}"
        );
        assert_eq!(motion.boost_ms, 2_000);
    }

    proptest! {
        #[test]
        fn a_client_repeats_a_step_from_the_pose_to_the_bit(
            start in (-900.0f32..900.0, -900.0f32..900.0, -40.0f32..40.0, -40.0f32..40.0, -3.0f32..3.0),
            steps in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0, any::<bool>()), 1..60),
        ) {
            let mut server = Motion {
                position: Vec2::new(start.0, start.1),
                velocity: Vec2::new(start.2, start.3),
                heading: start.4,
                boost_ms: 1_500,
            }.snapped();
            let top = 30.0 * 1.6;
            for (turn, thrust, boost) in steps {
                let controls = Controls { turn, thrust, boost };
                let mut client = Motion::of(&server.pose(), server.boost_ms);
                let before = server.velocity.length();
                step(&mut server, &handling(), controls, TICK_S, 1_000.0);
                step(&mut client, &handling(), controls, TICK_S, 1_000.0);
                // As both ends do at the end of a tick.
                (server, client) = (server.snapped(), client.snapped());
                prop_assert_eq!(server, client);
                prop_assert!(server.position.abs().max_element() <= 1_000.0);
                prop_assert!(server.velocity.length() <= before.max(top) + 0.05);
            }
        }

        #[test]
        fn controls_out_of_range_are_clamped(turn in -1e9f32..1e9, thrust in -1e9f32..1e9) {
            let (mut wild, mut tame) = (Motion::default(), Motion::default());
            let controls = Controls { turn, thrust, boost: false };
            let clamped = Controls { turn: turn.clamp(-1.0, 1.0), thrust: thrust.clamp(-1.0, 1.0), boost: false };
            step(&mut wild, &handling(), controls, TICK_S, 1_000.0);
            step(&mut tame, &handling(), clamped, TICK_S, 1_000.0);
            prop_assert_eq!(wild, tame);
        }
    }
}
