//! What a session reports: its events, and why it ended.

use throng_shared::netcode::DisconnectReason;
use throng_shared::protocol::hello::{Goodbye, HelloError, Welcome};
use throng_shared::protocol::snapshot::SnapshotError;
use throng_shared::reliable::GuardError;

use crate::join::Retry;
use crate::mirror::Applied;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The server said why.
    #[error("{0}")]
    Goodbye(Goodbye),
    /// The transport ended without a word of the server's.
    #[error("{0}")]
    Transport(DisconnectReason),
    /// The server sent a reliable packet that the guard refuses.
    #[error("the server broke the protocol: {0}")]
    Refused(GuardError),
}

impl EndReason {
    /// Whether joining again can lead to more than the same end.
    pub fn retry(&self) -> Retry {
        match self {
            // Another session of this player has taken over: coming back would begin a duel.
            Self::Goodbye(
                Goodbye::ProtocolMismatch { .. } | Goodbye::Replaced | Goodbye::Abuse | Goodbye::Kicked,
            )
            | Self::Transport(DisconnectReason::ByClient) => Retry::Pointless,
            Self::Goodbye(_) | Self::Transport(_) | Self::Refused(_) => Retry::Worthwhile,
        }
    }
}

/// What a datagram or the passing of time brought.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The transport is up; the greeting follows by itself.
    Connected,
    /// The server knows us: from now on inputs are sent.
    Welcomed(Welcome),
    /// A snapshot packet was decoded and applied to the mirror.
    Snapshot(Applied),
    /// A snapshot packet was authentic and yet not decodable: a defect of one end. It is not acknowledged.
    Undecodable(SnapshotError),
    /// A greeting was authentic and yet not readable.
    Unreadable(HelloError),
    /// A reliable packet arrived: [`ClientCore::next_message`](super::ClientCore::next_message) may have something.
    Messages,
    /// The session is over.
    Ended(EndReason),
}
