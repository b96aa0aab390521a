//! Snapshot ages: the time from the server's publishing of a tick to the arrival of its snapshots at the bots.
//!
//! Bots record arrivals as they happen. The server's publish times follow about once a second, and only then ages
//! can be computed. Until then the arrivals of the last [`TICKS_KEPT`] ticks wait here. On one machine both ends read
//! the same clock and ages are exact. The clock of another machine differs by an unknown constant. The
//! smallest difference seen replaces it, so that *ages are then relative to the fastest snapshot*.

use std::time::Duration;

use throng_server::observe::{Histogram, HistogramSnapshot};

/// Ticks whose arrivals wait for their publish time: 6.4 s at 20 Hz. Older ones are discarded.
pub const TICKS_KEPT: usize = 128;

/// Differences to a remote clock that must be seen before their minimum is trusted.
const REMOTE_SAMPLES_MIN: usize = 100;

/// Arrivals of a tick whose publish time is not known yet.
#[derive(Debug, Default)]
struct PendingTick {
    tick: u32,
    /// Nanoseconds on the swarm's clock.
    arrived_ns: Vec<u64>,
}

/// The clock from which the server reads publish times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishClock {
    /// The clock of this machine.
    Shared,
    /// The clock of another machine.
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
    /// Creates an empty collection for publish times that are read from `clock`.
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

    /// Records that a snapshot of `tick` arrived at `time_ns`, in nanoseconds on the swarm's clock.
    #[inline]
    pub fn arrived(&mut self, tick: u32, time_ns: u64) {
        let waiting = &mut self.waiting[tick as usize % TICKS_KEPT];
        if waiting.tick != tick {
            waiting.tick = tick;
            waiting.arrived_ns.clear();
        }
        waiting.arrived_ns.push(time_ns);
    }

    /// Records that the server published `tick` at `time_ns`, in nanoseconds on its clock. Each tick's arrivals are
    /// counted once.
    pub fn published(&mut self, tick: u32, time_ns: u64) {
        let index = tick as usize % TICKS_KEPT;
        if self.waiting[index].tick != tick || self.waiting[index].arrived_ns.is_empty() {
            return;
        }
        let mut arrived = std::mem::take(&mut self.waiting[index].arrived_ns);
        let mut sum = 0_u64;
        for arrived_ns in &arrived {
            sum += self.fold(arrived_ns.wrapping_sub(time_ns) as i64);
        }
        self.recent_mean = Duration::from_nanos(sum / arrived.len() as u64);
        // Cleared, so that a tick that is reported twice counts once. The buffer is kept to avoid an allocation.
        arrived.clear();
        self.waiting[index].arrived_ns = arrived;
    }

    /// Counts one difference between arrival and publish time. Returns the age in nanoseconds, or zero as long as
    /// the remote clock's difference is not known.
    fn fold(&mut self, difference: i64) -> u64 {
        self.least_difference = self.least_difference.min(difference);
        match self.clock {
            // Clocks of one machine agree to well under a microsecond. A negative age counts as zero.
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

    /// Returns the mean age of the last tick whose publish time was recorded.
    pub fn recent_mean(&self) -> Duration {
        self.recent_mean
    }

    /// Returns all ages counted so far. For those of a window, subtract an earlier reading.
    pub fn ages(&self) -> HistogramSnapshot {
        self.ages.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn ages_are_counted_once_the_publish_time_is_known() {
        let mut arrivals = Arrivals::new(PublishClock::Shared);
        for (tick, arrived_ms) in [(7, 103), (7, 105), (8, 151), (9, 199)] {
            arrivals.arrived(tick, arrived_ms * MS);
        }
        assert_eq!(arrivals.ages().count, 0, "no publish time is known yet");
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
        assert_eq!(arrivals.ages().sum_ns, 9 * MS, "a negative age counts as zero");
        assert_eq!(arrivals.recent_mean(), Duration::ZERO);
    }

    #[test]
    fn a_tick_without_publish_time_is_replaced_by_a_newer_one() {
        let mut arrivals = Arrivals::new(PublishClock::Shared);
        arrivals.arrived(1, 10 * MS);
        arrivals.arrived(1 + TICKS_KEPT as u32, 20 * MS);
        arrivals.published(1, 0);
        assert_eq!(arrivals.ages().count, 0);
        arrivals.published(1 + TICKS_KEPT as u32, 19 * MS);
        assert_eq!(arrivals.ages().sum_ns, MS);
    }

    #[test]
    fn ages_by_a_remote_clock_are_relative_to_the_fastest_snapshot() {
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
