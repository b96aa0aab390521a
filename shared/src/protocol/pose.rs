//! The state that every moving entity has and that changes every tick, and its quantized form.
//!
//! Owns the quanta. Guarantees that quantizing gives the same on every machine (additions,
//! multiplications and conversions only), is within half a quantum, and accepts any value: values out of
//! range saturate, NaN becomes 0.

use std::f64::consts::TAU;

use bevy_ecs::prelude::Component;
use glam::Vec2;
use serde::{Deserialize, Serialize};

/// World units in one step of [`Pose::x`] and [`Pose::y`].
pub const POSITION_QUANTUM: f32 = 0.01;
/// World units a second in one step of [`Pose::vx`] and [`Pose::vy`].
pub const VELOCITY_QUANTUM: f32 = 0.05;
/// Steps of [`Pose::yaw`] in a full turn; a power of two.
pub const YAW_STEPS: u16 = 1_024;

// The inverses of the quanta are exact in f64, the quanta are not: so quantizing multiplies by them, and
// reading divides.
const POSITION_STEPS_PER_UNIT: f64 = 100.0;
const VELOCITY_STEPS_PER_UNIT: f64 = 20.0;

/// Position of an entity, in units.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position(pub Vec2);

/// Velocity of an entity, in units a second.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Velocity(pub Vec2);

/// Direction in which an entity faces, in radians, counter-clockwise from +x.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heading(pub f32);

/// Position, velocity and heading in quanta, as frames hold and snapshots carry them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pose {
    /// Position along x, in [`POSITION_QUANTUM`].
    pub x: i32,
    /// Position along y, in [`POSITION_QUANTUM`].
    pub y: i32,
    /// Velocity along x, in [`VELOCITY_QUANTUM`].
    pub vx: i16,
    /// Velocity along y, in [`VELOCITY_QUANTUM`].
    pub vy: i16,
    /// Heading, 0..[`YAW_STEPS`].
    pub yaw: u16,
    /// Reserved for later use; 0.
    pub flags: u16,
}

impl Position {
    /// Returns the position that clients are sent: in [`POSITION_QUANTUM`], within the range of a [`Pose`].
    #[inline]
    #[must_use]
    pub fn rounded(self) -> Self {
        Pose::quantize(&self, &Velocity::default(), &Heading::default()).position()
    }
}

impl Velocity {
    /// Returns the velocity that clients are sent: in [`VELOCITY_QUANTUM`], within the range of a [`Pose`].
    #[inline]
    #[must_use]
    pub fn rounded(self) -> Self {
        Pose::quantize(&Position::default(), &self, &Heading::default()).velocity()
    }
}

impl Heading {
    /// Returns the heading that clients are sent: one of [`YAW_STEPS`] in -pi..pi.
    #[inline]
    #[must_use]
    pub fn rounded(self) -> Self {
        Pose::quantize(&Position::default(), &Velocity::default(), &self).heading()
    }
}

impl Pose {
    /// Rounds to the nearest quantum, ties away from zero. Values out of range saturate; NaN becomes 0.
    ///
    /// A finite heading of any size is taken modulo a full turn; an infinite one becomes 0.
    #[inline]
    #[must_use]
    pub fn quantize(position: &Position, velocity: &Velocity, heading: &Heading) -> Self {
        Self {
            x: round(f64::from(position.0.x) * POSITION_STEPS_PER_UNIT) as i32,
            y: round(f64::from(position.0.y) * POSITION_STEPS_PER_UNIT) as i32,
            vx: round(f64::from(velocity.0.x) * VELOCITY_STEPS_PER_UNIT) as i16,
            vy: round(f64::from(velocity.0.y) * VELOCITY_STEPS_PER_UNIT) as i16,
            yaw: quantize_yaw(heading.0),
            flags: 0,
        }
    }

    /// Returns the position in units.
    #[inline]
    #[must_use]
    pub fn position(&self) -> Position {
        let unit = |quanta: i32| (f64::from(quanta) / POSITION_STEPS_PER_UNIT) as f32;
        Position(Vec2::new(unit(self.x), unit(self.y)))
    }

    /// Returns the velocity in units a second.
    #[inline]
    #[must_use]
    pub fn velocity(&self) -> Velocity {
        let unit = |quanta: i16| (f64::from(quanta) / VELOCITY_STEPS_PER_UNIT) as f32;
        Velocity(Vec2::new(unit(self.vx), unit(self.vy)))
    }

