//! Encodes poses in space as differences to a baseline that both ends have.
//!
//! The counterpart of [`delta`](super::delta), with the same guarantees: integer arithmetic only, a decoded pose equals
//! the encoded one in every bit, any input bits result in a pose or an error.
//!
//! **Prediction.** The rotation comes first, as a difference of its three components in the new one's places. The
//! velocity is the baseline's, turned as the rotation turned, or kept. The position moves as on the plane, along each axis.
//!
//! **Code**, least significant bit first:
//!
//! | part | bits |
//! |---|---|
//! | rotation | 3-bit class, three zigzag residuals of 0, 3, 4, 5, 6, 7, 8 or 10 bits; after each class but the first: `0`, or `1` + 2 for another largest component |
//! | usual | `0` + 10: all six residuals are in -1..=1, as one number in base 3; the velocity turns |
//! | velocity | `1` + `0` turned, or `1` kept + 2-bit class, three zigzag residuals of 0, 3, 5 or 8 bits |
//! | position | 3-bit class, three zigzag residuals of 0, 2, 3, 4, 5, 6, 8 or 10 bits |
//!
//! A pose whose difference does not fit, or would take more than 64 bits, is sent as an absolute state.

use super::bits::{BitReader, BitWriter};
use super::delta::{
    COORDINATE_WIDTHS, DeltaBits, DeltaError, POSITION_WIDTHS, SPEED_WIDTHS, STEP_BITS, VELOCITY_WIDTHS,
    class, predict_axis, unzigzag, zigzag,
};
use super::pose3d::{Pose3d, Quanta3d};
use super::rotation::Rotation;

/// Widths of the rotation residuals, by class.
const ROTATION_WIDTHS: [u32; 8] = [0, 3, 4, 5, 6, 7, 8, 10];
/// Numbers in base 3 of six digits.
const USUAL: u64 = 729;
const USUAL_BITS: u32 = 10;
/// Longest difference that is sent.
const DIFFERENCE_BITS_MAX: u32 = 64;

/// The motion of entities in space between ticks: all that a prediction needs besides the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionModel3d {
    quanta: Quanta3d,
    /// Position quanta per velocity quantum and tick, in 2^-16.
    step: i64,
}

impl MotionModel3d {
    /// Creates the motion of a simulation with `tick_rate` ticks a second, 0 counts as 1, that is sent in `quanta`.
    #[must_use]
    pub fn new(quanta: Quanta3d, tick_rate: u16) -> Self {
        let in_a_second = f64::from(quanta.velocity()) / f64::from(quanta.position());
        let step = in_a_second / f64::from(tick_rate.max(1)) * f64::from(1u32 << STEP_BITS);
        Self {
            quanta,
            // Bounded, so that no prediction overflows: a step that is capped predicts badly.
            step: (step + 0.5).min(f64::from(i32::MAX)) as i64,
        }
    }

    /// Returns the quanta in which poses are sent.
    #[must_use]
    pub fn quanta(&self) -> &Quanta3d {
        &self.quanta
    }

    /// Returns the difference from `base` to `now`, `age` ticks later; `None` where it does not fit.
    #[must_use]
    pub fn encode(&self, base: &Pose3d, now: &Pose3d, age: u32) -> Option<DeltaBits> {
        let bits = self.quanta.rotation_bits();
        let mut code = CodeWriter3d::default();
        code.push_rotation(
            now.rotation.largest() != base.rotation.largest(),
            now,
            now.rotation.since(&base.rotation, bits),
        )?;
        let turned = self.turned(base, &now.rotation);
        let kept = base.velocity.map(i32::from);
        let residual = |from: [i32; 3]| -> [i32; 3] {
            std::array::from_fn(|axis| i32::from(now.velocity[axis]) - from[axis])
        };
        let (turned, kept) = (residual(turned), residual(kept));
        let predicted = self.predict_position(base, now.velocity, age);
        let position: [i32; 3] = std::array::from_fn(|axis| now.position[axis].wrapping_sub(predicted[axis]));
        if is_tiny(turned) && is_tiny(position) {
            code.push(joint(turned, position) << 1, 1 + USUAL_BITS);
        } else {
            code.push(1, 1);
            let classes = [turned, kept].map(|residual| class(&VELOCITY_WIDTHS, joined(residual)));
            let is_kept = classes[1].unwrap_or(usize::MAX) < classes[0].unwrap_or(usize::MAX);
            let class_of_velocity = classes[usize::from(is_kept)]?;
            code.push(u64::from(is_kept) | (class_of_velocity as u64) << 1, 3);
            code.push_triple(
                if is_kept { kept } else { turned },
                VELOCITY_WIDTHS[class_of_velocity],
            );
            let class_of_position = class(&POSITION_WIDTHS, joined(position))?;
            code.push(class_of_position as u64, 3);
            code.push_triple(position, POSITION_WIDTHS[class_of_position]);
        }
        (code.len <= DIFFERENCE_BITS_MAX).then_some(DeltaBits {
            bits: code.bits as u64,
            len: code.len as u8,
        })
    }

