//! Which packets arrived.

use throng_shared::protocol::input::SnapshotAck;

/// Packets before the newest that are remembered and acknowledged.
const WINDOW: u64 = 64;
/// Where unwrapped packet numbers start, so that the ones before the first received have one.
const ORIGIN: u64 = 1 << 32;

/// The newest packet number and the 64 before it.
#[derive(Debug, Default)]
pub(super) struct AckWindow {
    /// Unwrapped; 0 before the first.
    newest: u64,
    bits: u64,
}

/// What a packet number says about its packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PacketFreshness {
    /// Not seen before; its unwrapped number.
    New(u64),
    Duplicate,
    /// Too old to be acknowledged.
    Stale,
}

impl AckWindow {
    pub(super) fn look_up(&self, wire: u16) -> PacketFreshness {
        if self.newest == 0 {
            return PacketFreshness::New(ORIGIN + u64::from(wire));
        }
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

    /// Notes a number that was looked up as new.
    pub(super) fn insert(&mut self, sequence: u64) {
        if sequence <= self.newest {
            self.bits |= 1 << (self.newest - sequence - 1).min(WINDOW - 1);
            return;
        }
        let ahead = sequence - self.newest;
        self.bits = if self.newest == 0 || ahead > WINDOW {
            0
        } else {
            // The newest so far becomes one of those before.
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
    fn nothing_received_is_nothing_to_acknowledge() {
        let mut window = AckWindow::default();
        assert_eq!(window.ack(), None);
        assert!(insert_wire(&mut window, 0));
        assert_eq!(window.ack(), Some(SnapshotAck { newest: 0, bits: 0 }));
        assert!(insert_wire(&mut window, u16::MAX), "one before the first");
        assert_eq!(window.ack(), Some(SnapshotAck { newest: 0, bits: 1 }));
    }

    proptest! {
        #[test]
        fn acknowledges_what_arrived_across_wraps(
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
