//! The deadlines of ticks, and what a loop that is late does about those that have passed.
//!
//! Guarantees that a loop which was late once runs the ticks that it owes, if they are few, and that the tick number
//! follows the clock in all other cases: after a longer pause, and for ticks that take longer than their interval. A
//! server that is permanently too slow skips evenly and never falls behind by more than the ticks it may catch up on.

use std::time::Duration;

/// Passed deadlines up to which a late loop runs every tick, back to back. With more it skips them.
pub(super) const CATCH_UP_TICKS_MAX: u64 = 10;

/// Tick numbers that one tick skips at most: a pause of 3.4 years at 20 Hz. It keeps comparisons of ticks correct.
pub(crate) const SKIPPED_MAX: u32 = 1 << 30;

/// The deadlines of one loop.
#[derive(Debug)]
pub(super) struct Deadlines {
    first: Duration,
    length: Duration,
    /// Number of deadlines before that of the next tick.
    passed: u64,
    /// Whether a tick that was to catch up ended even later than it began, and no tick since then ended in time.
    is_slow: bool,
}

impl Deadlines {
    /// Creates deadlines of which the first is at `first`, and each later one `length` after the one before.
    pub(super) fn new(first: Duration, length: Duration) -> Self {
        Self {
            first,
            length,
            passed: 0,
            is_slow: false,
        }
    }

    /// Returns the deadline of the next tick.
    pub(super) fn due(&self) -> Duration {
        self.due_after(0)
    }

    /// Returns the deadline of the next tick after `skipped` numbers are skipped.
    pub(super) fn due_after(&self, skipped: u32) -> Duration {
        let deadlines = self.passed + u64::from(skipped);
        self.first + Duration::from_nanos((self.length.as_nanos() as u64).saturating_mul(deadlines))
    }

    /// Returns whether the next tick is one of several that a late loop runs back to back.
    pub(super) fn is_catching_up(&self, now: Duration) -> bool {
        self.missed(now) > 0 && self.skipped(now) == 0
    }

    /// Returns how many tick numbers to skip before a tick that starts at `now`.
    pub(super) fn skipped(&self, now: Duration) -> u32 {
        let missed = self.missed(now);
        if self.is_slow || missed > CATCH_UP_TICKS_MAX {
            missed.min(u64::from(SKIPPED_MAX)) as u32
        } else {
            0
        }
    }

    /// Advances past the tick that skipped `skipped` numbers, started at `began` and ended at `now`. Returns whether it
    /// ended after the next deadline.
    pub(super) fn advance(&mut self, skipped: u32, began: Duration, now: Duration) -> bool {
        let began_late = began.saturating_sub(self.due_after(skipped));
        self.passed += u64::from(skipped) + 1;
        let late = now.saturating_sub(self.due());
        let is_late = !late.is_zero();
        let fell_behind = began_late >= self.length && late >= began_late;
        self.is_slow = is_late && (self.is_slow || fell_behind);
        is_late
    }

