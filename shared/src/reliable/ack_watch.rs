//! The time for which a peer has acknowledged no reliable message although packets of it arrive.
//!
//! Only time in which the peer is heard counts: a peer whose line is cut, or that is stopped, cannot acknowledge
//! anything, and has its time-out instead. Reads no clock: the times at which packets arrived come in as parameters.

use std::time::Duration;

/// Most time between two packets of the peer that counts. Longer than the time between two keep-alives of a peer that
/// sends nothing else and has a short time-out.
const GAP_MAX: Duration = Duration::from_secs(2);

/// The time without an acknowledgement.
#[derive(Debug, Default)]
pub(super) struct AckWatch {
    is_waiting: bool,
    acknowledged: u64,
    heard_at: Duration,
    waited: Duration,
}

impl AckWatch {
    /// Records the state of the session. `acknowledged` grows with each acknowledgement, `is_waiting` says whether any
    /// message is under way, and `heard_at` is the time at which the peer's last packet arrived. Returns the time
    /// without an acknowledgement.
    pub(super) fn update(&mut self, acknowledged: u64, is_waiting: bool, heard_at: Duration) -> Duration {
        let gap = heard_at.saturating_sub(self.heard_at);
        if is_waiting && self.is_waiting && acknowledged == self.acknowledged {
            self.waited += gap.min(GAP_MAX);
        } else {
            self.waited = Duration::ZERO;
        }
        self.is_waiting = is_waiting;
        self.acknowledged = acknowledged;
        self.heard_at = self.heard_at.max(heard_at);
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    #[test]
    fn only_time_in_which_the_peer_is_heard_and_acknowledges_nothing_counts() {
        let mut watch = AckWatch::default();
        let start = Duration::from_secs(100);
        assert_eq!(watch.update(0, true, start), Duration::ZERO);
        let heard = |n: u32| start + TICK * n;
        let waited = (1..=40).map(|n| watch.update(0, true, heard(n))).last();
        assert_eq!(waited, Some(TICK * 40));
        // The line is cut for a minute.
        assert!((0..1_200).all(|_| watch.update(0, true, heard(40)) == TICK * 40));
        let back = heard(40) + Duration::from_secs(60);
        assert_eq!(watch.update(0, true, back), TICK * 40 + GAP_MAX);
        assert_eq!(watch.update(1, true, back + TICK), Duration::ZERO);
        assert_eq!(watch.update(1, true, back + TICK * 2), TICK);
        // Nothing is under way: there is nothing to acknowledge.
        assert_eq!(watch.update(1, false, back + TICK * 3), Duration::ZERO);
        assert_eq!(watch.update(1, true, back + TICK * 99), Duration::ZERO);
    }
}
