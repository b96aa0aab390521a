//! Automatic reconnection: backoff between attempts, as a sans-IO state machine.
//!
//! Owns the decision whether a lost or silent connection is worth another join and when that join is due. Delays grow
//! geometrically to a ceiling and are spread by seeded jitter, so that the players of a restarted server do not
//! come back in one wave. The ceiling is low while nothing responds, since such an attempt costs no server anything,
//! and high while a server responds that it does not take players now. The machine never sleeps and never joins by
//! itself: the driver calls [`Reconnect::poll`] and reports the outcomes. Each join obtains a token with a newer session
//! number, so that the server lets the new session replace the old one.

use std::time::Duration;

use throng_shared::random::Random;

/// Bounds of the delays between attempts to join again. The defaults suit an interactive player.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconnectConfig {
    /// Delay before the first attempt, before jitter.
    pub first: Duration,
    /// Longest delay between attempts, before jitter. While nothing responds, no delay is longer than 2 s.
    pub ceiling: Duration,
    /// Factor by which the delay grows from attempt to attempt, at least 1.
    pub growth: f64,
    /// The largest share of a delay that jitter removes, 0..=1.
    pub jitter: f64,
    /// The largest delay before the first attempt beside a session whose server is silent; it is random, since a server
    /// that stood still is silent for all its players at the same time.
    pub spread: Duration,
    /// Consecutive attempts before giving up.
    pub attempts_max: u32,
    /// A connection that lasted this long resets the count of failures.
    pub stable_after: Duration,
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            ceiling: Duration::from_secs(10),
            growth: 2.0,
            jitter: 0.5,
            spread: Duration::from_millis(500),
            attempts_max: 100,
            stable_after: Duration::from_secs(10),
        }
    }
}

/// Longest delay between attempts while nothing responds, before jitter. So the players of a server that was restarted
/// are back within 3 s, however long it was gone.
const SOON: Duration = Duration::from_secs(2);

/// Whether another attempt can succeed after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The cause may pass at any time: a time-out, a restart, a network that is down.
    Worthwhile,
    /// The server responds and does not take players now: it is full, or this address joins too often.
    Later,
    /// The result would be the same: a wrong protocol version, a refused name, another session of this player.
    Pointless,
}

/// The state of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReconnectState {
    /// A join is under way, without an outcome so far.
    Joining,
    /// Connected, and the server replies, since the given time.
    Connected {
        /// When the connection was established.
        since: Duration,
    },
    /// Waiting for the next attempt.
    Waiting {
        /// When the next attempt is due.
        until: Duration,
    },
    /// No further attempt will be made.
    GivenUp,
}

/// The reconnection machine of one client. Times are `Duration`s since any fixed origin.
#[derive(Debug, Clone)]
pub struct Reconnect {
    config: ReconnectConfig,
    state: ReconnectState,
    /// Failures since the last stable connection.
    failures: u32,
    /// The last kind of failure, and the number of failures of that kind in a row, by which delays grow.
    streak: (Retry, u32),
    random: Random,
}

impl Reconnect {
    /// Creates a machine whose first join is already under way. Equal seeds give equal delays.
    pub fn new(config: ReconnectConfig, seed: u64) -> Self {
        Self {
            config,
            state: ReconnectState::Joining,
            failures: 0,
            streak: (Retry::Worthwhile, 0),
            random: Random::new(seed),
        }
    }

    /// Returns the state of the machine.
    pub fn state(&self) -> ReconnectState {
        self.state
    }

    /// Returns the number of consecutive failures so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Records that the join under way led to a connection.
    pub fn connected(&mut self, now: Duration) {
        self.state = ReconnectState::Connected { since: now };
    }

