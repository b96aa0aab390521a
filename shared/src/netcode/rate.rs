//! A token bucket: a number of events per second, with a burst.

use core::time::Duration;

/// Allows `per_s` events a second and up to `burst` at once.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_s: u64,
    burst: u64,
    /// Billionths of an event, so that rounding loses nothing at slow rates and short intervals.
    stock_nano: u128,
    filled_at: Option<Duration>,
}

const NANO: u128 = 1_000_000_000;

impl RateLimit {
    /// Creates a full bucket that refills with `per_s` events a second. `burst` is a tenth of a second's events,
    /// at least one.
    pub(crate) fn new(per_s: u32) -> Self {
        Self {
            per_s: per_s.into(),
            burst: (per_s / 10).max(1).into(),
            stock_nano: 0,
            filled_at: None,
        }
    }

    /// Takes one event, and returns whether there was one. Time that runs backwards adds nothing.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let full = u128::from(self.burst) * NANO;
        self.stock_nano = match self.filled_at {
            None => full,
            Some(then) => {
                let elapsed = now.saturating_sub(then).min(Duration::from_secs(1)).as_nanos();
                (self.stock_nano + elapsed * u128::from(self.per_s)).min(full)
            }
        };
        self.filled_at = self.filled_at.max(Some(now));
        if self.stock_nano < NANO {
            return false;
        }
        self.stock_nano -= NANO;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_limit_allows_a_burst_and_then_the_rate() {
        let mut limit = RateLimit::new(100);
        let start = Duration::from_secs(1_000);
        assert_eq!((0..50).filter(|_| limit.take(start)).count(), 10);
        let passed = (0..10_000)
            .filter(|step| limit.take(start + Duration::from_micros(step * 100)))
            .count();
        assert!((99..=100).contains(&passed), "{passed} in one second");
        assert!(!limit.take(start), "time that runs backwards adds nothing");
        assert!(
            !limit.take(start + Duration::from_micros(999_900)),
            "time that returns adds nothing"
        );
    }

    #[test]
    fn the_rate_limit_loses_nothing_to_rounding() {
        let mut limit = RateLimit::new(1);
        assert!(limit.take(Duration::ZERO));
        let passed = (1..=10_000u64)
            .filter(|step| limit.take(Duration::from_millis(*step)))
            .count();
        assert_eq!(passed, 10);
    }
}
