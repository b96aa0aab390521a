//! The packets on their way to a client, and whether they arrived.
//!
//! The last 64 packets are recorded with the short ids that they contain. A packet is lost when three newer
//! ones were acknowledged, or when 64 newer ones were sent. There are no timers.

use throng_shared::prefetch::prefetch;
use throng_shared::protocol::ids::SlotKey;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::tick::Tick;

use super::SIMULATIONS_MAX;
use super::known::{GROUPS_USUAL, Known, each_id};

/// Number of packets that are recorded.
const PACKETS: usize = 64;

/// The packets of one client that were sent last.
#[derive(Debug)]
pub(super) struct SentPackets {
    /// Number of the next packet.
    next: u16,
    /// Bit `i`: packet `next - 1 - i` is neither acknowledged nor lost.
    open: u64,
    /// Bit `i`: packet `next - 1 - i` was acknowledged.
    acked: u64,
    records: Box<[Record; PACKETS]>,
    /// By record: the short ids in the packet, in `stride` words.
    words: Vec<u64>,
    stride: usize,
    /// Whether any packet was ever acknowledged.
    has_acked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    tick: Tick,
    /// By simulation: how much older than the packet its section is.
    older: [u8; SIMULATIONS_MAX],
}

impl Record {
    /// Returns whether all its sections are of its own tick.
    #[inline]
    fn is_single_tick(&self) -> bool {
        u64::from_ne_bytes(self.older) == 0
    }

    /// Returns the tick of the state that the packet has of an entity of a simulation.
    #[inline]
    fn state_tick(&self, key: SlotKey) -> Tick {
        self.tick - u32::from(self.older[usize::from(key.simulation().0) % SIMULATIONS_MAX])
    }
}

/// Numbers of packets that were acknowledged or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AckOutcome {
    pub(super) acked: u32,
    pub(super) lost: u32,
}

impl Default for SentPackets {
    fn default() -> Self {
        Self {
            next: 0,
            open: 0,
            acked: 0,
            records: Box::new([Record::default(); PACKETS]),
            words: vec![0; GROUPS_USUAL * PACKETS],
            stride: GROUPS_USUAL,
            has_acked: false,
        }
    }
}

impl SentPackets {
    /// Sets the number of the first packet.
    #[cfg(test)]
    pub(super) fn start_at(&mut self, next: u16) {
        self.next = next;
    }

    /// Prefetches the records of the last packet and the next.
    #[inline]
    pub(super) fn prefetch(&self) {
        for sequence in [self.next, self.next.wrapping_sub(1)] {
            let (record, words) = self.record(sequence);
            prefetch(record);
            prefetch(words);
        }
    }

    /// Returns the number of the next packet.
    pub(super) fn next(&self) -> u16 {
        self.next
    }

    /// Returns whether the client ever acknowledged a packet.
    pub(super) fn has_acked(&self) -> bool {
        self.has_acked
    }

