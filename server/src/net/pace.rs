//! How fast one session may send: the generic cell rate algorithm, one number per session.

use std::time::Duration;

/// Packets per second and how many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceLimit {
    interval_ns: u64,
    burst_ns: u64,
}

impl PaceLimit {
    /// At most `per_second` packets (at least 1) in the long run, after a silence up to `burst` at once.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
        Self {
            interval_ns,
            burst_ns: interval_ns * u64::from(burst.saturating_sub(1)),
        }
    }
}

/// One session's pace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When the allowance will be full again.
    full_at_ns: u64,
}

impl Pace {
    /// Whether a packet at `now` is within the limit; a packet beyond it is not counted against later ones.
    #[inline]
    pub(super) fn admits(&mut self, now: Duration, limit: &PaceLimit) -> bool {
        let now_ns = now.as_nanos() as u64;
        let full_at_ns = self.full_at_ns.max(now_ns);
        if full_at_ns - now_ns > limit.burst_ns {
            return false;
        }
        self.full_at_ns = full_at_ns + limit.interval_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(pace: &mut Pace, limit: &PaceLimit, from_ms: u64, packets_per_ms: u64, ms: u64) -> u64 {
        let packets =
            (0..ms * packets_per_ms).map(|n| Duration::from_micros(1_000 * (from_ms + n / packets_per_ms)));
        packets.filter(|&at| pace.admits(at, limit)).count() as u64
    }

    #[test]
    fn a_flood_is_cut_to_the_rate_after_one_burst() {
        let (limit, mut pace) = (PaceLimit::new(40, 20), Pace::default());
        assert_eq!(admitted(&mut pace, &limit, 0, 1, 10_000), 20 + 400 - 1);
    }

    #[test]
    fn the_burst_comes_back_with_silence_and_no_further() {
        let (limit, mut pace) = (PaceLimit::new(40, 20), Pace::default());
        assert_eq!(admitted(&mut pace, &limit, 0, 100, 1), 20);
        assert_eq!(admitted(&mut pace, &limit, 250, 100, 1), 10);
        assert_eq!(admitted(&mut pace, &limit, 60_000, 100, 1), 20);
    }

    #[test]
    fn the_allowed_rate_is_never_cut() {
        let (limit, mut pace) = (PaceLimit::new(40, 1), Pace::default());
        assert!((0..1_000).all(|n| pace.admits(Duration::from_millis(n * 25), &limit)));
    }
}
