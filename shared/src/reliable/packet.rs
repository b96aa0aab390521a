//! renet's packet format, read without renet: every length and count is checked before renet sees it.
//!
//! The format is that of renet 2.0: a kind, a sequence, and messages, a slice or acknowledgements;
//! integers are QUIC's variable-length ones. Guarantees that renet parses every packet that is accepted
//! here to the same contents, that parsing takes time linear in the bytes, and that nothing is allocated.
//! The [guard](super::guard) makes the checks that depend on earlier packets.

use std::ops::RangeInclusive;

use super::error::GuardError;
use crate::limits::{ACK_RANGES_MAX, MESSAGE_SLICES_MAX};

/// Message bytes in every slice of a message but its last.
pub(super) const SLICE_BYTES: usize = 1_200;

/// Bytes of a packet of small messages besides the messages: kind, sequence, channel, count.
pub(super) const SMALL_HEAD_BYTES_MAX: usize = 1 + 8 + 1 + 2;

/// A packet, checked but not copied.
#[derive(Clone, Debug)]
pub(super) struct Packet<'a> {
    /// The packet's number, counted by its sender.
    pub(super) sequence: u64,
    pub(super) body: PacketBody<'a>,
    /// The bytes of the kind and the sequence.
    head: &'a [u8],
}

#[derive(Clone, Debug)]
pub(super) enum PacketBody<'a> {
    SmallReliable { channel: u8, messages: Messages<'a> },
    SmallUnreliable { channel: u8 },
    ReliableSlice { channel: u8, slice: Slice },
    UnreliableSlice { channel: u8 },
    Ack { ranges: AckRanges<'a> },
}

/// Position of a slice in its message: `index` is below `count`, which is at most [`MESSAGE_SLICES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) message: u64,
    pub(super) index: u8,
    pub(super) count: u8,
}

impl<'a> Packet<'a> {
    /// Reads and checks a whole packet.
    pub(super) fn parse(packet: &'a [u8]) -> Result<Self, GuardError> {
        let mut rest = ByteCursor { bytes: packet };
        let kind = rest.u8()?;
        let sequence = rest.varint()?;
        let head = &packet[..packet.len() - rest.bytes.len()];
        let body = match kind {
            0 => {
                let (channel, count) = (rest.u8()?, rest.u16()?);
                let messages = Messages {
                    rest: rest.clone(),
                    left: count,
                };
                for _ in 0..count {
                    rest.varint()?;
                    rest.message()?;
                }
                PacketBody::SmallReliable { channel, messages }
            }
            1 => {
                let (channel, count) = (rest.u8()?, rest.u16()?);
                for _ in 0..count {
                    rest.message()?;
                }
                PacketBody::SmallUnreliable { channel }
            }
            2 => PacketBody::ReliableSlice {
                channel: rest.u8()?,
                slice: rest.slice()?,
            },
            3 => {
                let channel = rest.u8()?;
                rest.slice()?;
                PacketBody::UnreliableSlice { channel }
            }
            4 => PacketBody::Ack {
                ranges: rest.ack_ranges()?,
            },
            _ => return Err(GuardError::UnknownKind(kind)),
        };
        match rest.bytes.len() {
            0 => Ok(Self { sequence, body, head }),
            left => Err(GuardError::Trailing(left)),
        }
    }

    /// Writes a packet with the same sequence but without messages, which renet only acknowledges. Returns
    /// its length.
    pub(super) fn emptied(&self, channel: u8, out: &mut [u8; SMALL_HEAD_BYTES_MAX]) -> usize {
        let head = self.head.len();
        out[..head].copy_from_slice(self.head);
        out[0] = 0;
        out[head..head + 3].copy_from_slice(&[channel, 0, 0]);
        head + 3
    }
}

/// Ids of a packet's reliable messages, in the order of the packet.
#[derive(Clone, Debug)]
pub(super) struct Messages<'a> {
    rest: ByteCursor<'a>,
    left: u16,
}

impl Iterator for Messages<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        // Parsing has read the same bytes without an error, so none is discarded here.
        let id = self.rest.varint().ok()?;
        self.rest.message().ok()?;
        Some(id)
    }
}