    /// Decodes the pose that was encoded with the same `base` and `age`.
    ///
    /// # Errors
    /// [`DeltaError`]; the reader is then behind some of the bits.
    pub(crate) fn decode(
        &self,
        base: &Pose3d,
        age: u32,
        reader: &mut BitReader<'_>,
    ) -> Result<Pose3d, DeltaError> {
        let rotation = self.read_rotation(base, reader)?;
        let (velocity, residual) = if !reader.read_bool()? {
            let index = reader.read(USUAL_BITS)?;
            if index >= USUAL {
                return Err(DeltaError::Symbol);
            }
            let (velocity, position) = split(index);
            (add(self.turned(base, &rotation), velocity), position)
        } else {
            let from = if reader.read_bool()? {
                base.velocity.map(i32::from)
            } else {
                self.turned(base, &rotation)
            };
            let width = VELOCITY_WIDTHS[reader.read(2)? as usize];
            let velocity = add(from, read_triple(reader, width)?);
            let width = POSITION_WIDTHS[reader.read(3)? as usize];
            (velocity, read_triple(reader, width)?)
        };
        // An encoder's values are in range; those of a hostile peer wrap.
        let velocity = velocity.map(|axis| axis as i16);
        Ok(Pose3d {
            position: add(self.predict_position(base, velocity, age), residual),
            velocity,
            rotation,
        })
    }

    fn read_rotation(&self, base: &Pose3d, reader: &mut BitReader<'_>) -> Result<Rotation, DeltaError> {
        let class = reader.read(3)? as usize;
        if class == 0 {
            return Ok(base.rotation);
        }
        let largest = if reader.read_bool()? {
            reader.read(2)? as u8
        } else {
            base.rotation.largest()
        };
        let residual = read_triple(reader, ROTATION_WIDTHS[class])?;
        let bits = self.quanta.rotation_bits();
        Ok(Rotation::after(&base.rotation, largest, residual, bits))
    }

    /// Returns the baseline's velocity, turned as the rotation has turned since.
    fn turned(&self, base: &Pose3d, rotation: &Rotation) -> [i32; 3] {
        if *rotation == base.rotation {
            return base.velocity.map(i32::from);
        }
        let turn = base.rotation.turn_to(rotation, self.quanta.rotation_bits());
        turn.apply(base.velocity)
    }

    /// Predicts the position of `base` after `age` ticks, at the end of which its velocity is `velocity`.
    fn predict_position(&self, base: &Pose3d, velocity: [i16; 3], age: u32) -> [i32; 3] {
        std::array::from_fn(|axis| {
            predict_axis(
                self.step,
                base.position[axis],
                base.velocity[axis],
                velocity[axis],
                age,
            )
        })
    }

    /// Returns the number of bits that a pose takes without a baseline.
    #[must_use]
    pub fn absolute_bits(&self, pose: &Pose3d) -> u32 {
        let (coordinate, speed) = absolute_classes(pose);
        let rotation = pose.rotation.bits(self.quanta.rotation_bits());
        4 + 3 * COORDINATE_WIDTHS[coordinate] + 3 * SPEED_WIDTHS[speed] + rotation
    }

    /// Writes `pose` without a baseline.
    pub(crate) fn write_absolute(&self, pose: &Pose3d, writer: &mut BitWriter<'_>) {
        let (coordinate, speed) = absolute_classes(pose);
        writer.write(coordinate as u64 | (speed as u64) << 2, 4);
        for axis in pose.position {
            writer.write(u64::from(zigzag(axis)), COORDINATE_WIDTHS[coordinate]);
        }
        for axis in pose.velocity {
            writer.write(u64::from(zigzag(axis.into())), SPEED_WIDTHS[speed]);
        }
        pose.rotation.write(self.quanta.rotation_bits(), writer);
    }

