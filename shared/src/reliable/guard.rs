//! What renet may be shown: the state of what a peer sent so far, and the checks that need it.
//!
//! Owns a window of packet sequences and, per reliable channel, a window of message ids and the
//! sliced messages in the making. Guarantees that what passes cannot make renet panic, nor hold
//! more than the limits say. Refuses by error what no renet peer sends; ignores, as if it had been
//! lost, what a renet peer may send but we need not take.

use super::GuardError;
use super::packet::{Body, Packet, Slice};
use crate::limits::{ACK_RANGES_MAX, RELIABLE_WINDOW_MESSAGES};
use crate::protocol::ids::{Channel, ChannelId};

/// What is to be done with a packet that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// renet processes it.
    Process,
    /// renet acknowledges its sequence: a repeat of something complete.
    AcknowledgeOnly(u8),
    /// Nothing: it counts as lost.
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
    /// Checks a packet and notes it. An error means that the session must end.
    pub(super) fn admit(&mut self, packet: &Packet<'_>, next_sequence: u64) -> Result<Verdict, GuardError> {
        let verdict = match &packet.body {
            Body::SmallReliable { channel, messages } => {
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
            Body::SmallUnreliable { channel } => {
                unreliable(*channel)?;
                Verdict::Process
            }
            Body::ReliableSlice { channel: id, slice } => {
                let channel = self.reliable(*id)?;
                channel.check_slice(slice)?;
                if channel.received(slice.message) {
                    Verdict::AcknowledgeOnly(*id)
                } else {
                    Verdict::Process
                }
            }
            Body::UnreliableSlice { channel } => {
                // The channel may lose messages, and a message that needs slices is not worth the
                // state: renet's own may hold what it assembles for longer than we could tell.
                unreliable(*channel)?;
                return Ok(Verdict::Ignore);
            }
            Body::Ack { ranges } => {
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

    /// Tells how many ranges renet would acknowledge now.
    pub(super) fn note_ack_ranges(&mut self, ranges: usize) {
        self.sequences.ranges = ranges;
        self.sequences.late = 0;
    }

    fn note(&mut self, body: &Body<'_>) -> Result<(), GuardError> {
        match body {
            Body::SmallReliable { channel, messages } => {
                let channel = self.reliable(*channel)?;
                messages.clone().for_each(|id| channel.note(id));
            }
            Body::ReliableSlice { channel, slice } => self.reliable(*channel)?.note_slice(slice),
            Body::SmallUnreliable { .. } | Body::UnreliableSlice { .. } | Body::Ack { .. } => {}
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

/// Packet sequences seen: drops repeats, and bounds how many separate ranges renet has to remember.
#[derive(Debug, Default)]
struct SequenceWindow {
    /// Highest sequence seen plus one.
    end: u64,
    /// Bit `i` says whether `end - 1 - i` was seen.
    seen: u128,
    /// Ranges that renet had to acknowledge when it was last asked.
    ranges: usize,
    /// Packets below the highest since then: each may have added a range.
    late: usize,
}

impl SequenceWindow {
    /// Ranges up to which renet itself forgets the oldest; above it, late packets still add some.
    const RANGES_KEPT: usize = 64;

    /// Whether the packet counts: not a repeat, not too late.
    fn insert(&mut self, sequence: u64) -> bool {
        if sequence >= self.end {
            let ahead = sequence - self.end + 1;
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.end = sequence + 1;
            return true;
        }
        let bit = u32::try_from(self.end - 1 - sequence)
            .ok()
            .and_then(|age| 1u128.checked_shl(age));
        let Some(bit) = bit.filter(|bit| self.seen & bit == 0) else {
            return false;
        };
        if self.ranges.max(Self::RANGES_KEPT) + self.late >= ACK_RANGES_MAX {
            return false;
        }
        self.seen |= bit;
        self.late += 1;
        true
    }
}

/// What was received through one reliable channel.
#[derive(Debug, Default)]
struct ChannelGuard {
    /// All messages below were received.
    base: u64,
    /// Bit `id % 256` says whether message `id` of the window was received.
    bits: [u64; WINDOW_WORDS],
    /// Messages of which slices are missing. renet's memory limit bounds how many.
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
        let at = found.unwrap_or_else(|| {
            self.partials.push(Partial {
                message: slice.message,
                count: slice.count,
                slices: 0,
            });
            self.partials.len() - 1
        });
        let partial = &mut self.partials[at];
        partial.slices |= 1 << slice.index;
        if partial.slices.count_ones() == u32::from(partial.count) {
            self.partials.swap_remove(at);
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
