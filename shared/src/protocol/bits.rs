//! Bit packing: fields of 0 to 56 bits, least significant bit first, in a byte slice.
//!
//! Guarantees: no allocation and no panic on any input. A field costs one shift, one bitwise or and one unaligned
//! access of 8 bytes, except in the last 8 bytes. A writer without room records that
//! (`BitWriter::overflowed`) and writes nothing more; a reader returns [`BitError::Truncated`].

/// Largest number of bits of one field: a field can begin at any of a byte's 8 bits and still lie within 64 bits.
pub(crate) const FIELD_BITS_MAX: u32 = 56;

/// Why bits could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitError {
    /// The input ends before the field does.
    #[error("the packet ends in the middle of a field")]
    Truncated,
}

/// Writes fields into a byte slice. Several fields joined into one of up to 56 bits cost one write.
///
/// Bytes of the slice behind those that are written may be overwritten as well.
#[derive(Debug)]
pub struct BitWriter<'a> {
    buffer: &'a mut [u8],
    position: BitPosition,
}

/// Where a [`BitWriter`] writes next.
#[derive(Clone, Copy, Debug, Default)]
struct BitPosition {
    /// The bits after the last whole byte, in the lowest bits; 0..=7 of them.
    pending: u64,
    pending_bits: u32,
    whole_bytes: usize,
    overflowed: bool,
}

impl<'a> BitWriter<'a> {
    /// Creates a writer at the first bit of `buffer`, which may be filled to its end.
    #[inline]
    #[must_use]
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            position: BitPosition::default(),
        }
    }

    /// Appends the low `bits` bits of `value`; higher ones are ignored.
    ///
    /// `bits` is at most [`FIELD_BITS_MAX`]. If the value does not fit, neither this call nor any later one writes
    /// anything.
    #[inline(always)]
    pub(crate) fn write(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= FIELD_BITS_MAX, "a field of {bits} bits");
        // The pending bits and the field form one word of at most 7 + 56 bits. All 8 bytes of it are stored,
        // and the position moves on by the whole bytes only: the next write overwrites the rest.
        let value = value & ((1 << bits) - 1);
        let joined = self.position.pending | value << self.position.pending_bits;
        let joined_bits = self.position.pending_bits + bits;
        let whole = joined_bits >> 3;
        if let Some(room) = self
            .buffer
            .get_mut(self.position.whole_bytes..self.position.whole_bytes + 8)
        {
            room.copy_from_slice(&joined.to_le_bytes());
        } else {
            // Takes values: a reference to `self` would keep the whole writer in memory, also above.
            self.position.overflowed |=
                !write_at_end(self.buffer, self.position.whole_bytes, joined, joined_bits);
            if self.position.overflowed {
                return;
            }
        }
        self.position.whole_bytes += whole as usize;
        self.position.pending = joined >> (whole * 8);
        self.position.pending_bits = joined_bits & 7;
    }

    /// Appends the low `bits` bits of `value`, up to 64; higher ones must be 0.
    #[inline]
    pub(crate) fn write_long(&mut self, value: u64, bits: u32) {
        let first = bits.min(FIELD_BITS_MAX);
        self.write(value, first);
        if bits > first {
            self.write(value >> first, bits - first);
        }
    }

    /// Appends one bit: 1 for true.
    #[inline(always)]
    pub(crate) fn write_bool(&mut self, value: bool) {
        self.write(u64::from(value), 1);
    }

    /// Appends whole bytes, at any bit position.
    #[inline]
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        if !self.fits(bytes.len() * 8) {
            self.position.overflowed = true;
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
    pub(crate) fn align(&mut self) {
        self.write(0, self.position.pending_bits.wrapping_neg() & 7);
    }

    /// Returns the number of bits written so far.
    #[inline]
    #[must_use]
    pub(crate) fn bits_written(&self) -> usize {
        self.position.whole_bytes * 8 + self.position.pending_bits as usize
    }

    /// Returns the number of bits that can still be written; 0 after an overflow.
    #[inline]
    #[must_use]
    pub(crate) fn bits_left(&self) -> usize {
        if self.position.overflowed {
            0
        } else {
            (self.buffer.len() * 8).saturating_sub(self.bits_written())
        }
    }

    /// Returns whether `bits` more bits can be written.
    #[inline]
    #[must_use]
    pub(crate) fn fits(&self, bits: usize) -> bool {
        bits <= self.bits_left()
    }

    /// Returns whether something did not fit.
    #[inline]
    #[must_use]
    pub(crate) fn overflowed(&self) -> bool {
        self.position.overflowed
    }

    /// Completes the last byte with zeros and returns the number of bytes.
    #[inline]
    pub(crate) fn finish(self) -> usize {
        if self.position.pending_bits == 0 {
            return self.position.whole_bytes;
        }
        // Room for a pending bit was checked when it was written.
        if let Some(last) = self.buffer.get_mut(self.position.whole_bytes) {
            *last = self.position.pending as u8;
        }
        self.position.whole_bytes + 1
    }
}

