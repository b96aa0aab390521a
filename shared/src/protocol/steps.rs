//! Components that are a few whole numbers, as differences to values that both ends have.
//!
//! Owns the code of the numbers, and which registered components are sent by it. Guarantees that a decoded
//! value equals the encoded one in every bit, whatever both are, since differences wrap around; that any
//! bits result in a value or an error; that nothing is allocated except where canonical bytes are asked
//! for. Does not choose the values that differences refer to.
//!
//! **Code**, least significant bit first: for each number one bit, set where it differs. If any number differs: a
//! 3-bit class, then the differences of the numbers that differ, zigzag, each in 2, 4, 6, 8, 11, 15, 20 or 32 bits
//! by the class. A value without a base is encoded as its difference to zeros.

use super::bits::{BitError, BitReader, BitWriter};
use super::codec::{self, CodecError};
use super::ids::ComponentId;
use crate::limits::{COMPONENT_NUMBERS_MAX, COMPONENTS_MAX, STEPS_BYTES_MAX};

/// Widths of differences, by class.
const WIDTHS: [u32; 8] = [2, 4, 6, 8, 11, 15, 20, 32];
const CLASS_BITS: u32 = 3;

/// The numbers of one component, or differences between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    numbers: [i32; COMPONENT_NUMBERS_MAX],
    len: u8,
}

impl Steps {
    /// Decodes a component's encoded value that consists of `len` numbers, at most [`COMPONENT_NUMBERS_MAX`].
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not `len` numbers.
    pub fn decode(bytes: &[u8], len: usize) -> Result<Self, CodecError> {
        let mut steps = Self::zeros(len);
        let mut used = 0;
        for number in &mut steps.numbers[..len] {
            let (value, bytes) = codec::decode(&bytes[used..])?;
            *number = value;
            used += bytes;
        }
        match bytes.len() - used {
            0 => Ok(steps),
            left => Err(CodecError::Trailing(left)),
        }
    }

    /// Appends the component's encoded value to `out`.
    ///
    /// # Errors
    /// None is known: whole numbers can always be encoded.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.numbers().iter().try_for_each(|number| {
            codec::encode_into(number, out)?;
            Ok(())
        })
    }

    /// Returns the difference that leads from `base`, which has as many numbers, to `self`.
    #[must_use]
    pub fn since(&self, base: &Self) -> Self {
        self.zip(base, i32::wrapping_sub)
    }

    /// Returns the sum of `self` and a difference.
    #[must_use]
    pub fn plus(&self, difference: &Self) -> Self {
        self.zip(difference, i32::wrapping_add)
    }

    /// Returns the number of bits that the code of the numbers takes.
    #[must_use]
    pub fn bits(&self) -> u32 {
        let differing = self.numbers().iter().filter(|&&number| number != 0).count() as u32;
        let code = if differing == 0 {
            0
        } else {
            CLASS_BITS + differing * WIDTHS[self.class()]
        };
        u32::from(self.len) + code
    }

    /// Writes the code of the numbers.
    pub(crate) fn write(&self, writer: &mut BitWriter<'_>) {
        let (mut mask, class) = (0, self.class());
        for (index, &number) in self.numbers().iter().enumerate() {
            mask |= u64::from(number != 0) << index;
        }
        writer.write(mask, self.len.into());
        if mask == 0 {
            return;
        }
        writer.write(class as u64, CLASS_BITS);
        for &number in self.numbers().iter().filter(|&&number| number != 0) {
            writer.write(zigzag(number).into(), WIDTHS[class]);
        }
    }

    /// Reads the code of `len` numbers.
    ///
    /// # Errors
    /// [`BitError`] when the bits end too early.
    pub(crate) fn read(reader: &mut BitReader<'_>, len: usize) -> Result<Self, BitError> {
        let mut steps = Self::zeros(len);
        let mask = reader.read(steps.len.into())?;
        if mask == 0 {
            return Ok(steps);
        }
        let width = WIDTHS[reader.read(CLASS_BITS)? as usize];
        for (index, number) in steps.numbers[..len].iter_mut().enumerate() {
            if mask >> index & 1 == 1 {
                *number = unzigzag(reader.read(width)? as u32);
            }
        }
        Ok(steps)
    }

    fn zeros(len: usize) -> Self {
        assert!(len <= COMPONENT_NUMBERS_MAX, "{len} numbers");
        Self {
            numbers: [0; COMPONENT_NUMBERS_MAX],
            len: len as u8,
        }
    }

    fn numbers(&self) -> &[i32] {
        &self.numbers[..usize::from(self.len)]
    }

    fn zip(&self, other: &Self, join: impl Fn(i32, i32) -> i32) -> Self {
        let mut joined = *self;
        for (number, &other) in joined.numbers.iter_mut().zip(&other.numbers) {
            *number = join(*number, other);
        }
        joined
    }

    /// Returns the first class whose width holds every number. The bitwise or of all codes is as wide as the
    /// widest code.
    fn class(&self) -> usize {
        let joined = self.numbers().iter().fold(0, |all, &number| all | zigzag(number));
        let needed = 32 - joined.leading_zeros();
        WIDTHS
            .iter()
            .position(|&width| width >= needed)
            .unwrap_or(WIDTHS.len() - 1)
    }
}

/// Maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ...: `value >> 31` is all ones for a negative number.
fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// Inverts [`zigzag`]: the lowest bit, negated, is all ones for a negative number.
fn unzigzag(code: u32) -> i32 {
    (code >> 1) as i32 ^ -((code & 1) as i32)
}

/// The numbers of one component as they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentSteps {
    /// The numbers, or their differences to those of a base.
    pub steps: Steps,
    /// Whether the reader must add them to the numbers in the state that the update refers to.
    pub is_difference: bool,
}

impl SentSteps {
    /// Returns the shorter of the numbers themselves and their difference to those of `base`.
    #[must_use]
    pub fn shortest(now: &Steps, base: Option<&Steps>) -> Self {
        let difference = base.map(|base| now.since(base));
        match difference.filter(|difference| difference.bits() <= now.bits()) {
            Some(steps) => Self {
                steps,
                is_difference: true,
            },
            None => Self {
                steps: *now,
                is_difference: false,
            },
        }
    }
}

/// The formats of the registered components: each is sent as bytes or as numbers.
///
/// Numbers are always sent, whatever else an entity has: a client has them in every state that it
/// acknowledged. So the numbers of all components together take at most [`STEPS_BYTES_MAX`]. Components that
/// would exceed it, in the order of registration, are sent as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentFormats {
    count: u8,
    numbers: [u8; COMPONENTS_MAX],
    bits_max: u16,
}

impl Default for ComponentFormats {
    fn default() -> Self {
        Self {
            count: 0,
            numbers: [0; COMPONENTS_MAX],
            bits_max: 0,
        }
    }
}

impl ComponentFormats {
    /// Returns the formats of components registered in this order, by how many numbers each has; 0 for bytes.
    ///
    /// # Panics
    /// Panics with more than [`COMPONENTS_MAX`] components.
    #[must_use]
    pub fn new(numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut formats = Self::default();
        for numbers in numbers {
            formats.push(numbers);
        }
        formats
    }

    fn push(&mut self, numbers: usize) {
        // One bit says whether the numbers are a difference.
        let bits = 1 + numbers as u32 + CLASS_BITS + numbers as u32 * WIDTHS[WIDTHS.len() - 1];
        let all = u32::from(self.bits_max) + bits;
        if (1..=COMPONENT_NUMBERS_MAX).contains(&numbers) && all as usize <= STEPS_BYTES_MAX * 8 {
            self.numbers[usize::from(self.count)] = numbers as u8;
            self.bits_max = all as u16;
        }
        self.count += 1;
    }

