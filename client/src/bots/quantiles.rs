//! Quantiles of times, in memory that does not grow with their number.

/// The shortest time that is told apart from zero, in milliseconds.
const LEAST_MS: f64 = 0.01;
/// Ratio of the ends of a bucket: quantiles are exact to 2 %.
const GROWTH: f64 = 1.02;
/// Number of buckets: up to 100 s.
const BUCKETS: usize = 816;

/// Counts of times by length.
#[derive(Debug, Clone)]
pub(super) struct Quantiles {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
        }
    }
}

impl Quantiles {
    /// Adds a time in milliseconds.
    pub(super) fn add(&mut self, ms: f64) {
        let bucket = (ms.max(LEAST_MS) / LEAST_MS).ln() / GROWTH.ln();
        // A time that is not a number counts as the shortest.
        self.buckets[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
    }

    /// Returns the time, in milliseconds, that the share `rank` (0 to 1) of all times does not exceed; 0 without any.
    pub(super) fn at(&self, rank: f64) -> f64 {
        let wanted = ((self.count as f64 * rank).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        match found {
            None | Some(0) => 0.0,
            Some(bucket) => LEAST_MS * GROWTH.powf(bucket as f64 + 0.5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_two_percent() {
        let mut times = Quantiles::default();
        assert_eq!(times.at(0.5), 0.0);
        (1..=1_000).for_each(|ms| times.add(f64::from(ms)));
        for (rank, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = times.at(rank);
            assert!((found / expected - 1.0).abs() < 0.02, "{rank}: {found}");
        }
    }

    #[test]
    fn quantiles_take_any_number() {
        let mut times = Quantiles::default();
        [f64::NAN, -1.0, 0.0].into_iter().for_each(|ms| times.add(ms));
        assert_eq!(times.at(1.0), 0.0);
        times.add(f64::INFINITY);
        assert!(times.at(1.0) > 50_000.0);
    }
}
