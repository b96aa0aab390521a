//! Rotations in space as three whole numbers: the smallest three components of a unit quaternion.
//!
//! The component with the largest magnitude follows from the other three, which lie within plus and minus the root of
//! one half. A quaternion and its negative are the same rotation, so the largest component is positive. Guarantees that
//! quantizing a quantized rotation changes nothing. All arithmetic is exact or correctly rounded, so every machine
//! computes the same.

use std::f64::consts::SQRT_2;
use std::ops::RangeInclusive;

use glam::Quat;

use super::bits::{BitError, BitReader, BitWriter};
use super::pose::round;

/// Allowed numbers of bits of a component.
pub(super) const ROTATION_BITS: RangeInclusive<u32> = 6..=15;
/// Fractional bits of [`Rotation::components`], in addition to the quanta.
const FINE_BITS: u32 = 5;
/// Fractional bits of [`RelativeRotation`].
const TURN_BITS: u32 = 15;

/// A rotation in quanta: three components of a unit quaternion, without the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotation {
    /// The components in the order x, y, z, w without the largest. The quantum is the root of one half, divided by
    /// `2^(bits - 1) - 1`.
    smallest: [i16; 3],
    /// Index of the largest component, 0..4.
    largest: u8,
}

impl Default for Rotation {
    /// No rotation.
    fn default() -> Self {
        Self {
            smallest: [0; 3],
            largest: 3,
        }
    }
}

/// A rotation of vectors of whole numbers: a quaternion in 2^-15.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativeRotation {
    vector: [i64; 3],
    real: i64,
}

impl Rotation {
    /// Rounds a quaternion of any length other than 0 to the nearest quanta. Without a direction, or with a component
    /// that is not finite, it becomes no rotation.
    #[must_use]
    pub(super) fn quantize(quaternion: Quat, bits: u32) -> Self {
        let components = quaternion.to_array().map(f64::from);
        let length2: f64 = components.iter().map(|component| component * component).sum();
        if !length2.is_finite() || length2 <= 0.0 {
            return Self::default();
        }
        let length = length2.sqrt();
        Self::rounded(components.map(|component| component / length), bits).settled(bits)
    }

    /// Returns the unit quaternion, with a positive largest component.
    #[must_use]
    pub(super) fn quaternion(&self, bits: u32) -> Quat {
        Quat::from_array(self.unit(bits).map(|component| component as f32))
    }

    /// Rounds the components of a unit quaternion.
    fn rounded(unit: [f64; 4], bits: u32) -> Self {
        let steps = steps(bits);
        let quanta = unit.map(|component| round(component * SQRT_2 * steps) as i32);
        let mut largest = 0;
        for index in 1..4 {
            if quanta[index].abs() > quanta[largest].abs() {
                largest = index;
            }
        }
        let sign = if unit[largest] < 0.0 { -1 } else { 1 };
        Self {
            smallest: without(quanta, largest).map(|quanta| within_range(sign * quanta, bits)),
            largest: largest as u8,
        }
    }

    /// Returns the rotation that stands for this one. Rounding the components can change which of them is the largest,
    /// where two are nearly equal: then the rounded rotation rounds to another. This follows until nothing changes, and
    /// takes the first in order where a circle results.
    fn settled(self, bits: u32) -> Self {
        const ROUNDS: usize = 8;
        let next = |rotation: Self| {
            let read = rotation.quaternion(bits).to_array().map(f64::from);
            Self::rounded(read, bits)
        };
        let mut rotation = self;
        for _ in 0..ROUNDS {
            let after = next(rotation);
            if after == rotation {
                return rotation;
            }
            rotation = after;
        }
        let mut first = rotation;
        let mut at = next(rotation);
        for _ in 0..ROUNDS {
            if at.order() < first.order() {
                first = at;
            }
            at = next(at);
        }
        first
    }

    fn order(self) -> (u8, [i16; 3]) {
        (self.largest, self.smallest)
    }

    fn unit(&self, bits: u32) -> [f64; 4] {
        let quantum = 1.0 / (SQRT_2 * steps(bits));
        let smallest = self.smallest.map(|quanta| f64::from(quanta) * quantum);
        let rest: f64 = smallest.iter().map(|component| component * component).sum();
        let mut unit = [(1.0 - rest).max(0.0).sqrt(); 4];
        for (place, component) in others(self.largest).zip(smallest) {
            unit[place] = component;
        }
        unit
    }

    /// Returns x, y, z and w in 2^-5 quanta, with a positive largest component.
    fn components(&self, bits: u32) -> [i64; 4] {
        let smallest = self.smallest.map(|quanta| i64::from(quanta) << FINE_BITS);
        let rest: i64 = smallest.iter().map(|component| component * component).sum();
        let mut components = [(length2(bits) - rest).max(0).isqrt(); 4];
        for (place, component) in others(self.largest).zip(smallest) {
            components[place] = component;
        }
        components
    }

