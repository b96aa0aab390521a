//! State that the request handlers share.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use throng_shared::protocol::version::ProtocolVersion;

use super::audit::AuditFrames;
use super::rate::JoinLimiter;
use super::response_counts::ResponseCounts;
use super::stall_detector::StallDetector;
use super::tokens::TokenIssuer;
use crate::observe::{ServerStats, StatusReceiver};

/// Limit on the bytes of a request's body; a longer one is refused with 413.
pub(super) const BODY_BYTES_MAX: usize = 4_096;

/// The state that request handlers use.
pub(super) struct SharedParts {
    pub(super) issuer: Mutex<TokenIssuer>,
    pub(super) limiter: Mutex<JoinLimiter>,
    pub(super) stall_detector: Mutex<StallDetector>,
    pub(super) response_counts: Mutex<ResponseCounts>,
    pub(super) audit: Option<Mutex<AuditFrames>>,
    pub(super) stats: Arc<ServerStats>,
    pub(super) status: StatusReceiver,
    pub(super) origin: Instant,
    pub(super) unix_origin: Duration,
    pub(super) protocol: ProtocolVersion,
    pub(super) behind_tls_proxy: bool,
}

/// State that all requests share. Its locks are taken on the HTTP server's thread only and never held across an await.
pub(super) type Shared = Arc<SharedParts>;
