//! Detects whether the simulation has stalled.

use std::time::Duration;

/// Time without a tick after which the simulation is reported as stalled, or the time of ten ticks if that is longer.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The last observed progress of the simulation.
pub(super) struct StallDetector {
    ticks: u64,
    /// Time of the last progress, since the process's origin.
    seen_at: Duration,
}

impl StallDetector {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            ticks: 0,
            seen_at: now,
        }
    }

    pub(super) fn observe(&mut self, ticks: u64, now: Duration) {
        if self.ticks != ticks {
            *self = Self { ticks, seen_at: now };
        }
    }

    pub(super) fn is_stalled(&self, tick_rate: u16, now: Duration) -> bool {
        let ten_ticks = Duration::from_secs(10) / u32::from(tick_rate.max(1));
        now.saturating_sub(self.seen_at) > STALLED_AFTER.max(ten_ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulation_without_ticks_is_reported_as_stalled() {
        let start = Duration::from_secs(100);
        let mut stall_detector = StallDetector::new(start);
        stall_detector.observe(1, start + Duration::from_secs(1));
        stall_detector.observe(1, start + Duration::from_secs(2));
        assert!(!stall_detector.is_stalled(20, start + Duration::from_secs(3)));
        assert!(stall_detector.is_stalled(20, start + Duration::from_millis(3_001)));
        assert!(!stall_detector.is_stalled(1, start + Duration::from_secs(11)));
        assert!(stall_detector.is_stalled(1, start + Duration::from_millis(11_001)));
    }
}