    /// Returns all bits of the rotation as one number.
    #[must_use]
    pub fn to_bits(&self) -> u64 {
        let [a, b, c] = self.smallest.map(|component| u64::from(component as u16));
        a | b << 16 | c << 32 | u64::from(self.largest) << 48
    }

    /// Returns the rotation whose bits [`to_bits`](Self::to_bits) returned.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self {
            smallest: [bits, bits >> 16, bits >> 32].map(|component| component as i16),
            largest: (bits >> 48) as u8 & 3,
        }
    }

    /// Returns the rotation that leads from `self` to `to`.
    pub(super) fn turn_to(&self, to: &Self, bits: u32) -> RelativeRotation {
        let [ax, ay, az, aw] = self.components(bits);
        let [bx, by, bz, bw] = to.components(bits);
        // The product of `to` and the conjugate of `self`, whose length is the square of theirs.
        let product = [
            bx * aw - bw * ax - by * az + bz * ay,
            by * aw - bw * ay - bz * ax + bx * az,
            bz * aw - bw * az - bx * ay + by * ax,
            bw * aw + bx * ax + by * ay + bz * az,
        ];
        let length2 = length2(bits);
        let [x, y, z, real] = product.map(|component| (component << TURN_BITS) / length2);
        RelativeRotation {
            vector: [x, y, z],
            real,
        }
    }

    /// Returns the smallest components less those that `base` has in the same places.
    pub(super) fn since(&self, base: &Self, bits: u32) -> [i32; 3] {
        let base = base.seen_from(self.largest, bits);
        std::array::from_fn(|index| i32::from(self.smallest[index]) - base[index])
    }

    /// Returns the rotation with the largest component `largest` that differs from `base` by these components.
    ///
    /// An encoder's are within the range of components; those of a hostile peer are brought into it.
    pub(super) fn after(base: &Self, largest: u8, difference: [i32; 3], bits: u32) -> Self {
        let from = base.seen_from(largest, bits);
        Self {
            smallest: std::array::from_fn(|index| {
                within_range(from[index].wrapping_add(difference[index]), bits)
            }),
            largest: largest & 3,
        }
    }

    /// Returns index of the largest component, 0..4.
    pub(super) fn largest(&self) -> u8 {
        self.largest
    }

    /// Returns the components without the one at `largest`, which is made positive, in quanta.
    fn seen_from(&self, largest: u8, bits: u32) -> [i32; 3] {
        if largest == self.largest {
            return self.smallest.map(i32::from);
        }
        let components = self.components(bits);
        let sign = if components[usize::from(largest & 3)] < 0 {
            -1
        } else {
            1
        };
        let half = 1 << (FINE_BITS - 1);
        without(components, (largest & 3).into())
            .map(|component| ((sign * component + half) >> FINE_BITS) as i32)
    }

    /// Returns the number of bits that [`write`](Self::write) takes.
    pub(super) fn bits(&self, bits: u32) -> u32 {
        if *self == Self::default() {
            1
        } else {
            1 + 2 + 3 * bits
        }
    }

    pub(super) fn write(&self, bits: u32, writer: &mut BitWriter<'_>) {
        if *self == Self::default() {
            writer.write_bool(false);
            return;
        }
        writer.write(1 | u64::from(self.largest) << 1, 3);
        for component in self.smallest {
            writer.write(component as u64, bits);
        }
    }

    pub(super) fn read(bits: u32, reader: &mut BitReader<'_>) -> Result<Self, BitError> {
        if !reader.read_bool()? {
            return Ok(Self::default());
        }
        let largest = reader.read(2)? as u8;
        let mut smallest = [0; 3];
        for component in &mut smallest {
            // Shifting up and back down copies the top bit into the bits above: sign extension.
            let read = (reader.read(bits)? as i16) << (16 - bits) >> (16 - bits);
            *component = within_range(read.into(), bits);
        }
        Ok(Self { smallest, largest })
    }
}

impl RelativeRotation {
    /// Returns the vector turned, rounded to the nearest whole numbers.
    pub(super) fn apply(&self, vector: [i16; 3]) -> [i32; 3] {
        let vector = vector.map(i64::from);
        let cross = cross(self.vector, vector);
        let twice = cross.map(|component| 2 * component);
        let again = self::cross(self.vector, twice);
        let half = 1 << (2 * TURN_BITS - 1);
        std::array::from_fn(|axis| {
            let moved = (self.real * twice[axis] + again[axis] + half) >> (2 * TURN_BITS);
            (vector[axis] + moved) as i32
        })
    }
}