    /// Starts the record of the next packet. The packet that falls out of the window is lost unless it was
    /// acknowledged or lost before.
    pub(super) fn push(&mut self, tick: Tick, known: &mut Known) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        if self.open >> (PACKETS - 1) == 1 {
            self.lose(self.next, known);
            outcome.lost = 1;
        }
        self.make_room(known.groups().len());
        let record = usize::from(self.next) % PACKETS;
        self.records[record] = Record {
            tick,
            older: [0; SIMULATIONS_MAX],
        };
        self.words[record * self.stride..(record + 1) * self.stride].fill(0);
        self.next = self.next.wrapping_add(1);
        self.open = self.open << 1 | 1;
        self.acked <<= 1;
        outcome
    }

    /// Records that the newest packet's section of `simulation` is `older` ticks older than the packet.
    pub(super) fn set_older(&mut self, simulation: usize, older: u8) {
        self.records[usize::from(self.next.wrapping_sub(1)) % PACKETS].older[simulation] = older;
    }

    /// Returns the short ids of the newest packet, to be added to.
    pub(super) fn ids(&mut self) -> &mut [u64] {
        let record = usize::from(self.next.wrapping_sub(1)) % PACKETS;
        &mut self.words[record * self.stride..(record + 1) * self.stride]
    }

    /// Applies the acknowledgement of sent packets to the known entities. Packets that were never sent or are no
    /// longer recorded are ignored.
    pub(super) fn acknowledge(&mut self, ack: SnapshotAck, known: &mut Known) -> AckOutcome {
        let newest = self.next.wrapping_sub(1);
        let behind = u32::from(newest.wrapping_sub(ack.newest));
        if behind >= PACKETS as u32 {
            return AckOutcome::default();
        }
        let mut outcome = AckOutcome::default();
        let arrived = (ack.bits << 1 | 1) << behind & self.open;
        self.open &= !arrived;
        self.acked |= arrived;
        self.has_acked |= arrived != 0;
        let mut left = arrived;
        while left != 0 {
            let at = left.ilog2();
            left ^= 1 << at;
            outcome.acked += 1;
            let (packet, words) = self.record(newest.wrapping_sub(at as u16));
            for (at, &ids) in words.iter().enumerate() {
                known.acknowledge(at, ids, packet.tick, packet.is_single_tick(), |key| {
                    packet.state_tick(key)
                });
            }
        }
        // Packets older than the third newest that arrived are lost. `x & (x - 1)` clears the lowest bit,
        // which is the newest packet: after two of them the lowest bit is the third newest.
        let two_less = self.acked & self.acked.wrapping_sub(1);
        let third = two_less & two_less.wrapping_sub(1);
        let mut lost = if third == 0 {
            0
        } else {
            self.open & (u64::MAX << third.trailing_zeros())
        };
        self.open &= !lost;
        while lost != 0 {
            let at = lost.ilog2();
            lost ^= 1 << at;
            outcome.lost += 1;
            self.lose(newest.wrapping_sub(at as u16), known);
        }
        outcome
    }

    fn lose(&self, sequence: u16, known: &mut Known) {
        let (packet, words) = self.record(sequence);
        for (at, &ids) in words.iter().enumerate() {
            each_id(at, ids, |id| {
                known.lose(id, packet.state_tick(known.key(id)));
            });
        }
    }

    #[inline]
    fn record(&self, sequence: u16) -> (&Record, &[u64]) {
        let record = usize::from(sequence) % PACKETS;
        let words = &self.words[record * self.stride..(record + 1) * self.stride];
        (&self.records[record], words)
    }

    /// Widens the records when the known set has grown.
    fn make_room(&mut self, stride: usize) {
        if stride <= self.stride {
            return;
        }
        let mut words = vec![0; stride * PACKETS];
        for record in 0..PACKETS {
            words[record * stride..][..self.stride]
                .copy_from_slice(&self.words[record * self.stride..][..self.stride]);
        }
        self.words = words;
        self.stride = stride;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes a packet with one update for each id in the bit set `ids`.
    fn send(sent: &mut SentPackets, known: &mut Known, tick: u32, ids: u64) -> AckOutcome {
        let outcome = sent.push(Tick(tick), known);
        sent.ids()[0] = ids;
        known.note_sent(0, ids, Tick(tick));
        outcome
    }

    fn three_known() -> Known {
        let mut known = Known::new(8);
        for slot in 0..3 {
            known.enter(SlotKey(slot), Tick(1));
        }
        known
    }

    #[test]
    fn a_packet_is_lost_when_three_newer_ones_are_acknowledged() {
        let (mut sent, mut known) = (SentPackets::default(), three_known());
        for tick in 1..=5 {
            send(&mut sent, &mut known, tick, if tick == 2 { 0b011 } else { 0b100 });
        }
        let ack = |newest, bits| SnapshotAck { newest, bits };
        assert_eq!(
            sent.acknowledge(ack(3, 0b001), &mut known),
            AckOutcome { acked: 2, lost: 0 }
        );
        assert_eq!(known.sent(0), Tick(2));
        assert_eq!(
            sent.acknowledge(ack(4, 0b011), &mut known),
            AckOutcome { acked: 1, lost: 2 }
        );
        assert!(Tick(2).is_after(known.sent(0)), "dirty again");
        assert_eq!(known.acked(2), Tick(5));
        // Too late: it counts as lost.
        assert_eq!(
            sent.acknowledge(ack(4, 0b1111), &mut known),
            AckOutcome::default()
        );
        assert_eq!(known.groups()[0].confirmed & 0b101, 0b100);
    }

    #[test]
    fn packets_that_fall_out_of_the_window_are_lost() {
        let (mut sent, mut known) = (SentPackets::default(), three_known());
        for tick in 1..=64 {
            assert_eq!(
                send(&mut sent, &mut known, tick, u64::from(tick == 1)),
                AckOutcome::default()
            );
        }
        assert_eq!(known.sent(0), Tick(1));
        assert_eq!(send(&mut sent, &mut known, 65, 0).lost, 1);
        assert!(Tick(1).is_after(known.sent(0)));
    }

    #[test]
    fn sent_records_keep_their_ids_when_they_are_widened() {
        let (mut sent, mut known) = (SentPackets::default(), Known::new(200));
        known.enter(SlotKey(0), Tick(1));
        send(&mut sent, &mut known, 1, 1);
        for slot in 1..100 {
            known.enter(SlotKey(slot), Tick(2));
        }
        send(&mut sent, &mut known, 2, 2);
        sent.acknowledge(SnapshotAck { newest: 1, bits: 1 }, &mut known);
        assert_eq!((known.acked(0), known.acked(1)), (Tick(1), Tick(2)));
        assert_eq!(known.groups()[0].confirmed.count_ones(), 2);
    }

    proptest! {
        #[test]
        fn every_packet_is_acknowledged_or_lost_once_across_the_wrap(
            start: u16, steps in prop::collection::vec((1usize..4, 0u16..80, any::<u64>(), any::<u64>()), 1..200),
        ) {
            let (mut sent, mut known) = (SentPackets { next: start, ..SentPackets::default() }, three_known());
            let (mut pushed, mut resolved) = (0, 0);
            for (packets, behind, a, b) in steps {
                for _ in 0..packets {
                    pushed += 1;
                    resolved += send(&mut sent, &mut known, pushed, 0b111).lost;
                }
                let newest = sent.next().wrapping_sub(1).wrapping_sub(behind);
                let outcome = sent.acknowledge(SnapshotAck { newest, bits: a & b }, &mut known);
                resolved += outcome.acked + outcome.lost;
                prop_assert_eq!(pushed - resolved, sent.open.count_ones());
            }
        }
    }
}