    /// Records that the connection was lost, or that the join under way failed. Returns when the next attempt
    /// is due; `None` when there will be none. A repeated report of the same loss changes nothing.
    pub fn lost(&mut self, now: Duration, retry: Retry) -> Option<Duration> {
        match self.state {
            ReconnectState::Waiting { until } => return Some(until),
            ReconnectState::GivenUp => return None,
            ReconnectState::Connected { since } => self.forgive_failures(now, since),
            ReconnectState::Joining => {}
        }
        if retry == Retry::Pointless || self.failures >= self.config.attempts_max {
            self.state = ReconnectState::GivenUp;
            return None;
        }
        let until = now + self.delay(retry);
        self.failures += 1;
        self.state = ReconnectState::Waiting { until };
        Some(until)
    }

    /// Records that the server of the connection is silent: an attempt beside the connection follows soon. Changes
    /// nothing unless connected.
    pub fn silent(&mut self, now: Duration) {
        if let ReconnectState::Connected { since } = self.state {
            self.forgive_failures(now, since);
            let until = now + self.config.spread.mul_f64(self.random.unit());
            self.state = ReconnectState::Waiting { until };
        }
    }

    /// Makes no further attempt, whatever the state is.
    pub fn give_up(&mut self) {
        self.state = ReconnectState::GivenUp;
    }

    /// Returns true exactly once per attempt, when it is due: the driver then joins.
    pub fn poll(&mut self, now: Duration) -> bool {
        match self.state {
            ReconnectState::Waiting { until } if now >= until => {
                self.state = ReconnectState::Joining;
                true
            }
            _ => false,
        }
    }

    /// Forgets all failures if the connection that began at `since` was stable.
    fn forgive_failures(&mut self, now: Duration, since: Duration) {
        if now.saturating_sub(since) >= self.config.stable_after {
            self.failures = 0;
            self.streak = (Retry::Worthwhile, 0);
        }
    }

