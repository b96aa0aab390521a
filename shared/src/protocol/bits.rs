//! Bit packing: fields of 0 to 56 bits, least significant bit first, in a byte slice.
//!
//! Guarantees: no allocation, no panic on any input; one shift, one or and one unaligned 8-byte
//! access per field away from the last 8 bytes. A writer that runs out of room remembers it
//! ([`BitWriter::overflowed`]) and writes nothing more; a reader answers [`BitError::Truncated`].

/// Bits in one field at most: with 7 before it, what still leaves a 64-bit word a bit to shift by.
pub const FIELD_BITS_MAX: u32 = 56;

/// Why bits could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitError {
    /// The input ends before the field does.
    #[error("the packet ends in the middle of a field")]
    Truncated,
}

/// Writes fields into a byte slice. Fields joined into one of up to 56 bits cost one write.
///
/// Of the room, also what is not written in the end may be overwritten.
#[derive(Debug)]
pub struct BitWriter<'a> {
    buffer: &'a mut [u8],
    at: BitMark,
}

/// A place to which a [`BitWriter`] can return.
#[derive(Clone, Copy, Debug, Default)]
pub struct BitMark {
    /// Bits not yet in whole bytes, at the bottom; 0..=7 of them.
    pending: u64,
    pending_bits: u32,
    whole_bytes: usize,
    overflowed: bool,
}

impl<'a> BitWriter<'a> {
    /// Starts at the first bit of `buffer`, whose length is the room there is.
    #[inline]
    #[must_use]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            at: BitMark::default(),
        }
    }

    /// Appends the low `bits` bits of `value`; higher ones are ignored.
    ///
    /// `bits` is at most [`FIELD_BITS_MAX`]. Without room nothing is written, now or later.
    #[inline(always)]
    pub fn write(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= FIELD_BITS_MAX, "a field of {bits} bits");
        let value = value & ((1 << bits) - 1);
        let joined = self.at.pending | value << self.at.pending_bits;
        let joined_bits = self.at.pending_bits + bits;
        let whole = joined_bits >> 3;
        if let Some(room) = self.buffer.get_mut(self.at.whole_bytes..self.at.whole_bytes + 8) {
            room.copy_from_slice(&joined.to_le_bytes());
        } else {
            // By value: a reference to `self` would keep the whole writer in memory, also above.
            self.at.overflowed |= !write_at_end(self.buffer, self.at.whole_bytes, joined, joined_bits);
            if self.at.overflowed {
                return;
            }
        }
        self.at.whole_bytes += whole as usize;
        self.at.pending = joined >> (whole * 8);
        self.at.pending_bits = joined_bits & 7;
    }

    /// Appends one bit.
    #[inline(always)]
    pub fn write_bool(&mut self, value: bool) {
        self.write(u64::from(value), 1);
    }

    /// Appends whole bytes, at whatever bit the writer is.
    #[inline]
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        if !self.fits(bytes.len() * 8) {
            self.at.overflowed = true;
            return;
        }
        let mut words = bytes.chunks_exact(7);
        for word in &mut words {
            let mut padded = [0; 8];
            padded[..7].copy_from_slice(word);
            self.write(u64::from_le_bytes(padded), 56);
        }
        for &byte in words.remainder() {
            self.write(u64::from(byte), 8);
        }
    }

    /// Fills up to the next whole byte with zeros.
    #[inline]
    pub fn align(&mut self) {
        self.write(0, self.at.pending_bits.wrapping_neg() & 7);
    }

    /// Bits written so far.
    #[inline]
    #[must_use]
    pub fn bits_written(&self) -> usize {
        self.at.whole_bytes * 8 + self.at.pending_bits as usize
    }

    /// Bits that can still be written; 0 after an overflow.
    #[inline]
    #[must_use]
    pub fn bits_left(&self) -> usize {
        if self.at.overflowed {
            0
        } else {
            (self.buffer.len() * 8).saturating_sub(self.bits_written())
        }
    }

    /// Whether `bits` more can be written.
    #[inline]
    #[must_use]
    pub fn fits(&self, bits: usize) -> bool {
        bits <= self.bits_left()
    }

    /// Whether something did not fit since the start or the mark last returned to.
    #[inline]
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.at.overflowed
    }

    /// Remembers this place.
    #[inline]
    #[must_use]
    pub fn mark(&self) -> BitMark {
        self.at
    }

    /// Forgets everything written since `mark`, which must be from this writer, an overflow too.
    #[inline]
    pub fn rewind(&mut self, mark: BitMark) {
        self.at = mark;
    }

    /// Completes the last byte with zeros and answers how many bytes there are.
    #[inline]
    pub fn finish(self) -> usize {
        if self.at.pending_bits == 0 {
            return self.at.whole_bytes;
        }
        // Room for a pending bit was checked when it was written.
        if let Some(last) = self.buffer.get_mut(self.at.whole_bytes) {
            *last = self.at.pending as u8;
        }
        self.at.whole_bytes + 1
    }
}

