//! The state of a session that has ended for the game, while its client is sent its last messages.

use std::time::Duration;

use throng_shared::protocol::hello::Goodbye;
use throng_shared::protocol::kick_text::KickText;

use super::session::WorkerSession;
use crate::boundary::link::LeaveReason;

/// A session that has ended for the game.
pub(super) struct ClosingSession {
    pub(super) session: Box<WorkerSession>,
    pub(super) goodbye: Goodbye,
    /// Time at which the goodbye is sent, unless the client acknowledges more messages before.
    pub(super) until: Duration,
    /// Time at which the goodbye is sent, whatever was acknowledged.
    pub(super) latest: Duration,
    /// Packets of reliable messages that were acknowledged when this was last looked at.
    pub(super) acknowledged: u64,
    /// Time before which nothing more is sent, so that the client's bandwidth is kept.
    pub(super) next_at: Duration,
}

/// Returns the goodbye for a reason, or `None` if the client is sent none.
pub(super) fn goodbye_for(reason: LeaveReason, text: Option<&KickText>) -> Option<Goodbye> {
    match reason {
        LeaveReason::Replaced => Some(Goodbye::Replaced),
        LeaveReason::Abuse => Some(Goodbye::Abuse),
        LeaveReason::Overflow => Some(Goodbye::Overflow),
        LeaveReason::Shutdown => Some(Goodbye::Shutdown),
        LeaveReason::Kicked => Some(Goodbye::Kicked(text.copied().unwrap_or_default())),
        LeaveReason::Refused => Some(Goodbye::Refused(text.copied().unwrap_or_default())),
        LeaveReason::Despawned => Some(Goodbye::Despawned),
        LeaveReason::Unacknowledged => Some(Goodbye::Unacknowledged),
        // The client is gone, or may reconnect at once.
        LeaveReason::Client | LeaveReason::TimedOut | LeaveReason::Fault => None,
    }
}