    /// Returns the number of deadlines after the next tick's that have passed at `now`.
    fn missed(&self, now: Duration) -> u64 {
        let late = now.saturating_sub(self.due());
        (late.as_nanos() / self.length.as_nanos().max(1)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Duration = Duration::from_millis(50);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs ticks that take the times `costs`, in milliseconds. Returns of each its number, the numbers it skipped, its
    /// start, and by how much it started after its deadline.
    fn run(costs: impl IntoIterator<Item = u64>) -> Vec<(u64, u32, Duration, Duration)> {
        let mut deadlines = Deadlines::new(Duration::ZERO, LENGTH);
        let mut now = Duration::ZERO;
        let mut ran = Vec::new();
        for cost in costs {
            now = now.max(deadlines.due());
            let (began, skipped) = (now, deadlines.skipped(now));
            let late = began - deadlines.due_after(skipped);
            now += ms(cost);
            deadlines.advance(skipped, began, now);
            ran.push((deadlines.passed, skipped, began, late));
        }
        ran
    }

    fn numbers(ran: &[(u64, u32, Duration, Duration)]) -> Vec<u64> {
        ran.iter().map(|&(number, ..)| number).collect()
    }

    /// Ticks of 1 ms, of which the third takes `stall`.
    fn stalled(stall: u64, ticks: u64) -> Vec<(u64, u32, Duration, Duration)> {
        run((1..=ticks).map(|tick| if tick == 3 { stall } else { 1 }))
    }

    #[test]
    fn a_late_loop_catches_up_by_ten_ticks_without_skipping() {
        // The third tick starts at 100 ms. After 549 ms the deadline of the fourth and nine more have passed.
        for stall in [51, 99, 300, 549] {
            let ran = stalled(stall, 30);
            assert_eq!(numbers(&ran), (1..=30).collect::<Vec<_>>(), "{stall} ms");
            assert_eq!(ran[29].2, ms(29 * 50), "{stall} ms: in time again");
        }
        assert_eq!(stalled(549, 4)[3].3, ms(499));
    }

    #[test]
    fn a_loop_later_than_ten_ticks_jumps_to_the_present() {
        for (stall, skipped) in [(600, 11), (2_000, 39), (5_000, 99), (15_000, 299)] {
            let ran = stalled(stall, 10);
            assert_eq!(ran[3].1, skipped, "{stall} ms");
            for &(number, _, began, late) in &ran {
                assert_eq!(number, began.as_millis() as u64 / 50 + 1, "{stall} ms: {ran:?}");
                assert!(late < LENGTH, "{stall} ms");
            }
            assert!(
                ran[4..].iter().all(|&(_, skipped, ..)| skipped == 0),
                "{stall} ms"
            );
        }
    }

    #[test]
    fn a_loop_at_half_its_rate_skips_every_second_number() {
        let ran = run([100; 60]);
        assert!(ran[5..].iter().all(|&(_, skipped, ..)| skipped == 1), "{ran:?}");
        assert!(ran[5..].iter().all(|&(.., late)| late.is_zero()), "{ran:?}");
    }

    #[test]
    fn a_loop_recovers_from_slowness_when_a_tick_ends_in_time() {
        // Slow for ten ticks, then one pause from which the loop may catch up again.
        let costs = [[100; 10].as_slice(), &[1; 10], &[200], &[1; 10]].concat();
        let ran = run(costs);
        assert!(ran[11..].iter().all(|&(_, skipped, ..)| skipped == 0), "{ran:?}");
    }

    proptest! {
        #[test]
        fn numbers_rise_and_the_loop_is_never_later_than_it_may_catch_up(
            costs in prop::collection::vec(prop_oneof![8 => 0u64..60, 2 => 40u64..200, 1 => 0u64..20_000], 1..200),
        ) {
            let ran = run(costs);
            let mut last = 0;
            for &(number, skipped, began, late) in &ran {
                prop_assert_eq!(number, last + u64::from(skipped) + 1);
                last = number;
                prop_assert_eq!(LENGTH * (number as u32 - 1) + late, began);
                prop_assert!(late < LENGTH * (CATCH_UP_TICKS_MAX as u32 + 1), "{late:?}");
            }
        }

        #[test]
        fn a_loop_that_is_always_too_slow_skips_evenly(cost in 51u64..1_000) {
            let ran = run([cost; 200]);
            // It takes a few ticks to see that it does not catch up.
            let settled = &ran[100..];
            let skips = settled.iter().map(|&(_, skipped, ..)| skipped);
            let (least, most) = (skips.clone().min().unwrap(), skips.max().unwrap());
            prop_assert!(most - least <= 1, "{least} to {most} skipped");
            prop_assert!(settled.iter().all(|&(.., late)| late < LENGTH), "{cost} ms");
        }
    }
}
