//! The time that new sessions have waited for a hello: without one, a session holds a place and serves no player.
//!
//! Guarantees that only time in which the worker ran counts, so that hellos that wait in the socket while the process is
//! stopped are read first.

use std::collections::VecDeque;
use std::time::Duration;

use throng_shared::netcode::SessionId;

/// The most time between two updates that counts. Updates are due every 25 ms.
const STEP_MAX: Duration = Duration::from_millis(250);

/// New sessions in the order in which they connected. There are as many as connect within the time for a hello, and none
/// without such a time; those that have ended or proved themselves are removed when their time is over.
#[derive(Debug, Default)]
pub(super) struct SilentSessions {
    waiting: VecDeque<(Duration, SessionId)>,
    /// Time in which the worker ran.
    clock: Duration,
    /// Time of the last update, since the process's origin.
    updated_at: Option<Duration>,
}

impl SilentSessions {
    pub(super) fn insert(&mut self, id: SessionId) {
        self.waiting.push_back((self.clock, id));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn advance(&mut self, now: Duration) {
        let step = now.saturating_sub(self.updated_at.unwrap_or(now));
        self.clock += step.min(STEP_MAX);
        self.updated_at = Some(now);
    }

    /// Removes and returns the first session that has waited for `timeout`.
    pub(super) fn pop_due(&mut self, timeout: Duration) -> Option<SessionId> {
        let &(since, id) = self.waiting.front()?;
        if self.clock < since + timeout {
            return None;
        }
        self.waiting.pop_front();
        Some(id)
    }
}