/// Reads fields from a byte slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Creates a reader at the first bit of `bytes`.
    #[inline]
    #[must_use]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Reads the next `bits` bits, at most [`FIELD_BITS_MAX`].
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is read then.
    #[inline(always)]
    pub(crate) fn read(&mut self, bits: u32) -> Result<u64, BitError> {
        debug_assert!(bits <= FIELD_BITS_MAX, "a field of {bits} bits");
        // The 8 bytes from the byte of the next bit on hold the whole field: at most 7 bits before it, and its 56 bits.
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

    /// Returns at least the next [`FIELD_BITS_MAX`] bits, lowest first, without taking them; zeros beyond the
    /// end. For a code that contains its own length: read it as one field, then [`BitReader::skip`] it.
    #[inline(always)]
    #[must_use]
    pub(crate) fn peek(&self) -> u64 {
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

    /// Skips `bits` bits that were [peeked](BitReader::peek) at.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is read then.
    #[inline(always)]
    pub(crate) fn skip(&mut self, bits: u32) -> Result<(), BitError> {
        if bits as usize > self.bits_left() {
            return Err(BitError::Truncated);
        }
        self.position += bits as usize;
        Ok(())
    }

    /// Reads the next bit as a `bool`.
    ///
    /// # Errors
    /// [`BitError::Truncated`] at the end.
    #[inline(always)]
    pub(crate) fn read_bool(&mut self) -> Result<bool, BitError> {
        Ok(self.read(1)? != 0)
    }

    /// Fills `out` with whole bytes, from any bit position.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; nothing is read then.
    #[inline]
    pub(crate) fn read_bytes(&mut self, out: &mut [u8]) -> Result<(), BitError> {
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
    pub(crate) fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// Skips to the next whole byte and borrows `count` bytes from there.
    ///
    /// # Errors
    /// [`BitError::Truncated`] when fewer are left; only the alignment is skipped then.
    #[inline]
    pub(crate) fn read_slice(&mut self, count: usize) -> Result<&'a [u8], BitError> {
        self.align();
        let slice = self.bytes[self.position >> 3..]
            .get(..count)
            .ok_or(BitError::Truncated)?;
        self.position += count * 8;
        Ok(slice)
    }

    /// Returns the number of bits read so far.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn bits_read(&self) -> usize {
        self.position
    }

    /// Returns the number of bits that are left, including those that fill up the last byte.
    #[inline]
    #[must_use]
    pub(crate) fn bits_left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }
}

/// Stores `joined` within the last 8 bytes, byte by byte. Returns whether there was room.
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

/// Returns up to 8 bytes from the next bit on, once it is certain that they hold `bits` more bits.
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
    fn an_overflow_is_recorded_and_nothing_more_is_written() {
        let mut buffer = [0; 2];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write(0x5, 3);
        writer.write(0x3fff, 14);
        assert!(writer.overflowed());
        assert!(!writer.fits(1));
        writer.write(1, 1);
        assert_eq!(writer.bits_written(), 3);
    }

    #[test]
    fn a_field_that_fits_exactly_does_not_overflow() {
        let mut buffer = [0; 2];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write(0x5, 3);
        assert!(writer.fits(13) && !writer.fits(14));
        writer.write(0x1fff, 13);
        assert!(!writer.overflowed());
        assert_eq!(writer.finish(), 2);
        assert_eq!(buffer, [0xfd, 0xff]);
    }

    proptest! {
        #[test]
        fn fields_of_any_width_round_trip(fields in fields(), spare in 0usize..10) {
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
                let mut peeking = reader.clone();
                prop_assert_eq!(low(peeking.peek(), bits), low(value, bits));
                prop_assert_eq!(peeking.skip(bits), Ok(()));
                prop_assert_eq!(reader.read(bits), Ok(low(value, bits)));
                prop_assert_eq!(peeking.bits_read(), reader.bits_read());
            }
            prop_assert!(reader.bits_left() < 8);
            prop_assert_eq!((reader.peek() >> reader.bits_left(), reader.skip(8)), (0, Err(BitError::Truncated)));
            prop_assert_eq!(reader.read(8), Err(BitError::Truncated));
        }

        #[test]
        fn a_writer_never_exceeds_its_room(fields in fields(), room in 0usize..64) {
            let mut buffer = vec![0; room];
            let mut writer = BitWriter::new(&mut buffer);
            let mut written = Vec::new();
            for &(value, bits) in &fields {
                writer.write(value, bits);
                if writer.overflowed() {
                    break;
                }
                written.push((value, bits));
            }
            writer.write(1, 1);
            let bits: usize = written.iter().map(|&(_, bits)| bits as usize).sum();
            prop_assert!(bits <= room * 8);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&buffer[..bytes]);
            for (value, bits) in written {
                prop_assert_eq!(reader.read(bits), Ok(low(value, bits)));
            }
        }

        #[test]
        fn bytes_round_trip_at_any_bit_position(skip in 0u32..9, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
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
        fn a_reader_stops_at_the_end(bytes in prop::collection::vec(any::<u8>(), 0..30), widths in prop::collection::vec(0..=FIELD_BITS_MAX, 0..60)) {
            let mut reader = BitReader::new(&bytes);
            for bits in widths {
                let left = reader.bits_left();
                prop_assert_eq!(reader.read(bits).is_ok(), bits as usize <= left);
                prop_assert!(reader.bits_read() <= bytes.len() * 8);
            }
        }
    }
}
