//! The guard in front of renet: decides by what a peer has sent so far which packets renet may process.
//!
//! Owns a window of packet sequences and, per reliable channel, a window of message ids and the
//! incomplete sliced messages. Guarantees that packets that pass neither make renet panic nor make it hold
//! more than the limits say. Returns an error for packets that no renet peer sends. Ignores packets that a
//! renet peer may send but that need not be processed, as if they had been lost.

use super::error::GuardError;
use super::packet::{Packet, PacketBody, Slice};
use crate::limits::{ACK_RANGES_MAX, RELIABLE_WINDOW_MESSAGES};
use crate::protocol::ids::{Channel, ChannelId};

/// How to handle a packet that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// renet processes the packet.
    Process,
    /// renet only acknowledges the packet, in this channel: it repeats a message that is complete.
    AcknowledgeOnly(u8),
    /// Nothing is done: the packet counts as lost.
    Ignore,
}

/// State of everything received in one session.
#[derive(Debug, Default)]
pub(super) struct Guard {
    sequences: SequenceWindow,
    unordered: ChannelGuard,
    ordered: ChannelGuard,
}

impl Guard {
    /// Checks a packet and records it. An error means that the session must end.
    pub(super) fn admit(&mut self, packet: &Packet<'_>, next_sequence: u64) -> Result<Verdict, GuardError> {
        let verdict = match &packet.body {
            PacketBody::SmallReliable { channel, messages } => {
                let channel = self.reliable(*channel)?;
                if messages.clone().any(|id| !channel.is_near(id)) {
                    return Err(GuardError::MessageTooFar);
                }
                if messages
                    .clone()
                    .any(|id| channel.partials.iter().any(|partial| partial.message == id))
                {
                    return Err(GuardError::MixedMessage);
                }
                Verdict::Process
            }
            PacketBody::SmallUnreliable { channel } => {
                unreliable(*channel)?;
                Verdict::Process
            }
            PacketBody::ReliableSlice { channel: id, slice } => {
                let channel = self.reliable(*id)?;
                channel.check_slice(slice)?;
                if channel.received(slice.message) {
                    Verdict::AcknowledgeOnly(*id)
                } else {
                    Verdict::Process
                }
            }
            PacketBody::UnreliableSlice { channel } => {
                // An unreliable channel may lose messages, so all sliced ones are refused. To bound them, the guard
                // would have to know for how long renet holds an incomplete message, which it cannot.
                unreliable(*channel)?;
                return Ok(Verdict::Ignore);
            }
            PacketBody::Ack { ranges } => {
                let newest = ranges.clone().next().map_or(0, |range| *range.end());
                if newest >= next_sequence {
                    return Err(GuardError::AckOfUnsent(newest));
                }
                Verdict::Process
            }
        };
        if !self.sequences.insert(packet.sequence) {
            return Ok(Verdict::Ignore);
        }
        self.note(&packet.body)?;
        Ok(verdict)
    }

    /// Records how many ranges renet would acknowledge now.
    pub(super) fn note_ack_ranges(&mut self, ranges: usize) {
        self.sequences.ranges = ranges;
        self.sequences.late = 0;
    }

    fn note(&mut self, body: &PacketBody<'_>) -> Result<(), GuardError> {
        match body {
            PacketBody::SmallReliable { channel, messages } => {
                let channel = self.reliable(*channel)?;
                messages.clone().for_each(|id| channel.note(id));
            }
            PacketBody::ReliableSlice { channel, slice } => self.reliable(*channel)?.note_slice(slice),
            PacketBody::SmallUnreliable { .. }
            | PacketBody::UnreliableSlice { .. }
            | PacketBody::Ack { .. } => {}
        }
        Ok(())
    }

    fn reliable(&mut self, id: u8) -> Result<&mut ChannelGuard, GuardError> {
        match Channel::from_id(ChannelId(id)) {
            Some(Channel::ReliableUnordered) => Ok(&mut self.unordered),
            Some(Channel::ReliableOrdered) => Ok(&mut self.ordered),
            Some(Channel::Unreliable) | None => Err(GuardError::UnknownChannel(id)),
        }
    }
}