/// Reads fields from a byte slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of `bytes`.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Takes `bits` bits, at most [`FIELD_BITS_MAX`].
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is taken then.
    #[inline(always)]
    pub fn read(&mut self, bits: u32) -> Result<u64, BitError> {
        debug_assert!(bits <= FIELD_BITS_MAX, "a field of {bits} bits");
        let byte = self.position >> 3;
        let word = match self
            .bytes
            .get(byte..byte + 8)
            .and_then(|word| word.first_chunk::<8>())
        {
            Some(word) => u64::from_le_bytes(*word),
            None => read_at_end(self.bytes, self.position, bits)?,
        };
        let value = word >> (self.position & 7) & ((1 << bits) - 1);
        self.position += bits as usize;
        Ok(value)
    }

    /// The next [`FIELD_BITS_MAX`] bits at the bottom, without taking them; zeros beyond the end. For a code
    /// whose parts say how long it is: look at it as one field, then [`BitReader::skip`] what it had.
    #[inline(always)]
    #[must_use]
    pub fn peek(&self) -> u64 {
        let byte = self.position >> 3;
        let word = match self
            .bytes
            .get(byte..byte + 8)
            .and_then(|word| word.first_chunk::<8>())
        {
            Some(word) => u64::from_le_bytes(*word),
            None => read_at_end(self.bytes, self.position, 0).unwrap_or(0),
        };
        word >> (self.position & 7)
    }

    /// Takes `bits` bits that were [peeked](BitReader::peek) at.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is taken then.
    #[inline(always)]
    pub fn skip(&mut self, bits: u32) -> Result<(), BitError> {
        if bits as usize > self.bits_left() {
            return Err(BitError::Truncated);
        }
        self.position += bits as usize;
        Ok(())
    }

    /// Takes one bit.
    ///
    /// # Errors
    /// [`BitError::Truncated`] at the end.
    #[inline(always)]
    pub fn read_bool(&mut self) -> Result<bool, BitError> {
        Ok(self.read(1)? != 0)
    }

    /// Fills `out` with whole bytes, from whatever bit the reader is at.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is taken then.
    #[inline]
    pub fn read_bytes(&mut self, out: &mut [u8]) -> Result<(), BitError> {
        if self.bits_left() < out.len() * 8 {
            return Err(BitError::Truncated);
        }
        let mut words = out.chunks_exact_mut(7);
        for word in &mut words {
            word.copy_from_slice(&self.read(56)?.to_le_bytes()[..7]);
        }
        for byte in words.into_remainder() {
            *byte = self.read(8)? as u8;
        }
        Ok(())
    }

    /// Skips to the next whole byte.
    #[inline]
    pub fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// Skips to the next whole byte and borrows `count` bytes from there.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing but the alignment is taken then.
    #[inline]
    pub fn read_slice(&mut self, count: usize) -> Result<&'a [u8], BitError> {
        self.align();
        let slice = self.bytes[self.position >> 3..]
            .get(..count)
            .ok_or(BitError::Truncated)?;
        self.position += count * 8;
        Ok(slice)
    }

    /// Bits taken so far.
    #[inline]
    #[must_use]
    pub fn bits_read(&self) -> usize {
        self.position
    }

    /// Bits not yet taken, a last byte's filling included.
    #[inline]
    #[must_use]
    pub fn bits_left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }
}

/// Stores `joined` within the last 8 bytes, byte by byte; answers whether there was room.
#[cold]
#[inline(never)]
fn write_at_end(buffer: &mut [u8], whole_bytes: usize, joined: u64, joined_bits: u32) -> bool {
    let room = buffer.get_mut(whole_bytes..).unwrap_or_default();
    if joined_bits as usize > room.len() * 8 {
        return false;
    }
    for (byte, value) in room.iter_mut().zip(joined.to_le_bytes()) {
        *byte = value;
    }
    true
}

