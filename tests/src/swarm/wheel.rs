//! The times at which bots are due: a timer wheel with slots of a millisecond.
//!
//! Every bot is in the wheel once. Insertion and removal cost the same for five bots and for five thousand. Nothing
//! is allocated once every slot has reached its largest size.

use std::collections::VecDeque;
use std::time::Duration;

/// Slots of one millisecond in a revolution. A bot that is due later is returned early, after one revolution.
const SLOTS: u64 = 256;

/// Bots by the millisecond in which they are due.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    /// All bots that were due before this millisecond have been removed.
    next_ms: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS as usize],
            next_ms: 0,
        }
    }
}

impl Wheel {
    /// Inserts a bot that is due at `time`. If that is past, it is due in the next millisecond.
    #[inline]
    pub fn insert(&mut self, time: Duration, bot: u32) {
        let time_ms = time.as_millis() as u64 + 1;
        let slot = time_ms.clamp(self.next_ms, self.next_ms + SLOTS - 1);
        self.slots[(slot % SLOTS) as usize].push(bot);
    }

    /// Moves all bots that are due by `now` to the end of `due`.
    pub fn take_due(&mut self, now: Duration, due: &mut VecDeque<u32>) {
        let now_ms = now.as_millis() as u64;
        // After a long pause one revolution finds every bot.
        let from = self.next_ms.max(now_ms.saturating_sub(SLOTS - 1));
        for time_ms in from..=now_ms {
            due.extend(self.slots[(time_ms % SLOTS) as usize].drain(..));
        }
        self.next_ms = self.next_ms.max(now_ms + 1);
    }

    /// Returns the time until the next bot may be due, at most a revolution.
    #[must_use]
    pub fn until_next(&self, now: Duration) -> Duration {
        let waiting = (self.next_ms..self.next_ms + SLOTS)
            .find(|time_ms| !self.slots[(time_ms % SLOTS) as usize].is_empty());
        Duration::from_millis(waiting.unwrap_or(self.next_ms + SLOTS)).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn due_by(wheel: &mut Wheel, now: Duration) -> Vec<u32> {
        let mut due = VecDeque::new();
        wheel.take_due(now, &mut due);
        due.into()
    }

    #[test]
    fn a_bot_due_beyond_a_revolution_is_returned_after_one() {
        let mut wheel = Wheel::default();
        wheel.insert(1_000 * MS, 7);
        assert!(due_by(&mut wheel, 100 * MS).is_empty());
        assert_eq!(due_by(&mut wheel, 300 * MS), [7]);
    }

    #[test]
    fn a_pause_loses_no_bot() {
        let mut wheel = Wheel::default();
        (0..200).for_each(|bot| wheel.insert(bot * MS, bot));
        let mut due = due_by(&mut wheel, 10_000 * MS);
        due.sort_unstable();
        assert_eq!(due, (0..200).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_bot_is_due_once_and_never_early(
            wanted in prop::collection::vec(0_u32..200, 0..50), step in 1_u32..20,
        ) {
            let mut wheel = Wheel::default();
            for (bot, time) in wanted.iter().enumerate() {
                wheel.insert(*time * MS, bot as u32);
            }
            let mut seen = vec![0; wanted.len()];
            let mut now = Duration::ZERO;
            while now < 400 * MS {
                for bot in due_by(&mut wheel, now) {
                    let time = wanted[bot as usize] * MS;
                    prop_assert!(now >= time && now <= time + (step + 1) * MS, "{time:?} at {now:?}");
                    seen[bot as usize] += 1;
                }
                now += step * MS;
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
        }
    }
}