    /// Returns the heading in radians, in -pi..pi.
    #[inline]
    #[must_use]
    pub fn heading(&self) -> Heading {
        const HALF: i32 = YAW_STEPS as i32 / 2;
        let steps = (i32::from(self.yaw % YAW_STEPS) + HALF) % i32::from(YAW_STEPS) - HALF;
        Heading((f64::from(steps) * (TAU / f64::from(YAW_STEPS))) as f32)
    }
}

/// Rounds ties away from zero, once the caller truncates to an integer; `f64::round` is a function call.
#[inline]
pub(super) fn round(value: f64) -> f64 {
    value + 0.5f64.copysign(value)
}

#[inline]
fn quantize_yaw(radians: f32) -> u16 {
    if !radians.is_finite() {
        return 0;
    }
    let steps = round(f64::from(radians) * (f64::from(YAW_STEPS) / TAU)) as i64;
    // `YAW_STEPS` is a power of two, so the mask is the remainder, also of a negative number of steps.
    (steps & i64::from(YAW_STEPS - 1)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pose(x: f32, v: f32, yaw: f32) -> Pose {
        Pose::quantize(
            &Position(Vec2::new(x, -x)),
            &Velocity(Vec2::new(v, -v)),
            &Heading(yaw),
        )
    }

    #[test]
    fn a_pose_has_16_bytes() {
        assert_eq!(size_of::<Pose>(), 16);
    }

    #[test]
    fn quantizing_saturates_and_turns_nan_into_0() {
        assert_eq!(pose(f32::NAN, f32::NAN, f32::NAN), Pose::default());
        let infinite = pose(f32::INFINITY, f32::INFINITY, f32::INFINITY);
        let expected = Pose {
            x: i32::MAX,
            y: i32::MIN,
            vx: i16::MAX,
            vy: i16::MIN,
            yaw: 0,
            flags: 0,
        };
        assert_eq!(infinite, expected);
        assert_eq!(pose(1e30, 1e30, 0.0), expected);
    }

    #[test]
    fn headings_are_taken_modulo_a_full_turn() {
        let quarter = std::f32::consts::FRAC_PI_2;
        assert_eq!(pose(0.0, 0.0, -quarter).yaw, 768);
        assert_eq!(pose(0.0, 0.0, 3.0 * quarter).yaw, 768);
        assert_eq!(pose(0.0, 0.0, quarter + 8.0 * std::f32::consts::TAU).yaw, 256);
        assert_eq!(pose(0.0, 0.0, -1e-6).yaw, 0);
    }

    proptest! {
        #[test]
        fn poses_round_trip_within_half_a_quantum(
            x in -80_000.0f32..80_000.0,
            v in -1_600.0f32..1_600.0,
            yaw in -50.0f32..50.0,
        ) {
            let pose = pose(x, v, yaw);
            // Half a quantum, and the rounding of f32 at this size.
            let near = |a: f32, b: f32, quantum: f32| (a - b).abs() <= quantum * 0.5 + a.abs() * f32::EPSILON;
            let (position, velocity) = (pose.position().0, pose.velocity().0);
            prop_assert!(near(position.x, x, POSITION_QUANTUM) && near(position.y, -x, POSITION_QUANTUM));
            prop_assert!(near(velocity.x, v, VELOCITY_QUANTUM) && near(velocity.y, -v, VELOCITY_QUANTUM));
            let heading = pose.heading().0;
            prop_assert!((-std::f32::consts::PI..std::f32::consts::PI).contains(&heading));
            let turn = (f64::from(heading) - f64::from(yaw)).rem_euclid(TAU);
            let error = turn.min(TAU - turn);
            prop_assert!(error <= TAU / f64::from(YAW_STEPS) * 0.5 + 1e-5, "{error}");
        }

        #[test]
        fn quantizing_a_read_pose_changes_nothing(
            // f32 holds every quantum up to here.
            x in -8_000_000i32..8_000_000, vx: i16, yaw in 0u16..YAW_STEPS,
        ) {
            let pose = Pose { x, y: -x, vx, vy: !vx, yaw, flags: 0 };
            let again = Pose::quantize(&pose.position(), &pose.velocity(), &pose.heading());
            prop_assert_eq!(pose, again);
        }

        #[test]
        fn any_float_quantizes(x: u32, v: u32, yaw: u32) {
            let pose = pose(f32::from_bits(x), f32::from_bits(v), f32::from_bits(yaw));
            prop_assert!(pose.yaw < YAW_STEPS);
        }
    }
}
