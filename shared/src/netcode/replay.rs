//! The record of which of the last 256 packets were received.
//!
//! Guarantees that no sequence number passes twice; refuses numbers older than the window.

const WINDOW: u64 = 256;

/// A sliding window over sequence numbers, 40 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplayWindow {
    /// One more than the newest number received; 0 before the first.
    next: u64,
    /// Bit `n % 256` says whether `n` was received, for the 256 numbers below `next`.
    received: [u64; 4],
}

impl ReplayWindow {
    /// Returns whether a packet of this number must be refused. Cheap: called before the packet is opened.
    pub(crate) fn refuses(&self, sequence: u64) -> bool {
        if sequence >= self.next {
            // `u64::MAX` has no successor for `next`, so it would be accepted again and again.
            return sequence == u64::MAX;
        }
        self.next - sequence > WINDOW || self.received[word(sequence)] & bit(sequence) != 0
    }

    /// Records a number that was not refused and whose packet proved authentic.
    pub(crate) fn accept(&mut self, sequence: u64) {
        if sequence >= self.next {
            if sequence - self.next >= WINDOW {
                self.received = [0; 4];
            } else {
                // The bits of the skipped numbers still say which of the numbers 256 lower were received: clear them.
                for skipped in self.next..sequence {
                    self.received[word(skipped)] &= !bit(skipped);
                }
            }
            self.next = sequence + 1;
        }
        self.received[word(sequence)] |= bit(sequence);
    }
}

fn word(sequence: u64) -> usize {
    (sequence % WINDOW / 64) as usize
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn offer(window: &mut ReplayWindow, sequence: u64) -> bool {
        let fresh = !window.refuses(sequence);
        if fresh {
            window.accept(sequence);
        }
        fresh
    }

    #[test]
    fn the_replay_window_accepts_each_number_once_and_no_old_one() {
        let mut window = ReplayWindow::default();
        for sequence in 0..1_000 {
            assert!(offer(&mut window, sequence));
            assert!(!offer(&mut window, sequence));
        }
        assert!(offer(&mut window, 1_500));
        assert!(!offer(&mut window, 1_500 - 256));
        assert!(offer(&mut window, 1_500 - 255));
        assert!(!offer(&mut window, 999));
    }

    #[test]
    fn the_replay_window_does_not_overflow_at_the_last_numbers() {
        let mut window = ReplayWindow::default();
        assert!(offer(&mut window, u64::MAX - 1));
        assert!(!offer(&mut window, u64::MAX - 1));
        assert!(!offer(&mut window, u64::MAX));
        assert!(!offer(&mut window, 0));
    }

    proptest! {
        #[test]
        fn the_replay_window_accepts_what_a_set_of_all_numbers_accepts(
            start in prop_oneof![Just(0u64), Just(u64::MAX - 5_000), any::<u64>().prop_map(|n| n / 2)],
            steps in proptest::collection::vec(0u64..600, 1..400),
        ) {
            let mut window = ReplayWindow::default();
            let mut seen = BTreeSet::new();
            let mut newest: Option<u64> = None;
            let mut base = start;
            for step in steps {
                // Mostly near the newest number, on both sides of it.
                let sequence = base.saturating_add(step).saturating_sub(280).min(u64::MAX - 1);
                base = base.saturating_add(step % 3);
                let in_window = newest.is_none_or(|newest| sequence > newest || newest - sequence < 256);
                let expected = in_window && !seen.contains(&sequence);
                prop_assert_eq!(offer(&mut window, sequence), expected);
                if expected {
                    seen.insert(sequence);
                    newest = newest.max(Some(sequence));
                }
            }
        }
    }
}
