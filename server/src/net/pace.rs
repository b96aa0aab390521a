//! The rate limit of one session's packets: the generic cell rate algorithm, with one number per session.

use std::time::Duration;

/// A rate limit: an interval between packets and a burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceLimit {
    interval_ns: u64,
    burst_ns: u64,
}

impl PaceLimit {
    /// Creates a limit of `per_second` packets (at least 1) in the long run, and of `burst` packets at once after a
    /// pause.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
        Self {
            interval_ns,
            burst_ns: interval_ns * u64::from(burst.saturating_sub(1)),
        }
    }
}

/// State of one session's rate limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Time at which the full burst is available again, in nanoseconds since the process's origin.
    full_at_ns: u64,
}

impl Pace {
    /// Returns whether a packet at `now` is within the limit. A refused packet does not count against later ones.
    #[inline]
    pub(super) fn admits(&mut self, now: Duration, limit: &PaceLimit) -> bool {
        let now_ns = now.as_nanos() as u64;
        // Each admitted packet moves the time by one interval. A packet is refused while that time is farther ahead
        // of `now` than the burst allows.
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
        packets.filter(|&time| pace.admits(time, limit)).count() as u64
    }

    #[test]
    fn a_flood_is_limited_to_the_rate_after_one_burst() {
        let (limit, mut pace) = (PaceLimit::new(40, 20), Pace::default());
        assert_eq!(admitted(&mut pace, &limit, 0, 1, 10_000), 20 + 400 - 1);
    }

    #[test]
    fn a_pause_restores_the_burst_up_to_its_size() {
        let (limit, mut pace) = (PaceLimit::new(40, 20), Pace::default());
        assert_eq!(admitted(&mut pace, &limit, 0, 100, 1), 20);
        assert_eq!(admitted(&mut pace, &limit, 250, 100, 1), 10);
        assert_eq!(admitted(&mut pace, &limit, 60_000, 100, 1), 20);
    }

    #[test]
    fn packets_at_the_allowed_rate_are_never_refused() {
        let (limit, mut pace) = (PaceLimit::new(40, 1), Pace::default());
        assert!((0..1_000).all(|n| pace.admits(Duration::from_millis(n * 25), &limit)));
    }
}