/// Ranges of acknowledged packets, descending, without overlap.
#[derive(Clone, Debug)]
pub(super) struct AckRanges<'a> {
    rest: ByteCursor<'a>,
    left: usize,
    /// First packet of the previous range; `None` before the first range.
    previous: Option<u64>,
}

impl AckRanges<'_> {
    fn parse_next(&mut self) -> Result<RangeInclusive<u64>, GuardError> {
        let last = match self.previous {
            None => self.rest.varint()?,
            Some(previous) => {
                let gap = self.rest.varint()?;
                previous.checked_sub(gap + 2).ok_or(GuardError::AckRange)?
            }
        };
        let size = self.rest.varint()?;
        // The number of further ranges comes after the first range.
        if self.previous.is_none() {
            self.rest.varint()?;
        }
        let first = last.checked_sub(size).ok_or(GuardError::AckRange)?;
        self.previous = Some(first);
        Ok(first..=last)
    }
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<RangeInclusive<u64>> {
        self.left = self.left.checked_sub(1)?;
        // Parsing has read the same bytes without an error, so none is discarded here.
        self.parse_next().ok()
    }
}

/// Returns the bytes that [`ByteCursor::varint`] reads for this value, as renet writes it.
pub(super) fn varint_bytes(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

#[derive(Clone, Debug)]
struct ByteCursor<'a> {
    bytes: &'a [u8],
}

impl ByteCursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], GuardError> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(GuardError::Truncated)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, GuardError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, GuardError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a big-endian integer of 1, 2, 4 or 8 bytes, whose top two bits give its length. It is at most
    /// 2^62 - 1, so that the sum of two does not overflow.
    fn varint(&mut self) -> Result<u64, GuardError> {
        let first = *self.bytes.first().ok_or(GuardError::Truncated)?;
        match first >> 6 {
            0 => self.u8().map(u64::from),
            1 => self.u16().map(|value| u64::from(value & 0x3fff)),
            2 => self
                .array()
                .map(|bytes| u64::from(u32::from_be_bytes(bytes) & 0x3fff_ffff)),
            _ => self
                .array()
                .map(|bytes| u64::from_be_bytes(bytes) & 0x3fff_ffff_ffff_ffff),
        }
    }

    /// Skips a message and the length before it, and returns how many bytes the message has.
    fn message(&mut self) -> Result<usize, GuardError> {
        let length = usize::try_from(self.varint()?).map_err(|_| GuardError::Truncated)?;
        if length == 0 {
            return Err(GuardError::EmptyMessage);
        }
        self.bytes = self.bytes.get(length..).ok_or(GuardError::Truncated)?;
        Ok(length)
    }

    fn slice(&mut self) -> Result<Slice, GuardError> {
        let (message, index, count) = (self.varint()?, self.varint()?, self.varint()?);
        if count == 0 || count > MESSAGE_SLICES_MAX as u64 {
            return Err(GuardError::SliceCount(count));
        }
        if index >= count {
            return Err(GuardError::SliceIndex { index, count });
        }
        let bytes = self.message()?;
        if bytes > SLICE_BYTES || (index + 1 < count && bytes != SLICE_BYTES) {
            return Err(GuardError::SliceBytes(bytes));
        }
        Ok(Slice {
            message,
            index: index as u8,
            count: count as u8,
        })
    }
}

impl<'a> ByteCursor<'a> {
    fn ack_ranges(&mut self) -> Result<AckRanges<'a>, GuardError> {
        let mut ahead = self.clone();
        let (_last, _size, others) = (ahead.varint()?, ahead.varint()?, ahead.varint()?);
        if others >= ACK_RANGES_MAX as u64 {
            return Err(GuardError::AckRanges(others));
        }
        let ranges = AckRanges {
            rest: self.clone(),
            left: others as usize + 1,
            previous: None,
        };
        let mut checked = ranges.clone();
        for _ in 0..ranges.left {
            checked.parse_next()?;
        }
        *self = checked.rest;
        Ok(ranges)
    }
}
