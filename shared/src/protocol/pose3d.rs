//! Position, velocity and rotation in space, and their quantized form.
//!
//! A game in three dimensions has these instead of those of [`pose`](super::pose), and chooses the quanta. Guarantees
//! that quantizing gives the same on every machine (additions, multiplications, divisions, square roots and
//! conversions only), is within half a quantum, changes nothing when it is repeated, and accepts any value: values out
//! of range saturate, NaN becomes 0. y points up, as in Bevy.

use std::ops::RangeInclusive;

use bevy_ecs::prelude::Component;
use glam::{Quat, Vec2, Vec3};
use serde::{Deserialize, Serialize};

use super::pose::{Heading, Pose, Position, Velocity, round};
use super::rotation::{ROTATION_BITS, Rotation};

/// Position of an entity in space, in units; y is its height.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position3d(pub Vec3);

/// Velocity of an entity in space, in units a second.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Velocity3d(pub Vec3);

/// Orientation of an entity in space: a unit quaternion. One that is not of unit length counts as scaled to it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rotation3d(pub Quat);

/// Returns the pose on the ground plane below a pose in space.
#[inline]
#[must_use]
pub fn ground_pose(position: &Position3d, velocity: &Velocity3d) -> Pose {
    Pose::quantize(&position.ground(), &velocity.ground(), &Heading::default())
}

impl Position3d {
    /// Returns the point on the ground plane below: x and z.
    #[inline]
    #[must_use]
    pub fn ground(&self) -> Position {
        Position(Vec2::new(self.0.x, self.0.z))
    }
}

impl Velocity3d {
    /// Returns the velocity on the ground plane: that along x and z.
    #[inline]
    #[must_use]
    pub fn ground(&self) -> Velocity {
        Velocity(Vec2::new(self.0.x, self.0.z))
    }
}

/// The steps in which a game in three dimensions sends positions, velocities and rotations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quanta3d {
    position: f32,
    velocity: f32,
    rotation_bits: u32,
}

/// Position, velocity and rotation in quanta, as frames hold and snapshots carry them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pose3d {
    /// Position along x, y and z, in quanta.
    pub position: [i32; 3],
    /// Velocity along x, y and z, in quanta.
    pub velocity: [i16; 3],
    /// Rotation, in quanta.
    pub rotation: Rotation,
}

impl Quanta3d {
    /// Smallest and largest number of bits of each of the three numbers that a rotation is sent as.
    pub const ROTATION_BITS: RangeInclusive<u32> = ROTATION_BITS;

    /// Creates steps of `position` units and of `velocity` units a second, and rotations of three numbers with
    /// `rotation_bits` bits each.
    ///
    /// A rotation is sent to within `6 / 2^rotation_bits` radians: 0.006, a third of a degree, with 10.
    ///
    /// # Panics
    /// Panics unless `position` and `velocity` are between 1e-6 and 1e6, and `rotation_bits` in
    /// [`ROTATION_BITS`](Self::ROTATION_BITS).
    #[must_use]
    pub fn new(position: f32, velocity: f32, rotation_bits: u32) -> Self {
        let range = 1e-6..=1e6;
        assert!(
            range.contains(&position),
            "a step of {position} for positions is not between 1e-6 and 1e6"
        );
        assert!(
            range.contains(&velocity),
            "a step of {velocity} for velocities is not between 1e-6 and 1e6"
        );
        assert!(
            Self::ROTATION_BITS.contains(&rotation_bits),
            "{rotation_bits} bits for rotations are not between 6 and 15"
        );
        Self {
            position,
            velocity,
            rotation_bits,
        }
    }

    /// Returns the step of positions, in units.
    #[must_use]
    pub fn position(&self) -> f32 {
        self.position
    }

    /// Returns the step of velocities, in units a second.
    #[must_use]
    pub fn velocity(&self) -> f32 {
        self.velocity
    }

    /// Returns the number of bits of each of the three numbers of a rotation.
    #[must_use]
    pub fn rotation_bits(&self) -> u32 {
        self.rotation_bits
    }

    /// Rounds to the nearest quanta, ties away from zero. Values out of range saturate; NaN becomes 0, and a rotation
    /// without a direction none.
    #[inline]
    #[must_use]
    pub fn quantize(&self, position: &Position3d, velocity: &Velocity3d, rotation: &Rotation3d) -> Pose3d {
        let (at, to) = (f64::from(self.position), f64::from(self.velocity));
        Pose3d {
            position: position
                .0
                .to_array()
                .map(|axis| round(f64::from(axis) / at) as i32),
            velocity: velocity
                .0
                .to_array()
                .map(|axis| round(f64::from(axis) / to) as i16),
            rotation: Rotation::quantize(rotation.0, self.rotation_bits),
        }
    }