/// The next up to 8 bytes, once it is certain that they hold `bits` more bits.
#[cold]
#[inline(never)]
fn read_at_end(bytes: &[u8], position: usize, bits: u32) -> Result<u64, BitError> {
    if position + bits as usize > bytes.len() * 8 {
        return Err(BitError::Truncated);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(&bytes[position >> 3..]) {
        *to = *from;
    }
    Ok(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Strategy<Value = Vec<(u64, u32)>> {
        prop::collection::vec((any::<u64>(), 0..=FIELD_BITS_MAX), 0..200)
    }

    fn low(value: u64, bits: u32) -> u64 {
        value & ((1 << bits) - 1)
    }

    #[test]
    fn least_significant_bit_comes_first() {
        let mut buffer = [0xff; 2];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write(0b1, 1);
        writer.write(0b10, 2);
        writer.write(0x1ff, 9);
        assert_eq!(writer.finish(), 2);
        assert_eq!(buffer, [0b1111_1101, 0b1111]);
    }

    #[test]
    fn overflow_is_remembered_until_rewound() {
        let mut buffer = [0; 2];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write(0x5, 3);
        let mark = writer.mark();
        writer.write(0x3fff, 14);
        assert!(writer.overflowed());
        assert!(!writer.fits(1));
        writer.write(1, 1);
        assert_eq!(writer.bits_written(), 3);
        writer.rewind(mark);
        assert!(writer.fits(13) && !writer.fits(14));
        writer.write(0x1fff, 13);
        assert!(!writer.overflowed());
        assert_eq!(writer.finish(), 2);
        assert_eq!(buffer, [0xfd, 0xff]);
    }

    proptest! {
        #[test]
        fn round_trips_any_widths(fields in fields(), spare in 0usize..10) {
            let bits: usize = fields.iter().map(|&(_, bits)| bits as usize).sum();
            let mut buffer = vec![0xa5; bits.div_ceil(8) + spare];
            let mut writer = BitWriter::new(&mut buffer);
            for &(value, bits) in &fields {
                prop_assert!(writer.fits(bits as usize));
                writer.write(value, bits);
            }
            prop_assert!(!writer.overflowed());
            prop_assert_eq!(writer.bits_written(), bits);
            let bytes = writer.finish();
            prop_assert_eq!(bytes, bits.div_ceil(8));
            let mut reader = BitReader::new(&buffer[..bytes]);
            for &(value, bits) in &fields {
                let mut looking = reader.clone();
                prop_assert_eq!(low(looking.peek(), bits), low(value, bits));
                prop_assert_eq!(looking.skip(bits), Ok(()));
                prop_assert_eq!(reader.read(bits), Ok(low(value, bits)));
                prop_assert_eq!(looking.bits_read(), reader.bits_read());
            }
            prop_assert!(reader.bits_left() < 8);
            prop_assert_eq!((reader.peek() >> reader.bits_left(), reader.skip(8)), (0, Err(BitError::Truncated)));
            prop_assert_eq!(reader.read(8), Err(BitError::Truncated));
        }

        #[test]
        fn never_writes_past_the_room(fields in fields(), room in 0usize..64) {
            let mut buffer = vec![0; room];
            let mut writer = BitWriter::new(&mut buffer);
            let mut kept = Vec::new();
            for &(value, bits) in &fields {
                writer.write(value, bits);
                if writer.overflowed() {
                    break;
                }
                kept.push((value, bits));
            }
            writer.write(1, 1);
            let bits: usize = kept.iter().map(|&(_, bits)| bits as usize).sum();
            prop_assert!(bits <= room * 8);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&buffer[..bytes]);
            for (value, bits) in kept {
                prop_assert_eq!(reader.read(bits), Ok(low(value, bits)));
            }
        }

        #[test]
        fn rewinding_leaves_no_trace(before in fields(), dropped in fields(), after in fields()) {
            let write = |writer: &mut BitWriter<'_>, fields: &[(u64, u32)]| {
                for &(value, bits) in fields {
                    writer.write(value, bits);
                }
            };
            let (mut straight, mut rewound) = (vec![0; 2_900], vec![0xff; 2_900]);
            let mut writer = BitWriter::new(&mut straight);
            write(&mut writer, &before);
            write(&mut writer, &after);
            let length = writer.finish();
            let mut writer = BitWriter::new(&mut rewound);
            write(&mut writer, &before);
            let mark = writer.mark();
            write(&mut writer, &dropped);
            writer.rewind(mark);
            write(&mut writer, &after);
            prop_assert_eq!(writer.finish(), length);
            prop_assert_eq!(&straight[..length], &rewound[..length]);
        }

        #[test]
        fn bytes_round_trip_at_any_bit(skip in 0u32..9, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut buffer = vec![0; bytes.len() + 50];
            let mut writer = BitWriter::new(&mut buffer);
            writer.write(u64::MAX, skip);
            writer.write_bytes(&bytes);
            writer.align();
            writer.write_bytes(&bytes);
            let length = writer.finish();
            let mut reader = BitReader::new(&buffer[..length]);
            reader.read(skip).unwrap();
            let mut out = vec![0; bytes.len()];
            reader.read_bytes(&mut out).unwrap();
            prop_assert_eq!(&out, &bytes);
            prop_assert_eq!(reader.read_slice(bytes.len()), Ok(&bytes[..]));
            prop_assert_eq!(reader.bits_left(), 0);
            prop_assert_eq!(reader.read_bytes(&mut [0]), Err(BitError::Truncated));
            prop_assert_eq!(reader.read_slice(usize::MAX), Err(BitError::Truncated));
        }

        #[test]
        fn reading_stops_at_the_end(bytes in prop::collection::vec(any::<u8>(), 0..30), widths in prop::collection::vec(0..=FIELD_BITS_MAX, 0..60)) {
            let mut reader = BitReader::new(&bytes);
            for bits in widths {
                let left = reader.bits_left();
                prop_assert_eq!(reader.read(bits).is_ok(), bits as usize <= left);
                prop_assert!(reader.bits_read() <= bytes.len() * 8);
            }
        }
    }
}
