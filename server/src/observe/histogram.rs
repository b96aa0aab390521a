//! A lock-free histogram of durations that any thread may record into: the crate `histogram`, with the exact sum and
//! maximum beside its buckets.
//!
//! Guarantees that recording is wait-free, allocates nothing and costs a few relaxed atomic additions at most; that a
//! quantile is off by at most 1/64 of the true value between 1 us and 68.7 s; and that counts only grow, so that a
//! reader subtracts two readings to get the window between them. Has no reset, which would change the figures of
//! every other reader.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use histogram::{AtomicHistogram, Config, SparseHistogram};
use serde::{Deserialize, Serialize};

/// Bits of a value in nanoseconds: values are below 2^36 ns, which is 68.7 s. Longer durations are counted in the last
/// bucket.
const VALUE_BITS: u8 = 36;
const VALUE_MAX: u64 = (1 << VALUE_BITS) - 1;

/// 64 buckets in every power of two, each at most 1/64 of its value wide.
const CONFIG: Config = match Config::new(6, VALUE_BITS) {
    Ok(config) => config,
    Err(_) => panic!("the buckets are fewer than 2^32"),
};

/// A histogram of durations that any thread records. It has 16 KiB and is shared by `Arc`.
#[derive(Debug)]
pub struct Histogram {
    buckets: AtomicHistogram,
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: AtomicHistogram::with_config(&CONFIG),
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
        // The only error is a value above the range.
        let _ = self.buckets.increment(ns.min(VALUE_MAX));
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
        let buckets = SparseHistogram::from(&self.buckets.load());
        HistogramSnapshot {
            count: buckets.count().iter().sum(),
            sum_ns: self.sum_ns.load(Relaxed),
            max_ns: self.max_ns.load(Relaxed),
            buckets,
        }
    }
}

/// One reading of a [`Histogram`], or the difference of two. Serializes compactly: only buckets in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramSnapshot {
    /// Number of the recorded durations.
    pub count: u64,
    /// Exact sum of the durations in nanoseconds.
    pub sum_ns: u64,
    /// Longest duration in nanoseconds. In a reading it is exact. In a difference of two readings it is an upper
    /// bound: the longest duration of the whole run if that may have been recorded between the two, otherwise the
    /// upper edge of the highest bucket in use.
    pub max_ns: u64,
    /// Serializes as the index and the count of each non-empty bucket, in ascending order.
    #[serde(with = "pairs")]
    buckets: SparseHistogram,
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        Self {
            count: 0,
            sum_ns: 0,
            max_ns: 0,
            buckets: SparseHistogram::with_config(&CONFIG),
        }
    }
}

impl HistogramSnapshot {
    /// Returns the durations recorded between the readings `earlier` and `self`, which must be of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        // The subtraction fails for readings of two histograms, such as those of a server before and after a restart.
        let window = self.buckets.checked_sub(&earlier.buckets);
        let buckets = window.unwrap_or_else(|_| self.buckets.clone());
        let highest = buckets.iter().last().map(|bucket| bucket.range());
        let max_ns = highest.map_or(0, |range| {
            if range.contains(&self.max_ns) || *range.end() == VALUE_MAX {
                self.max_ns
            } else {
                *range.end()
            }
        });
        Self {
            count: buckets.count().iter().sum(),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            max_ns,
            buckets,
        }
    }

    /// Adds a reading of another histogram to this one, for example to combine several workers.
    pub fn merge(&mut self, other: &Self) {
        self.buckets = self
            .buckets
            .wrapping_add(&other.buckets)
            .expect("all histograms have the same buckets");
        self.count += other.count;
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Returns the value below which the fraction `q` (0 to 1) of the durations lies, within 1/64 of the true value.
    /// Returns the maximum for 1, and zero for an empty histogram.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        if q >= 1.0 {
            return self.max();
        }
        let found = self.buckets.quantile(q.max(0.0)).ok().flatten();
        let bucket = found.as_ref().and_then(|found| found.entries().values().next());
        bucket.map_or(Duration::ZERO, |bucket| {
            let (low, high) = (bucket.start(), bucket.end());
            Duration::from_nanos((low + (high - low) / 2).min(self.max_ns))
        })
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

/// Buckets as pairs of index and count.
mod pairs {
    use histogram::SparseHistogram;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(buckets: &SparseHistogram, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(buckets.index().iter().zip(buckets.count()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SparseHistogram, D::Error> {
        let (index, count) = Vec::<(u32, u64)>::deserialize(from)?.into_iter().unzip();
        SparseHistogram::from_parts(super::CONFIG, index, count).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELATIVE_ERROR_MAX: f64 = 1.0 / 64.0;

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
        for bucket in AtomicHistogram::with_config(&CONFIG).load().iter() {
            let (low, high) = (bucket.start(), bucket.end());
            assert_eq!(low, next);
            let both = recorded(&[low, high]).snapshot();
            assert_eq!(
                both.buckets.iter().map(|used| used.range()).collect::<Vec<_>>(),
                [low..=high]
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
