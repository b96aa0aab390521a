//! State that the request handlers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use throng_shared::protocol::registry::ProtocolParts;
use throng_shared::protocol::version::ProtocolVersion;

use super::audit::AuditFrames;
use super::caller::{CallerRules, HttpCaller};
use super::host_names::HostNames;
use super::operator_token::OperatorToken;
use super::rate::RateLimiter;
use super::response_counts::ResponseCounts;
use super::stall_detector::StallDetector;
use super::tokens::TokenIssuer;
use crate::observe::{RefusedVersions, ServerStats, StatusReceiver};

/// Limit on the bytes of a request's body; a longer one is refused with 413.
pub(super) const BODY_BYTES_MAX: usize = 4_096;

/// The state that request handlers use.
pub(super) struct SharedParts {
    pub(super) issuer: Mutex<TokenIssuer>,
    /// Limits requests of all kinds, and connections.
    pub(super) requests: Mutex<RateLimiter>,
    pub(super) joins: Mutex<RateLimiter>,
    /// Limits requests for statistics and audits.
    pub(super) figures: Mutex<RateLimiter>,
    pub(super) stall_detector: Mutex<StallDetector>,
    pub(super) response_counts: Mutex<ResponseCounts>,
    pub(super) audit: Option<Mutex<AuditFrames>>,
    pub(super) stats: Arc<ServerStats>,
    pub(super) status: StatusReceiver,
    pub(super) origin: Instant,
    pub(super) unix_origin: Duration,
    pub(super) protocol: ProtocolVersion,
    pub(super) protocol_parts: ProtocolParts,
    pub(super) refused_versions: Mutex<RefusedVersions>,
    pub(super) callers: CallerRules,
    pub(super) hosts: HostNames,
    pub(super) operator_token: Option<OperatorToken>,
    /// Limit on sessions, for the statistics.
    pub(super) clients_max: u32,
    /// Limit on the time from the end of a request's head to its response, reading the body included.
    pub(super) request_time: Duration,
}

/// State that all requests share. Its locks are taken on the HTTP server's thread only and never held across an await.
pub(super) type Shared = Arc<SharedParts>;

impl SharedParts {
    /// Counts one response, refusal or connection under its name.
    pub(super) fn count(&self, name: &'static str) {
        lock(&self.response_counts).count(name);
    }

    /// Returns whether a request shows the operator's token.
    pub(super) fn shows_token(&self, headers: &HeaderMap) -> bool {
        let token = self.operator_token.as_ref();
        token.is_some_and(|token| token.is_shown(headers))
    }

    /// Takes one from the caller's rate of requests of all kinds. Returns `false` if none is left.
    pub(super) fn takes_request(&self, caller: HttpCaller) -> bool {
        lock(&self.requests).take(self.origin.elapsed(), caller)
    }
}

/// Locks one part of the state. Nothing panics midway while it holds such a lock.
pub(super) fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