fn unreliable(id: u8) -> Result<(), GuardError> {
    match Channel::from_id(ChannelId(id)) {
        Some(Channel::Unreliable) => Ok(()),
        _ => Err(GuardError::UnknownChannel(id)),
    }
}

/// Packet sequences received: refuses repeats, and bounds how many separate ranges renet has to record.
#[derive(Debug, Default)]
struct SequenceWindow {
    /// Highest sequence received plus one.
    end: u64,
    /// Bit `i` says whether `end - 1 - i` was received.
    received: u128,
    /// Ranges that renet had to acknowledge when it was last asked.
    ranges: usize,
    /// Packets below the highest since then: each may have added a range.
    late: usize,
}

impl SequenceWindow {
    /// Number of ranges above which renet discards the oldest. Late packets can still add ranges beyond it.
    const RANGES_KEPT: usize = 64;

    /// Records a sequence, and returns whether its packet counts: it is neither a repeat nor too late.
    fn insert(&mut self, sequence: u64) -> bool {
        if sequence >= self.end {
            // Bit 0 stands for the newest sequence, so the older bits move up; those moved past the top are lost.
            let ahead = sequence - self.end + 1;
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.received = self.received.checked_shl(shift).unwrap_or(0) | 1;
            self.end = sequence + 1;
            return true;
        }
        let bit = u32::try_from(self.end - 1 - sequence)
            .ok()
            .and_then(|age| 1u128.checked_shl(age));
        let Some(bit) = bit.filter(|bit| self.received & bit == 0) else {
            return false;
        };
        if self.ranges.max(Self::RANGES_KEPT) + self.late >= ACK_RANGES_MAX {
            return false;
        }
        self.received |= bit;
        self.late += 1;
        true
    }
}

/// The messages that were received through one reliable channel.
#[derive(Debug, Default)]
struct ChannelGuard {
    /// All messages with lower ids were received.
    base: u64,
    /// Bit `id % 256` says whether message `id` of the window was received.
    bits: [u64; WINDOW_WORDS],
    /// Messages that still lack slices. renet's memory limit bounds how many.
    partials: Vec<Partial>,
}

const WINDOW_WORDS: usize = RELIABLE_WINDOW_MESSAGES as usize / 64;

#[derive(Clone, Copy, Debug)]
struct Partial {
    message: u64,
    count: u8,
    /// Bit `i` says whether slice `i` was received.
    slices: u8,
}

impl ChannelGuard {
    fn is_near(&self, id: u64) -> bool {
        id < self.base + RELIABLE_WINDOW_MESSAGES
    }

    fn received(&self, id: u64) -> bool {
        id < self.base || self.bits[word(id)] & bit(id) != 0
    }

    fn note(&mut self, id: u64) {
        if self.received(id) {
            return;
        }
        self.bits[word(id)] |= bit(id);
        // Clears each bit below the new base: it stands for an id that is 256 higher from now on.
        while self.bits[word(self.base)] & bit(self.base) != 0 {
            self.bits[word(self.base)] &= !bit(self.base);
            self.base += 1;
        }
    }

    fn check_slice(&self, slice: &Slice) -> Result<(), GuardError> {
        if !self.is_near(slice.message) {
            return Err(GuardError::MessageTooFar);
        }
        match self
            .partials
            .iter()
            .find(|partial| partial.message == slice.message)
        {
            Some(partial) if partial.count != slice.count => Err(GuardError::SliceCountChanged),
            _ => Ok(()),
        }
    }

    fn note_slice(&mut self, slice: &Slice) {
        if self.received(slice.message) {
            return;
        }
        let found = self
            .partials
            .iter()
            .position(|partial| partial.message == slice.message);
        let index = found.unwrap_or_else(|| {
            self.partials.push(Partial {
                message: slice.message,
                count: slice.count,
                slices: 0,
            });
            self.partials.len() - 1
        });
        let partial = &mut self.partials[index];
        partial.slices |= 1 << slice.index;
        if partial.slices.count_ones() == u32::from(partial.count) {
            self.partials.swap_remove(index);
            self.note(slice.message);
        }
    }
}

fn word(id: u64) -> usize {
    (id / 64) as usize % WINDOW_WORDS
}

fn bit(id: u64) -> u64 {
    1 << (id % 64)
}
