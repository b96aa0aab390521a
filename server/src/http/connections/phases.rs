//! The phases of a connection, and until when each may last.
//!
//! Pure: times in, deadlines out. Guarantees that every phase ends: whatever the peer sends or leaves out, reads or does
//! not read, a connection without a complete request or without progress of its response is over at its deadline.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time that the API has beyond the limit on a request to refuse a request whose body did not arrive.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Limits on the time that the parts of a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// Limit on a TLS handshake, on the head of a request, and on its body; each has this time.
    pub(crate) request: Duration,
    /// Limit on the time in which the peer takes a response.
    pub(crate) response: Duration,
    /// Limit on the time without a request on a kept-alive connection.
    pub(crate) idle: Duration,
}

/// Where a connection is between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExchangePhase {
    /// The head of a request is incomplete.
    Head,
    /// A request is being handled, its body being read.
    Handling,
    /// The response is being written.
    Responding,
    /// The last response is written, and no byte of the next request has arrived.
    Idle,
}

/// The phase of one connection. Its stream and its service change it, and its task reads the deadline.
#[derive(Debug)]
pub(super) struct ConnectionPhases {
    limits: TimeLimits,
    state: Mutex<PhaseState>,
}

#[derive(Debug, Clone, Copy)]
struct PhaseState {
    phase: ExchangePhase,
    since: Instant,
    /// Since when the connection has unwritten bytes.
    unwritten_since: Option<Instant>,
}

impl ConnectionPhases {
    /// Begins with the head of the first request.
    pub(super) fn new(limits: TimeLimits, now: Instant) -> Self {
        let state = PhaseState {
            phase: ExchangePhase::Head,
            since: now,
            unwritten_since: None,
        };
        Self {
            limits,
            state: Mutex::new(state),
        }
    }

    fn update(&self, change: impl FnOnce(&mut PhaseState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn enter(state: &mut PhaseState, phase: ExchangePhase, now: Instant) {
        state.phase = phase;
        state.since = now;
    }

    /// Bytes arrived.
    pub(super) fn received(&self, now: Instant) {
        self.update(|state| {
            if state.phase == ExchangePhase::Idle {
                Self::enter(state, ExchangePhase::Head, now);
            }
        });
    }

    /// The head of a request is complete.
    pub(super) fn requested(&self, now: Instant) {
        self.update(|state| Self::enter(state, ExchangePhase::Handling, now));
    }

    /// The response is known.
    pub(super) fn responded(&self, now: Instant) {
        self.update(|state| Self::enter(state, ExchangePhase::Responding, now));
    }

    /// Bytes are to be written.
    pub(super) fn writing(&self, now: Instant) {
        self.update(|state| {
            state.unwritten_since.get_or_insert(now);
            if state.phase == ExchangePhase::Idle {
                Self::enter(state, ExchangePhase::Responding, now);
            }
        });
    }

    /// All bytes are written.
    pub(super) fn written(&self, now: Instant) {
        self.update(|state| {
            state.unwritten_since = None;
            if state.phase == ExchangePhase::Responding {
                Self::enter(state, ExchangePhase::Idle, now);
            }
        });
    }

    /// Returns when the connection ends unless its phase changes.
    pub(super) fn deadline(&self) -> Instant {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = &self.limits;
        let limit = match state.phase {
            ExchangePhase::Head => limits.request,
            ExchangePhase::Handling => limits.request + REFUSAL_TIME,
            ExchangePhase::Responding => limits.response,
            ExchangePhase::Idle => limits.idle,
        };
        let of_phase = state.since + limit;
        let of_writing = state.unwritten_since.map(|since| since + limits.response);
        of_writing.map_or(of_phase, |of_writing| of_writing.min(of_phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TimeLimits = TimeLimits {
        request: Duration::from_secs(10),
        response: Duration::from_secs(20),
        idle: Duration::from_secs(30),
    };

    fn started() -> (ConnectionPhases, Instant) {
        let now = Instant::now();
        (ConnectionPhases::new(LIMITS, now), now)
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn head_has_a_limit_that_its_bytes_do_not_extend() {
        let (phases, start) = started();
        assert_eq!(phases.deadline(), start + s(10));
        (1..9).for_each(|second| phases.received(start + s(second)));
        assert_eq!(phases.deadline(), start + s(10));
    }

    #[test]
    fn body_and_response_have_limits_of_their_own() {
        let (phases, start) = started();
        phases.requested(start + s(4));
        phases.received(start + s(8));
        assert_eq!(phases.deadline(), start + s(4 + 10 + 1));
        phases.responded(start + s(5));
        assert_eq!(phases.deadline(), start + s(25));
        phases.writing(start + s(6));
        phases.writing(start + s(20));
        assert_eq!(phases.deadline(), start + s(25), "from the response on");
    }

    #[test]
    fn idle_connection_has_a_longer_limit_until_the_next_byte() {
        let (phases, start) = started();
        phases.requested(start);
        phases.responded(start);
        phases.writing(start);
        phases.written(start + s(1));
        assert_eq!(phases.deadline(), start + s(31));
        phases.received(start + s(11));
        assert_eq!(phases.deadline(), start + s(21));
        phases.received(start + s(20));
        assert_eq!(phases.deadline(), start + s(21));
    }

    #[test]
    fn unwritten_bytes_end_a_connection_whatever_else_it_does() {
        let (phases, start) = started();
        phases.requested(start);
        phases.responded(start);
        phases.writing(start);
        for second in 1..20 {
            phases.requested(start + s(second));
            phases.responded(start + s(second));
            phases.writing(start + s(second));
        }
        assert_eq!(
            phases.deadline(),
            start + s(20),
            "pipelined requests extend nothing"
        );
    }

    #[test]
    fn interim_response_ends_no_phase() {
        let (phases, start) = started();
        phases.requested(start);
        phases.writing(start + s(1));
        phases.written(start + s(1));
        assert_eq!(phases.deadline(), start + s(11));
    }
}