fn cross(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// Brings a component into its range, so that no arithmetic on it overflows.
fn within_range(component: i32, bits: u32) -> i16 {
    let limit = (1 << (bits - 1)) - 1;
    component.clamp(-limit, limit) as i16
}

/// Quanta in the root of one half.
fn steps(bits: u32) -> f64 {
    f64::from((1u32 << (bits - 1)) - 1)
}

/// The square of the length of a unit quaternion, in 2^-5 quanta.
fn length2(bits: u32) -> i64 {
    let steps = (1i64 << (bits - 1)) - 1;
    (2 * steps * steps) << (2 * FINE_BITS)
}

fn others(largest: u8) -> impl Iterator<Item = usize> {
    (0..4).filter(move |&index| index != usize::from(largest & 3))
}

fn without<T: Copy + Default>(components: [T; 4], largest: usize) -> [T; 3] {
    let mut left = [T::default(); 3];
    for (left, index) in left.iter_mut().zip(others(largest as u8)) {
        *left = components[index];
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::Vec3;
    use proptest::prelude::*;

    /// Quaternions with each component as the largest and of either sign, and with nearly equal ones.
    fn quaternion() -> impl Strategy<Value = Quat> {
        let component =
            || prop_oneof![4 => -1.0f32..1.0, 1 => Just(0.5f32), 1 => Just(-0.5f32), 1 => Just(0.0f32)];
        prop::array::uniform4(component())
            .prop_filter("a direction", |components| {
                components.iter().any(|component| component.abs() > 1e-3)
            })
            .prop_map(|components| Quat::from_array(components).normalize())
    }

    #[test]
    fn what_has_no_direction_is_no_rotation() {
        for component in [0.0, f32::NAN, f32::INFINITY, 1e-40] {
            let read = Rotation::quantize(Quat::from_xyzw(component, 0.0, 0.0, component), 10);
            assert!(read == Rotation::default() || component == 1e-40, "{component}");
        }
        assert_eq!(Rotation::default().quaternion(10), Quat::IDENTITY);
    }

    proptest! {
        #[test]
        fn a_rotation_has_unit_length_and_the_stated_error(q in quaternion(), bits in ROTATION_BITS) {
            let rotation = Rotation::quantize(q, bits);
            let read = rotation.quaternion(bits);
            prop_assert!((read.length() - 1.0).abs() < 1e-6, "{}", read.length());
            let error = 2.0 * (q.conjugate() * read).xyz().length().min(1.0).asin();
            prop_assert!(error <= 6.0 / (1 << bits) as f32 + 1e-6, "{error} with {bits} bits");
            // The negative is the same rotation.
            prop_assert_eq!(Rotation::quantize(-q, bits), rotation);
            prop_assert_eq!(Rotation::quantize(read, bits), rotation);
        }

        #[test]
        fn rotations_are_read_as_written(q in quaternion(), bits in ROTATION_BITS) {
            let rotation = Rotation::quantize(q, bits);
            let mut buffer = [0; 16];
            let mut writer = BitWriter::new(&mut buffer);
            rotation.write(bits, &mut writer);
            prop_assert_eq!(writer.bits_written(), rotation.bits(bits) as usize);
            let bytes = writer.finish();
            prop_assert_eq!(Rotation::read(bits, &mut BitReader::new(&buffer[..bytes])).unwrap(), rotation);
            prop_assert_eq!(Rotation::from_bits(rotation.to_bits()), rotation);
        }

        #[test]
        fn a_difference_leads_from_any_rotation_to_any(a in quaternion(), b in quaternion(), bits in ROTATION_BITS) {
            let (a, b) = (Rotation::quantize(a, bits), Rotation::quantize(b, bits));
            let difference = b.since(&a, bits);
            prop_assert_eq!(Rotation::after(&a, b.largest(), difference, bits), b);
        }

        #[test]
        fn a_small_turn_is_a_small_difference(
            q in quaternion(), axis in prop::array::uniform3(-1.0f32..1.0), bits in ROTATION_BITS,
        ) {
            let axis = Vec3::from_array(axis).normalize_or(Vec3::X);
            let angle = 2.0f32 / (1 << (bits - 1)) as f32;
            let turned = Quat::from_axis_angle(axis, angle) * q;
            let (a, b) = (Rotation::quantize(q, bits), Rotation::quantize(turned, bits));
            let difference = b.since(&a, bits);
            prop_assert!(difference.iter().all(|component| component.abs() <= 6), "{difference:?}");
        }

        #[test]
        fn vectors_turn_with_the_rotation(
            a in quaternion(), b in quaternion(), vector in prop::array::uniform3(-2_000i16..2_000),
        ) {
            let bits = 15;
            let (a, b) = (Rotation::quantize(a, bits), Rotation::quantize(b, bits));
            let turned = a.turn_to(&b, bits).apply(vector);
            let exact = b.quaternion(bits) * a.quaternion(bits).conjugate() * Vec3::from_array(vector.map(f32::from));
            let error = (exact - Vec3::from_array(turned.map(|axis| axis as f32))).length();
            prop_assert!(error < 2.0, "{turned:?} for {exact}");
        }
    }
}