    /// Reads a pose that was written without a baseline.
    ///
    /// # Errors
    /// [`DeltaError::Bits`] when the bits end before the pose does.
    pub(crate) fn read_absolute(&self, reader: &mut BitReader<'_>) -> Result<Pose3d, DeltaError> {
        let coordinate = COORDINATE_WIDTHS[reader.read(2)? as usize];
        let speed = SPEED_WIDTHS[reader.read(2)? as usize];
        Ok(Pose3d {
            position: read_triple(reader, coordinate)?,
            velocity: read_triple(reader, speed)?.map(|axis| axis as i16),
            rotation: Rotation::read(self.quanta.rotation_bits(), reader)?,
        })
    }
}

/// Joins fields into one word.
#[derive(Default)]
struct CodeWriter3d {
    bits: u128,
    len: u32,
}

impl CodeWriter3d {
    fn push(&mut self, value: u64, bits: u32) {
        self.bits |= u128::from(value) << self.len;
        self.len += bits;
    }

    fn push_rotation(&mut self, is_other: bool, now: &Pose3d, residual: [i32; 3]) -> Option<()> {
        let class = class(&ROTATION_WIDTHS, joined(residual))?;
        // Class 0 has no place for another largest component.
        let class = class.max(usize::from(is_other));
        self.push(class as u64, 3);
        if class > 0 {
            self.push(u64::from(is_other), 1);
            if is_other {
                self.push(now.rotation.largest().into(), 2);
            }
            self.push_triple(residual, ROTATION_WIDTHS[class]);
        }
        Some(())
    }

    fn push_triple(&mut self, triple: [i32; 3], width: u32) {
        for value in triple {
            self.push(u64::from(zigzag(value)), width);
        }
    }
}

fn read_triple(reader: &mut BitReader<'_>, width: u32) -> Result<[i32; 3], DeltaError> {
    let mut triple = [0; 3];
    for value in &mut triple {
        *value = unzigzag(reader.read(width)? as u32);
    }
    Ok(triple)
}

fn absolute_classes(pose: &Pose3d) -> (usize, usize) {
    let widest =
        |widths: &[u32; 4], values: [i32; 3]| class(widths, joined(values)).unwrap_or(widths.len() - 1);
    (
        widest(&COORDINATE_WIDTHS, pose.position),
        widest(&SPEED_WIDTHS, pose.velocity.map(i32::from)),
    )
}

/// Returns the or of the zigzag codes, which is as wide as the widest of them.
fn joined(triple: [i32; 3]) -> u32 {
    triple.into_iter().fold(0, |all, value| all | zigzag(value))
}

fn is_tiny(triple: [i32; 3]) -> bool {
    triple.iter().all(|value| (-1..=1).contains(value))
}

fn add(a: [i32; 3], b: [i32; 3]) -> [i32; 3] {
    std::array::from_fn(|axis| a[axis].wrapping_add(b[axis]))
}

/// Joins six values in -1..=1 into one number; [`split`] is the inverse.
fn joint(a: [i32; 3], b: [i32; 3]) -> u64 {
    a.into_iter()
        .chain(b)
        .fold(0, |number, digit| number * 3 + (digit + 1) as u64)
}

fn split(number: u64) -> ([i32; 3], [i32; 3]) {
    let mut left = number;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = (left % 3) as i32 - 1;
        left /= 3;
    }
    let [a, b, c, d, e, f] = digits;
    ([a, b, c], [d, e, f])
}