    /// Returns the values that clients are sent for these.
    #[must_use]
    pub fn rounded(
        &self,
        position: Position3d,
        velocity: Velocity3d,
        rotation: Rotation3d,
    ) -> (Position3d, Velocity3d, Rotation3d) {
        self.components(&self.quantize(&position, &velocity, &rotation))
    }

    /// Returns the components of a pose.
    #[inline]
    #[must_use]
    pub fn components(&self, pose: &Pose3d) -> (Position3d, Velocity3d, Rotation3d) {
        (
            self.position_of(pose),
            self.velocity_of(pose),
            self.rotation_of(pose),
        )
    }

    /// Returns the position of a pose, in units.
    #[inline]
    #[must_use]
    pub fn position_of(&self, pose: &Pose3d) -> Position3d {
        let unit = |quanta| (f64::from(quanta) * f64::from(self.position)) as f32;
        Position3d(Vec3::from_array(pose.position.map(unit)))
    }

    /// Returns the velocity of a pose, in units a second.
    #[inline]
    #[must_use]
    pub fn velocity_of(&self, pose: &Pose3d) -> Velocity3d {
        let unit = |quanta| (f64::from(quanta) * f64::from(self.velocity)) as f32;
        Velocity3d(Vec3::from_array(pose.velocity.map(unit)))
    }

    /// Returns the rotation of a pose.
    #[inline]
    #[must_use]
    pub fn rotation_of(&self, pose: &Pose3d) -> Rotation3d {
        Rotation3d(pose.rotation.quaternion(self.rotation_bits))
    }
}

impl Default for Quanta3d {
    /// Steps of 0.01 units and 0.05 units a second, and rotations to within a third of a degree.
    fn default() -> Self {
        Self::new(0.01, 0.05, 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pose(x: f32, v: f32) -> Pose3d {
        let (position, velocity) = (Vec3::new(x, -x, x / 3.0), Vec3::new(v, -v, v / 3.0));
        let rotation = Rotation3d::default();
        Quanta3d::default().quantize(&Position3d(position), &Velocity3d(velocity), &rotation)
    }

    #[test]
    fn quantizing_saturates_and_turns_nan_into_0() {
        assert_eq!(pose(f32::NAN, f32::NAN), Pose3d::default());
        let infinite = pose(f32::INFINITY, f32::INFINITY);
        assert_eq!(infinite.position, [i32::MAX, i32::MIN, i32::MAX]);
        assert_eq!(infinite.velocity, [i16::MAX, i16::MIN, i16::MAX]);
        assert_eq!(pose(1e30, 1e30), infinite);
    }

    #[test]
    #[should_panic(expected = "a step of 0 for positions")]
    fn a_step_of_nothing_is_refused() {
        let _ = Quanta3d::new(0.0, 1.0, 10);
    }

    proptest! {
        #[test]
        fn poses_round_trip_within_half_a_quantum(
            x in -80_000.0f32..80_000.0, v in -1_600.0f32..1_600.0, step in 0.01f32..4.0,
        ) {
            let quanta = Quanta3d::new(step, step, 12);
            let (position, velocity) = (Position3d(Vec3::splat(x)), Velocity3d(Vec3::splat(v * step)));
            let pose = quanta.quantize(&position, &velocity, &Rotation3d::default());
            let near = |a: f32, b: f32| (a - b).abs() <= step * 0.5 + a.abs() * f32::EPSILON;
            prop_assert!(near(quanta.position_of(&pose).0.z, x), "{x} by {step}");
            prop_assert!(near(quanta.velocity_of(&pose).0.y, v * step), "{v} by {step}");
        }

        #[test]
        fn quantizing_a_read_pose_changes_nothing(
            // f32 holds every quantum up to here.
            x in -4_000_000i32..4_000_000, vx: i16, q in prop::array::uniform4(-1.0f32..1.0),
            step in 1e-6f32..1e3, bits in Quanta3d::ROTATION_BITS,
        ) {
            let quanta = Quanta3d::new(step, step, bits);
            let rotation = Rotation::quantize(Quat::from_array(q), bits);
            let pose = Pose3d { position: [x, -x, x / 7], velocity: [vx, !vx, 0], rotation };
            let (position, velocity) = (quanta.position_of(&pose), quanta.velocity_of(&pose));
            prop_assert_eq!(quanta.quantize(&position, &velocity, &quanta.rotation_of(&pose)), pose);
        }
    }
}