    /// Returns the number of registered components.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count.into()
    }

    /// Returns how many numbers a component has; 0 when it is sent as bytes or not registered.
    #[inline]
    #[must_use]
    pub fn numbers(&self, id: ComponentId) -> usize {
        self.numbers.get(usize::from(id.0)).copied().unwrap_or(0).into()
    }

    /// Returns the most bytes that the numbers of one entity take.
    #[must_use]
    pub fn steps_bytes_max(&self) -> usize {
        usize::from(self.bits_max).div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(numbers: &[i32]) -> Steps {
        let mut steps = Steps::zeros(numbers.len());
        steps.numbers[..numbers.len()].copy_from_slice(numbers);
        steps
    }

    /// Numbers of all sizes, including the ends of their range.
    fn number() -> impl Strategy<Value = i32> {
        (any::<i32>(), 0u32..33).prop_map(|(number, bits)| match bits {
            32 => [i32::MIN, i32::MAX, 0, -1][number as usize & 3],
            _ => number >> bits,
        })
    }

    proptest! {
        #[test]
        fn sent_numbers_decode_to_the_encoded_value(
            pairs in prop::collection::vec((number(), number()), 1..=COMPONENT_NUMBERS_MAX), has_base: bool,
        ) {
            let (now, base): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let (now, base) = (steps(&now), steps(&base));
            let sent = SentSteps::shortest(&now, has_base.then_some(&base));
            prop_assert!(has_base || !sent.is_difference);
            prop_assert!(sent.steps.bits() <= now.bits());
            let mut buffer = [0; 64];
            let mut writer = BitWriter::new(&mut buffer);
            sent.steps.write(&mut writer);
            prop_assert_eq!(writer.bits_written(), sent.steps.bits() as usize);
            let bytes = writer.finish();
            let read = Steps::read(&mut BitReader::new(&buffer[..bytes]), now.numbers().len()).unwrap();
            prop_assert_eq!(read, sent.steps);
            let decoded = if sent.is_difference { base.plus(&read) } else { read };
            prop_assert_eq!(decoded, now);

            let mut canonical = Vec::new();
            now.encode(&mut canonical).unwrap();
            prop_assert_eq!(Steps::decode(&canonical, now.numbers().len()).unwrap(), now);
            prop_assert!(Steps::decode(&canonical[1..], now.numbers().len()).is_err());
        }

        #[test]
        fn any_bits_decode_to_numbers_or_an_error(bytes: Vec<u8>, len in 1..=COMPONENT_NUMBERS_MAX) {
            if let Ok(read) = Steps::read(&mut BitReader::new(&bytes), len) {
                prop_assert!(read.numbers().len() == len && read.bits() as usize <= bytes.len() * 8);
            }
        }
    }

    #[test]
    fn a_small_difference_takes_few_bits() {
        let (now, base) = (steps(&[100_003, -7]), steps(&[100_000, -7]));
        let sent = SentSteps::shortest(&now, Some(&base));
        // A bit for each number, the class, four bits for the one that differs.
        assert_eq!((sent.is_difference, sent.steps.bits()), (true, 2 + 3 + 4));
        let back = SentSteps::shortest(&steps(&[0, 0]), Some(&base));
        assert_eq!((back.is_difference, back.steps.bits()), (false, 2));
    }

    #[test]
    fn components_beyond_the_limits_are_sent_as_bytes() {
        let formats = ComponentFormats::new([2, 0, COMPONENT_NUMBERS_MAX + 1, 1]);
        let numbers = |formats: &ComponentFormats, id| formats.numbers(ComponentId(id));
        assert_eq!([0, 1, 2, 3, 63].map(|id| numbers(&formats, id)), [2, 0, 0, 1, 0]);
        assert_eq!(formats.count(), 4);
        let many = ComponentFormats::new([COMPONENT_NUMBERS_MAX; COMPONENTS_MAX]);
        assert!(many.steps_bytes_max() <= STEPS_BYTES_MAX && numbers(&many, 0) == COMPONENT_NUMBERS_MAX);
        assert_eq!((numbers(&many, 63), many.count()), (0, 64));
    }
}