#[cfg(test)]
mod tests {
    use glam::{Quat, Vec3};
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};

    fn motion(bits: u32) -> MotionModel3d {
        MotionModel3d::new(Quanta3d::new(0.01, 0.05, bits), 20)
    }

    fn quantize(position: Vec3, velocity: Vec3, rotation: Quat, bits: u32) -> Pose3d {
        motion(bits).quanta.quantize(
            &Position3d(position),
            &Velocity3d(velocity),
            &Rotation3d(rotation),
        )
    }

    fn arbitrary() -> impl Strategy<Value = Pose3d> {
        let (position, velocity) = (any::<[i32; 3]>(), any::<[i16; 3]>());
        (position, velocity, 0u32..32, prop::array::uniform4(-1.0f32..1.0)).prop_map(
            |(position, velocity, shift, q)| Pose3d {
                position: position.map(|axis| axis >> shift),
                velocity: velocity.map(|axis| axis >> (shift / 2)),
                rotation: quantize(Vec3::ZERO, Vec3::ZERO, Quat::from_array(q), 10).rotation,
            },
        )
    }

    fn round_trip(motion: &MotionModel3d, base: &Pose3d, now: &Pose3d, age: u32) -> Option<u8> {
        let delta = motion.encode(base, now, age)?;
        let mut buffer = [0; 24];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write_bool(true);
        writer.write_long(delta.bits, delta.len.into());
        let bytes = writer.finish();
        let mut reader = BitReader::new(&buffer[..bytes]);
        reader.read_bool().unwrap();
        let decoded = motion.decode(base, age, &mut reader).unwrap();
        assert_eq!((decoded, reader.bits_read()), (*now, 1 + usize::from(delta.len)));
        Some(delta.len)
    }

    /// A ship that flies where it points, and turns about an axis of its own.
    fn flight(tick: u32, bits: u32) -> Pose3d {
        let dt = 0.05;
        let (mut position, mut rotation) = (Vec3::new(100.0, 50.0, -30.0), Quat::IDENTITY);
        let turn = Quat::from_axis_angle(Vec3::new(1.0, 2.0, 3.0).normalize(), dt);
        let mut velocity = Vec3::ZERO;
        for _ in 0..=tick {
            rotation = (turn * rotation).normalize();
            velocity = rotation * Vec3::NEG_Z * 20.0;
            position += velocity * dt;
        }
        quantize(position, velocity, rotation, bits)
    }

    #[test]
    fn a_steady_turn_takes_few_bits() {
        for (age, most) in [(1, 34.0), (3, 38.0), (8, 57.0)] {
            let mut bits = 0;
            let ticks = 40..140;
            let count = ticks.len() as f32;
            for tick in ticks {
                let motion = motion(10);
                bits +=
                    u32::from(round_trip(&motion, &flight(tick - age, 10), &flight(tick, 10), age).unwrap());
            }
            let mean = bits as f32 / count;
            assert!(mean <= most, "{mean} bits at an age of {age}");
        }
    }

    #[test]
    fn rest_takes_fourteen_bits() {
        let pose = flight(7, 10);
        let rest = Pose3d {
            velocity: [0; 3],
            ..pose
        };
        assert_eq!(round_trip(&motion(10), &rest, &rest, 5), Some(14));
    }

    proptest! {
        #[test]
        fn any_pose_follows_any_other(base in arbitrary(), now in arbitrary(), age in 1u32..32) {
            let _ = round_trip(&motion(10), &base, &now, age);
        }

        #[test]
        fn near_poses_have_a_difference(
            base in arbitrary(), at in prop::array::uniform3(-30i32..30), by in prop::array::uniform3(-10i16..10),
            axis in prop::array::uniform3(-1.0f32..1.0), bits in Quanta3d::ROTATION_BITS,
        ) {
            let motion = motion(bits);
            let q = Quat::from_scaled_axis(Vec3::from_array(axis) * 0.01) * base.rotation.quaternion(10);
            let base = Pose3d { rotation: Rotation::quantize(base.rotation.quaternion(10), bits), ..base };
            let now = Pose3d {
                position: add(motion.predict_position(&base, base.velocity, 3), at),
                velocity: std::array::from_fn(|axis| base.velocity[axis].wrapping_add(by[axis])),
                rotation: Rotation::quantize(q, bits),
            };
            round_trip(&motion, &base, &now, 3);
        }

        #[test]
        fn absolute_poses_round_trip(pose in arbitrary()) {
            let motion = motion(10);
            let mut buffer = [0; 40];
            let mut writer = BitWriter::new(&mut buffer);
            motion.write_absolute(&pose, &mut writer);
            prop_assert_eq!(writer.bits_written(), motion.absolute_bits(&pose) as usize);
            let bytes = writer.finish();
            prop_assert_eq!(motion.read_absolute(&mut BitReader::new(&buffer[..bytes])).unwrap(), pose);
        }

        #[test]
        fn any_chain_of_bits_decodes_without_overflow(
            packets in prop::collection::vec(any::<[u8; 16]>(), 1..40), bits in Quanta3d::ROTATION_BITS,
        ) {
            let motion = motion(bits);
            let mut base = motion.read_absolute(&mut BitReader::new(&[0xff; 40])).unwrap();
            for packet in packets {
                if let Ok(pose) = motion.decode(&base, 31, &mut BitReader::new(&packet)) {
                    base = pose;
                }
            }
            // What was decoded can be shown.
            let (position, _, rotation) = motion.quanta.components(&base);
            prop_assert!(position.0.is_finite() && rotation.0.is_finite());
        }

        #[test]
        fn any_bits_decode_to_a_pose_or_an_error(base in arbitrary(), bytes: [u8; 16], age in 0u32..32) {
            let _ = motion(10).decode(&base, age, &mut BitReader::new(&bytes));
            let _ = motion(10).read_absolute(&mut BitReader::new(&bytes));
        }
    }
}
