//! Decides when a player's client opens another session, and which of two sessions it plays.
//!
//! Owns the rules between the *session* that the player plays, if there is one, and the *attempt* to open another: the
//! first, the one after an end, or one beside a session whose server is silent. Guarantees:
//! - there is one attempt at a time, so the requests to a server that hangs do not pile up;
//! - a session that recovers goes on, and the attempt beside it ends, unless the server may have opened the new session
//!   already: the server then has ended the older one;
//! - a session that was replaced by this client's own attempt is no reason to give up; one that was replaced by another
//!   client of the same player is.
//!
//! Has no sockets, threads or clocks: the driver reports what happened, with the time, and does what is returned.

use std::time::Duration;

use throng_shared::protocol::hello::Goodbye;

use crate::connection::{ALARM_AFTER, EndReason};
use crate::join::{Reconnect, ReconnectConfig, ReconnectState, Retry};

/// Handshakes that failed in a row after which the patience with the next one grows no further.
const PATIENCE_DOUBLINGS: u32 = 3;
/// Time after an attempt that the server may have accepted, in which a session that was replaced was replaced by it.
const OWN_REPLACEMENT: Duration = Duration::from_secs(30);

/// What follows from a failure or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing: a session is played, or an attempt is under way.
    GoOn,
    /// There is no session. The next attempt begins after this long.
    Wait(Duration),
    /// There will be no further attempt. A session that is left is dropped.
    Stop,
}

/// The session that the player plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    Absent,
    Alive,
    Silent,
}

/// The rules of one client. Times are `Duration`s since any fixed origin.
#[derive(Debug, Clone)]
pub struct Succession {
    reconnect: Reconnect,
    session: SessionState,
    /// While the attempt is in its handshake: whether the server may have opened the session.
    handshake: Option<bool>,
    handshakes_failed: u32,
    own_replacement_until: Option<Duration>,
}

impl Succession {
    /// Creates the rules of a client whose first join is under way. Equal seeds give equal delays.
    #[must_use]
    pub fn new(config: ReconnectConfig, seed: u64) -> Self {
        Self {
            reconnect: Reconnect::new(config, seed),
            session: SessionState::Absent,
            handshake: None,
            handshakes_failed: 0,
            own_replacement_until: None,
        }
    }

    /// Returns the state of the attempts.
    #[must_use]
    pub fn state(&self) -> ReconnectState {
        self.reconnect.state()
    }

    /// Returns the number of attempts that failed since the last stable connection.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.reconnect.failures()
    }

    /// Returns true exactly once per attempt, when it is due: the driver then requests a token.
    pub fn poll(&mut self, now: Duration) -> bool {
        self.reconnect.poll(now)
    }

    /// Returns whether the outcome of a request for a token is of use. It is not if the session has recovered meanwhile.
    #[must_use]
    pub fn wants_token(&self) -> bool {
        self.reconnect.state() == ReconnectState::Joining && self.handshake.is_none()
    }

    /// Records that the handshake of a new session begins.
    pub fn handshake_begun(&mut self) {
        self.handshake = Some(false);
    }

    /// Records whether the server may have opened the new session.
    pub fn handshake_may_be_open(&mut self, may_be_open: bool) {
        if let Some(known) = &mut self.handshake {
            *known |= may_be_open;
        }
    }

    /// Returns whether to wait on for the reply to a handshake. A server that has too much to do gets more time with every
    /// handshake that fails; one whose port is closed (`is_refused`) gets none.
    #[must_use]
    pub fn awaits_handshake(&self, silent_for: Duration, is_refused: bool) -> bool {
        let patience = ALARM_AFTER * (1 << self.handshakes_failed.min(PATIENCE_DOUBLINGS));
        !is_refused && silent_for < patience
    }

    /// Records that the attempt failed, at the request or in the handshake.
    pub fn attempt_failed(&mut self, now: Duration, retry: Retry) -> NextStep {
        if let Some(may_be_open) = self.handshake.take() {
            self.handshakes_failed += 1;
            if may_be_open {
                self.own_replacement_until = Some(now + OWN_REPLACEMENT);
            }
        }
        if self.session == SessionState::Alive {
            self.reconnect.connected(now);
            return NextStep::GoOn;
        }
        match self.reconnect.lost(now, retry) {
            None => self.stop(),
            Some(_) if self.session == SessionState::Silent => NextStep::GoOn,
            Some(until) => NextStep::Wait(until.saturating_sub(now)),
        }
    }

    /// Records that the server has welcomed the new session, which replaces the earlier one.
    pub fn welcomed(&mut self, now: Duration) {
        self.handshake = None;
        self.handshakes_failed = 0;
        self.own_replacement_until = None;
        self.session = SessionState::Alive;
        self.reconnect.connected(now);
    }

    /// Records that the server of the session is silent. An attempt follows soon.
    pub fn silent(&mut self, now: Duration) {
        if self.session == SessionState::Alive {
            self.session = SessionState::Silent;
            self.reconnect.silent(now);
        }
    }

    /// Records that the server of the session replies again. Returns whether the handshake of the attempt, if there is
    /// one, has to be abandoned.
    pub fn recovered(&mut self, now: Duration) -> bool {
        if self.session != SessionState::Silent {
            return false;
        }
        self.session = SessionState::Alive;
        if self.handshake == Some(true) {
            return false;
        }
        self.reconnect.connected(now);
        self.handshake.take().is_some()
    }

    /// Records that the session has ended: for this reason, or because of its socket.
    pub fn ended(&mut self, now: Duration, reason: Option<EndReason>) -> NextStep {
        self.session = SessionState::Absent;
        let is_replaced = reason == Some(EndReason::Goodbye(Goodbye::Replaced));
        let has_replaced =
            self.handshake == Some(true) || self.own_replacement_until.is_some_and(|until| now < until);
        let retry = match reason {
            Some(_) if is_replaced && has_replaced => Retry::Worthwhile,
            Some(reason) => reason.retry(),
            None => Retry::Worthwhile,
        };
        if retry == Retry::Pointless {
            return self.stop();
        }
        match self.reconnect.state() {
            ReconnectState::Joining => NextStep::GoOn,
            _ => match self.reconnect.lost(now, retry) {
                Some(until) => NextStep::Wait(until.saturating_sub(now)),
                None => self.stop(),
            },
        }
    }

    /// Gives up, so that no further attempt follows.
    pub fn stop(&mut self) -> NextStep {
        self.reconnect.give_up();
        self.session = SessionState::Absent;
        self.handshake = None;
        NextStep::Stop
    }
}

#[cfg(test)]
mod tests;
