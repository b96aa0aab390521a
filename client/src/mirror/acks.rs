//! Records which snapshot packets arrived, for the acknowledgement in the next input packet.

use throng_shared::protocol::input::SnapshotAck;

/// Packets before the newest that are remembered and acknowledged: one for each bit of `AckWindow::bits`.
const WINDOW: u64 = 64;
/// Number added to the number of the first received packet to unwrap it. It is above 0, so that packets that were
/// sent earlier but arrive later have a number, too.
const ORIGIN: u64 = 1 << 32;

/// The newest packet number and the 64 before it.
#[derive(Debug, Default)]
pub(super) struct AckWindow {
    /// Unwrapped number of the newest packet; 0 before the first.
    newest: u64,
    /// Bit `n` is set when the packet `n + 1` before the newest has arrived.
    bits: u64,
}

/// Whether a packet with a given number is new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PacketFreshness {
    /// Not received before; holds the unwrapped number.
    New(u64),
    /// Received before.
    Duplicate,
    /// Too old to be acknowledged.
    Stale,
}

impl AckWindow {
    /// Unwraps a 16-bit packet number and classifies its packet. Changes nothing.
    pub(super) fn look_up(&self, wire: u16) -> PacketFreshness {
        if self.newest == 0 {
            return PacketFreshness::New(ORIGIN + u64::from(wire));
        }
        // The wrapped difference as a signed number: the unwrapped number is the candidate nearest to the newest.
        let ahead = wire.wrapping_sub(self.newest as u16) as i16;
        let sequence = self.newest.wrapping_add_signed(ahead.into());
        match self.newest.checked_sub(sequence) {
            Some(0) => PacketFreshness::Duplicate,
            Some(behind) if behind > WINDOW => PacketFreshness::Stale,
            Some(behind) if self.bits >> (behind - 1) & 1 == 1 => PacketFreshness::Duplicate,
            None | Some(_) => PacketFreshness::New(sequence),
        }
    }

    pub(super) fn is_newest(&self, sequence: u64) -> bool {
        sequence > self.newest
    }

    /// Records a number that [`AckWindow::look_up`] returned as new.
    pub(super) fn insert(&mut self, sequence: u64) {
        if sequence <= self.newest {
            self.bits |= 1 << (self.newest - sequence - 1).min(WINDOW - 1);
            return;
        }
        let ahead = sequence - self.newest;
        self.bits = if self.newest == 0 || ahead > WINDOW {
            0
        } else {
            // The former newest becomes the first of the earlier ones, then all shift by the numbers between.
            (self.bits << 1 | 1) << (ahead - 1)
        };
        self.newest = sequence;
    }

    pub(super) fn ack(&self) -> Option<SnapshotAck> {
        (self.newest != 0).then_some(SnapshotAck {
            newest: self.newest as u16,
            bits: self.bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn insert_wire(window: &mut AckWindow, wire: u16) -> bool {
        match window.look_up(wire) {
            PacketFreshness::New(sequence) => {
                window.insert(sequence);
                true
            }
            PacketFreshness::Duplicate | PacketFreshness::Stale => false,
        }
    }

    #[test]
    fn ack_is_none_until_a_packet_arrives() {
        let mut window = AckWindow::default();
        assert_eq!(window.ack(), None);
        assert!(insert_wire(&mut window, 0));
        assert_eq!(window.ack(), Some(SnapshotAck { newest: 0, bits: 0 }));
        assert!(insert_wire(&mut window, u16::MAX), "one before the first");
        assert_eq!(window.ack(), Some(SnapshotAck { newest: 0, bits: 1 }));
    }

    proptest! {
        #[test]
        fn ack_bits_match_received_packets_across_wraps(
            start: u16, steps in prop::collection::vec((-80i64..80, any::<bool>()), 1..400),
        ) {
            let mut window = AckWindow::default();
            let (mut model, mut newest) = (BTreeSet::new(), 1_000_000 + i64::from(start));
            for (step, is_jump) in steps {
                let number = newest + if is_jump { step * 100 } else { step.min(5) };
                let behind = newest - number;
                let is_fresh = model.is_empty() || (behind <= 64 && !model.contains(&number));
                prop_assert_eq!(insert_wire(&mut window, number as u16), is_fresh);
                if is_fresh {
                    model.insert(number);
                    newest = if model.len() == 1 { number } else { newest.max(number) };
                }
                let ack = window.ack().unwrap();
                prop_assert_eq!(ack.newest, newest as u16);
                for bit in 0..64 {
                    prop_assert_eq!(ack.bits >> bit & 1 == 1, model.contains(&(newest - 1 - bit)));
                }
            }
        }
    }
}