    fn delay(&mut self, retry: Retry) -> Duration {
        if self.streak.0 != retry {
            self.streak = (retry, 0);
        }
        let ceiling = match retry {
            Retry::Later => self.config.ceiling,
            Retry::Worthwhile | Retry::Pointless => self.config.ceiling.min(SOON),
        };
        // After 64 doublings every ceiling is reached; the bound keeps the power finite.
        let growth = self.config.growth.max(1.0).powi(self.streak.1.min(64) as i32);
        self.streak.1 += 1;
        let full = (self.config.first.as_secs_f64() * growth).min(ceiling.as_secs_f64());
        let kept = 1.0 - self.config.jitter.clamp(0.0, 1.0) * self.random.unit();
        Duration::from_secs_f64(full * kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn reconnect_delays_grow_to_the_ceiling_until_attempts_run_out() {
        let config = ReconnectConfig {
            jitter: 0.0,
            attempts_max: 8,
            ..ReconnectConfig::default()
        };
        let mut machine = Reconnect::new(config, 1);
        let mut now = Duration::ZERO;
        let mut delays = Vec::new();
        while let Some(until) = machine.lost(now, Retry::Later) {
            delays.push((until - now).as_millis());
            assert!(
                !machine.poll(until - Duration::from_nanos(1)),
                "not before its time"
            );
            assert!(machine.poll(until), "due");
            assert!(!machine.poll(until), "only once");
            now = until;
        }
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(machine.state(), ReconnectState::GivenUp);
        assert!(!machine.poll(now + 100 * SECOND), "given up for good");
    }

    #[test]
    fn reconnect_delay_resets_after_a_stable_connection_only() {
        let config = ReconnectConfig {
            jitter: 0.0,
            ..ReconnectConfig::default()
        };
        let mut machine = Reconnect::new(config, 1);
        for expected in [250, 500] {
            machine.connected(Duration::ZERO);
            let until = machine.lost(SECOND, Retry::Worthwhile).unwrap();
            assert_eq!((until - SECOND).as_millis(), expected, "flapping keeps growing");
            assert!(machine.poll(until));
        }
        machine.connected(2 * SECOND);
        let until = machine.lost(20 * SECOND, Retry::Worthwhile).unwrap();
        assert_eq!((until - 20 * SECOND).as_millis(), 250);
    }

    #[test]
    fn reconnect_waits_two_seconds_at_most_while_nothing_responds() {
        let config = ReconnectConfig {
            jitter: 0.0,
            ..ReconnectConfig::default()
        };
        let mut machine = Reconnect::new(config, 1);
        let mut now = Duration::ZERO;
        let mut delays = Vec::new();
        for retry in [Retry::Worthwhile; 6].into_iter().chain([Retry::Later; 2]) {
            let until = machine.lost(now, retry).unwrap();
            delays.push((until - now).as_millis());
            assert!(machine.poll(until));
            now = until;
        }
        assert_eq!(
            delays,
            [250, 500, 1_000, 2_000, 2_000, 2_000, 250, 500],
            "the server that came back and is busy is a new reason"
        );
        let mut waited = Duration::ZERO;
        while let Some(until) = machine.lost(now, Retry::Worthwhile) {
            waited += until - now;
            now = until;
            machine.poll(now);
        }
        assert!(waited > 120 * SECOND, "given up after {waited:?}");
    }

    #[test]
    fn silence_begins_an_attempt_within_the_spread_and_counts_as_no_failure() {
        let spread = ReconnectConfig::default().spread;
        let mut dues = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut machine = Reconnect::new(ReconnectConfig::default(), seed);
            machine.silent(SECOND);
            assert_eq!(machine.state(), ReconnectState::Joining, "there is no connection");
            machine.connected(Duration::ZERO);
            machine.silent(SECOND);
            machine.silent(2 * SECOND);
            let ReconnectState::Waiting { until } = machine.state() else {
                panic!("{:?}", machine.state());
            };
            assert!(until >= SECOND && until <= SECOND + spread, "{until:?}");
            assert_eq!(machine.failures(), 0);
            dues.insert(until);
            machine.connected(until);
            assert!(
                !machine.poll(2 * SECOND),
                "the server replied before the attempt began"
            );
        }
        assert!(dues.len() > 90, "{} distinct times of 100", dues.len());
    }

    #[test]
    fn reconnect_gives_up_after_a_pointless_retry() {
        let mut machine = Reconnect::new(ReconnectConfig::default(), 1);
        assert_eq!(machine.lost(SECOND, Retry::Pointless), None);
        assert_eq!(
            machine.lost(SECOND, Retry::Worthwhile),
            None,
            "given up stays given up"
        );
    }

    #[test]
    fn reconnect_counts_a_repeated_loss_report_once() {
        let mut machine = Reconnect::new(ReconnectConfig::default(), 1);
        let first = machine.lost(SECOND, Retry::Worthwhile);
        assert_eq!(machine.lost(2 * SECOND, Retry::Worthwhile), first);
        assert_eq!(machine.failures(), 1);
    }

    #[test]
    fn reconnect_delays_differ_between_seeds() {
        let delay = |seed| Reconnect::new(ReconnectConfig::default(), seed).lost(SECOND, Retry::Worthwhile);
        assert_eq!(delay(7), delay(7));
        let distinct: std::collections::BTreeSet<_> = (0..100).map(delay).collect();
        assert!(distinct.len() > 90, "{} distinct delays of 100", distinct.len());
    }

    proptest! {
        #[test]
        fn reconnect_delays_stay_within_bounds(seed: u64, jitter in 0.0..=1.0, growth in 0.0..100.0) {
            let config = ReconnectConfig { jitter, growth, attempts_max: 50, ..ReconnectConfig::default() };
            let ceiling = config.ceiling;
            let mut machine = Reconnect::new(config, seed);
            while let Some(until) = machine.lost(SECOND, Retry::Worthwhile) {
                prop_assert!(until >= SECOND && until <= SECOND + ceiling);
                prop_assert!(machine.poll(until));
            }
            prop_assert_eq!(machine.failures(), 50);
        }
    }
}
