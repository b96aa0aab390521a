//! A lock-free histogram of durations that any thread may record into.
//!
//! Owns the log-linear bucket layout and the arithmetic on its readings. Guarantees that recording is
//! wait-free, allocates nothing and costs a few relaxed atomic additions at most; that a quantile is off by at most
//! [`RELATIVE_ERROR_MAX`] of the true value between 1 us and [`HISTOGRAM_MAX`]; and that counts only grow, so that a
//! reader subtracts two readings to get the window between them. Has no reset, which would change the figures of
//! every other reader.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Binary logarithm of the number of linear steps in every power of two. 64 steps make a bucket at most 1/64 of its
/// value wide.
const STEPS_BITS: u32 = 6;
const STEPS: usize = 1 << STEPS_BITS;

/// Bits of a value in nanoseconds: values are below 2^36 ns, which is 68.7 s.
const VALUE_BITS: u32 = 36;
const BUCKETS: usize = STEPS * (VALUE_BITS - STEPS_BITS + 1) as usize;

/// The largest duration with a bucket. Longer durations are counted in the same bucket; their exact sum and maximum are
/// kept.
pub const HISTOGRAM_MAX: Duration = Duration::from_nanos((1 << VALUE_BITS) - 1);

/// How far a quantile may be from the recorded value, relative to it.
pub const RELATIVE_ERROR_MAX: f64 = 1.0 / STEPS as f64;

/// A histogram of durations with log-linear buckets. It has 16 KiB and is shared by `Arc`.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Creates a histogram without any duration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records one duration in its bucket. Wait-free; may be called from any thread.
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
        // A new maximum is rare; the load keeps the common case free of a locked instruction.
        if ns > self.max_ns.load(Relaxed) {
            self.max_ns.fetch_max(ns, Relaxed);
        }
    }

    /// Returns a reading of all durations recorded since the start. A duration that is recorded during the call may be
    /// missing from some of its figures. No figure of a later reading is smaller.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let buckets: Vec<(u16, u64)> = (0_u16..)
            .zip(self.buckets.iter())
            .map(|(index, count)| (index, count.load(Relaxed)))
            .filter(|&(_, count)| count > 0)
            .collect();
        HistogramSnapshot {
            count: buckets.iter().map(|&(_, count)| count).sum(),
            sum_ns: self.sum_ns.load(Relaxed),
            max_ns: self.max_ns.load(Relaxed),
            buckets,
        }
    }
}

/// One reading of a [`Histogram`], or the difference of two. Serializes compactly: only buckets in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramSnapshot {
    /// Number of the recorded durations.
    pub count: u64,
    /// Exact sum of the durations in nanoseconds.
    pub sum_ns: u64,
    /// Longest duration in nanoseconds. In a reading it is exact. In a difference of two readings it is an upper
    /// bound: the longest duration of the whole run if that may have been recorded between the two, otherwise the
    /// upper edge of the highest bucket in use.
    pub max_ns: u64,
    /// Index and count of each non-empty bucket, in ascending order. [`bucket_edges_ns`] returns a bucket's edges.
    pub buckets: Vec<(u16, u64)>,
}

impl HistogramSnapshot {
    /// Returns the durations recorded between the readings `earlier` and `self`, which must be of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut older = earlier.buckets.iter().copied().peekable();
        let buckets: Vec<(u16, u64)> = self
            .buckets
            .iter()
            .map(|&(index, count)| {
                while older.peek().is_some_and(|&(other, _)| other < index) {
                    older.next();
                }
                let before = older
                    .next_if(|&(other, _)| other == index)
                    .map_or(0, |(_, count)| count);
                (index, count.saturating_sub(before))
            })
            .filter(|&(_, count)| count > 0)
            .collect();
        let max_ns = buckets
            .last()
            .map_or(0, |&(index, _)| match bucket_edges_ns(index) {
                (low, high) if (low..=high).contains(&self.max_ns) || index as usize == BUCKETS - 1 => {
                    self.max_ns
                }
                (_, high) => high,
            });
        Self {
            count: buckets.iter().map(|&(_, count)| count).sum(),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            max_ns,
            buckets,
        }
    }

    /// Adds a reading of another histogram to this one, for example to combine several workers.
    pub fn merge(&mut self, other: &Self) {
        let mut merged = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let mut theirs = other.buckets.iter().copied().peekable();
        for &(index, count) in &self.buckets {
            while let Some(smaller) = theirs.next_if(|&(other, _)| other < index) {
                merged.push(smaller);
            }
            let same = theirs
                .next_if(|&(other, _)| other == index)
                .map_or(0, |(_, count)| count);
            merged.push((index, count + same));
        }
        merged.extend(theirs);
        self.buckets = merged;
        self.count += other.count;
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Returns the value below which the fraction `q` (0 to 1) of the durations lies, within
    /// [`RELATIVE_ERROR_MAX`]. Returns the maximum for 1, and zero for an empty histogram.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        if q >= 1.0 {
            return self.max();
        }
        // The rank is exact enough in `f64`: `q` is in 0..1 and the count is far below 2^53.
        let rank = ((q.max(0.0) * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for &(index, count) in &self.buckets {
            below += count;
            if below >= rank {
                let (low, high) = bucket_edges_ns(index);
                return Duration::from_nanos((low + (high - low) / 2).min(self.max_ns));
            }
        }
        Duration::ZERO
    }

    /// Returns the longest duration; see [`Self::max_ns`].
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// Returns the exact mean, or zero for an empty histogram.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count).unwrap_or(0))
    }
}

