//! Snapshot ages: when each tick's snapshots reached the bots, against when the server published the tick.
//!
//! Bots note arrivals as they come; the server's publish times follow about once a second, and only then an
//! age can be told. Until then the arrivals of the last [`TICKS_KEPT`] ticks wait here. On one machine both
//! ends read the same clock and ages are exact; towards another machine the clocks differ by an unknown
//! constant, and the smallest difference seen stands for it (*ages are then relative to the fastest
//! snapshot*).

use std::time::Duration;

use throng_server::observe::{Histogram, HistogramSnapshot};

/// Ticks whose arrivals wait for their publish time: 6.4 s at 20 Hz. Older ones are given up.
pub const TICKS_KEPT: usize = 128;

/// Differences to a remote clock that must be seen before their minimum is trusted.
const REMOTE_SAMPLES_MIN: usize = 100;

#[derive(Debug, Default)]
struct PendingTick {
    tick: u32,
    /// Nanoseconds on the swarm's clock.
    arrived_ns: Vec<u64>,
}

/// Whose clock publish times are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishClock {
    /// The clock of this machine.
    Shared,
    /// Another machine's.
    Remote,
}

/// Collects arrivals and turns them into ages.
#[derive(Debug)]
pub struct Arrivals {
    clock: PublishClock,
    waiting: Box<[PendingTick]>,
    /// Differences to a remote clock until there are enough of them.
    differences: Vec<i64>,
    least_difference: i64,
    ages: Histogram,
    /// Mean of the last folded tick's ages, for figures that build on it.
    recent_mean: Duration,
}

impl Arrivals {
    /// For publish times read from `clock`.
    pub fn new(clock: PublishClock) -> Self {
        Self {
            clock,
            waiting: (0..TICKS_KEPT).map(|_| PendingTick::default()).collect(),
            differences: Vec::new(),
            least_difference: i64::MAX,
            ages: Histogram::new(),
            recent_mean: Duration::ZERO,
        }
    }

    /// A snapshot of `tick` arrived at `at_ns` on the swarm's clock.
    #[inline]
    pub fn arrived(&mut self, tick: u32, at_ns: u64) {
        let waiting = &mut self.waiting[tick as usize % TICKS_KEPT];
        if waiting.tick != tick {
            waiting.tick = tick;
            waiting.arrived_ns.clear();
        }
        waiting.arrived_ns.push(at_ns);
    }

    /// The server published `tick` at `at_ns` on its clock. Each tick's arrivals count once.
    pub fn published(&mut self, tick: u32, at_ns: u64) {
        let index = tick as usize % TICKS_KEPT;
        if self.waiting[index].tick != tick || self.waiting[index].arrived_ns.is_empty() {
            return;
        }
        let mut arrived = std::mem::take(&mut self.waiting[index].arrived_ns);
        let mut sum = 0_u64;
        for arrived_ns in &arrived {
            sum += self.fold(arrived_ns.wrapping_sub(at_ns) as i64);
        }
        self.recent_mean = Duration::from_nanos(sum / arrived.len() as u64);
        // Cleared, so that a tick reported twice counts once; kept, so that nothing is allocated anew.
        arrived.clear();
        self.waiting[index].arrived_ns = arrived;
    }

    /// Counts one difference between arrival and publish time; returns the age it stands for.
    fn fold(&mut self, difference: i64) -> u64 {
        self.least_difference = self.least_difference.min(difference);
        match self.clock {
            // Clocks of one machine agree to well under a microsecond; below zero is zero.
            PublishClock::Shared => self.count(difference.max(0)),
            PublishClock::Remote if self.differences.len() < REMOTE_SAMPLES_MIN => {
                self.differences.push(difference);
                if self.differences.len() == REMOTE_SAMPLES_MIN {
                    for index in 0..REMOTE_SAMPLES_MIN {
                        self.count(self.differences[index] - self.least_difference);
                    }
                }
                0
            }
            PublishClock::Remote => self.count(difference - self.least_difference),
        }
    }

    fn count(&self, age_ns: i64) -> u64 {
        self.ages.record(Duration::from_nanos(age_ns as u64));
        age_ns as u64
    }

    /// Mean age of the tick folded last.
    pub fn recent_mean(&self) -> Duration {
        self.recent_mean
    }

    /// Every age told so far; subtract an earlier reading for a window.
    pub fn ages(&self) -> HistogramSnapshot {
        self.ages.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn ages_are_told_once_the_publish_time_is_known() {
        let mut arrivals = Arrivals::new(PublishClock::Shared);
        for (tick, at_ms) in [(7, 103), (7, 105), (8, 151), (9, 199)] {
            arrivals.arrived(tick, at_ms * MS);
        }
        assert_eq!(arrivals.ages().count, 0, "nothing is known yet");
        arrivals.published(7, 100 * MS);
        arrivals.published(8, 150 * MS);
        arrivals.published(8, 150 * MS);
        arrivals.published(6, 50 * MS);
        let ages = arrivals.ages();
        assert_eq!(
            (ages.count, ages.max_ns, ages.sum_ns),
            (3, 5 * MS, 9 * MS),
            "3, 5 and 1 ms"
        );
        arrivals.published(9, 200 * MS);
        assert_eq!(
            arrivals.ages().sum_ns,
            9 * MS,
            "a clock that reads a little early is zero"
        );
        assert_eq!(arrivals.recent_mean(), Duration::ZERO);
    }

    #[test]
    fn a_tick_that_nobody_asked_about_gives_way() {
        let mut arrivals = Arrivals::new(PublishClock::Shared);
        arrivals.arrived(1, 10 * MS);
        arrivals.arrived(1 + TICKS_KEPT as u32, 20 * MS);
        arrivals.published(1, 0);
        assert_eq!(arrivals.ages().count, 0);
        arrivals.published(1 + TICKS_KEPT as u32, 19 * MS);
        assert_eq!(arrivals.ages().sum_ns, MS);
    }

    #[test]
    fn a_remote_clock_is_read_by_its_fastest_snapshot() {
        let mut arrivals = Arrivals::new(PublishClock::Remote);
        // The server's clock is 1 s ahead; snapshots take 5..=9 ms.
        for tick in 1..=200_u32 {
            let published = u64::from(tick) * 50 * MS + 1_000 * MS;
            arrivals.arrived(tick, published - 1_000 * MS + (5 + u64::from(tick) % 5) * MS);
            arrivals.published(tick, published);
        }
        let ages = arrivals.ages();
        assert_eq!(ages.count, 200);
        assert_eq!(ages.sum_ns, 200 * 2 * MS, "0 to 4 ms above the fastest");
    }
}