/// Returns the smallest and the largest value that bucket `index` counts, in nanoseconds.
#[must_use]
pub fn bucket_edges_ns(index: u16) -> (u64, u64) {
    let index = u64::from(index);
    let (octave, step) = (index >> STEPS_BITS, index & (STEPS as u64 - 1));
    if octave == 0 {
        return (step, step);
    }
    let shift = octave - 1;
    let low = (STEPS as u64 + step) << shift;
    (low, low + (1 << shift) - 1)
}

/// Returns the index of the bucket that counts a value. The inverse of [`bucket_edges_ns`].
fn bucket_of(ns: u64) -> usize {
    let ns = ns.min((1 << VALUE_BITS) - 1);
    if ns < STEPS as u64 {
        return ns as usize;
    }
    // The leading STEPS_BITS + 1 bits select the bucket. The first of them is always one, so subtracting STEPS leaves
    // the step within the power of two. `ns >= STEPS` here, so neither subtraction can underflow.
    let shift = ns.ilog2() - STEPS_BITS;
    STEPS * (shift as usize + 1) + ((ns >> shift) as usize - STEPS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(values_ns: &[u64]) -> Histogram {
        let histogram = Histogram::new();
        for &ns in values_ns {
            histogram.record(Duration::from_nanos(ns));
        }
        histogram
    }

    fn exact_quantile(values_ns: &mut [u64], q: f64) -> u64 {
        values_ns.sort_unstable();
        let rank = ((q * values_ns.len() as f64).ceil() as usize).max(1);
        values_ns[rank - 1]
    }

    /// Generates durations spread over every power of two up to 60 s.
    fn durations_ns() -> impl Strategy<Value = Vec<u64>> {
        let one =
            (0_u32..36, any::<u64>()).prop_map(|(bits, raw)| (raw & ((2 << bits) - 1)).min(60_000_000_000));
        prop::collection::vec(one, 1..400)
    }

    #[test]
    fn buckets_cover_the_whole_range_without_a_gap() {
        let mut next = 0;
        for index in 0..BUCKETS as u16 {
            let (low, high) = bucket_edges_ns(index);
            assert_eq!(low, next);
            assert_eq!(
                (bucket_of(low), bucket_of(high)),
                (index as usize, index as usize)
            );
            assert!((high - low) as f64 <= low as f64 * RELATIVE_ERROR_MAX);
            next = high + 1;
        }
        assert_eq!(next, 1 << VALUE_BITS);
    }

    #[test]
    fn a_duration_above_the_range_is_counted_in_the_last_bucket_with_its_exact_maximum() {
        let histogram = recorded(&[u64::MAX, 5]);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count, 2);
        assert_eq!(snapshot.max_ns, u64::MAX);
        assert_eq!(snapshot.since(&HistogramSnapshot::default()).max_ns, u64::MAX);
    }

    #[test]
    fn an_empty_histogram_returns_zero() {
        let empty = Histogram::new().snapshot();
        assert_eq!(
            (empty.quantile(0.5), empty.max(), empty.mean()),
            Default::default()
        );
    }

    #[test]
    fn the_maximum_of_a_window_is_not_that_of_the_run() {
        let histogram = recorded(&[50_000_000]);
        let before = histogram.snapshot();
        histogram.record(Duration::from_micros(100));
        let window = histogram.snapshot().since(&before);
        assert_eq!(window.count, 1);
        let max_us = window.max().as_secs_f64() * 1e6;
        assert!((100.0..102.0).contains(&max_us), "{max_us}");
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_stated_error(mut values in durations_ns(), q in 0.0_f64..=1.0) {
            let got = recorded(&values).snapshot().quantile(q).as_nanos() as f64;
            let exact = exact_quantile(&mut values, q) as f64;
            prop_assert!((got - exact).abs() <= exact * RELATIVE_ERROR_MAX, "{got} for {exact}");
        }

        #[test]
        fn the_difference_of_two_readings_is_the_window(first in durations_ns(), mut second in durations_ns()) {
            let histogram = recorded(&first);
            let before = histogram.snapshot();
            for &ns in &second {
                histogram.record(Duration::from_nanos(ns));
            }
            let window = histogram.snapshot().since(&before);
            let alone = recorded(&second).snapshot();
            prop_assert_eq!(window.count, alone.count);
            prop_assert_eq!(window.sum_ns, alone.sum_ns);
            prop_assert_eq!(&window.buckets, &alone.buckets);
            let exact = exact_quantile(&mut second, 0.99) as f64;
            let got = window.quantile(0.99).as_nanos() as f64;
            prop_assert!((got - exact).abs() <= exact * RELATIVE_ERROR_MAX);
        }

        #[test]
        fn merging_equals_recording_into_one(first in durations_ns(), second in durations_ns()) {
            let mut merged = recorded(&first).snapshot();
            merged.merge(&recorded(&second).snapshot());
            let both: Vec<u64> = first.into_iter().chain(second).collect();
            prop_assert_eq!(merged, recorded(&both).snapshot());
        }

        #[test]
        fn a_snapshot_survives_json(values in durations_ns()) {
            let snapshot = recorded(&values).snapshot();
            let json = serde_json::to_string(&snapshot).unwrap();
            prop_assert_eq!(serde_json::from_str::<HistogramSnapshot>(&json).unwrap(), snapshot);
        }
    }
}
