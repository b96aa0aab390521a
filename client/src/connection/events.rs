//! Events of a session, and the reasons why it ends.

use throng_shared::netcode::DisconnectReason;
use throng_shared::protocol::hello::{Goodbye, HelloError, Welcome};
use throng_shared::protocol::snapshot::SnapshotError;
use throng_shared::reliable::GuardError;

use crate::join::Retry;
use crate::mirror::Applied;

/// The reason why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The server sent a goodbye with its reason.
    #[error("{0}")]
    Goodbye(Goodbye),
    /// The transport ended without a goodbye.
    #[error("{0}")]
    Transport(DisconnectReason),
    /// The server sent a reliable packet that the guard rejects.
    #[error("the server broke the protocol: {0}")]
    Refused(GuardError),
}

impl EndReason {
    /// Returns whether joining again can lead to a different end.
    pub fn retry(&self) -> Retry {
        match self {
            // After `Replaced`, another session of this player is active: rejoining would make the two replace
            // each other forever.
            Self::Goodbye(
                Goodbye::ProtocolMismatch { .. }
                | Goodbye::Replaced
                | Goodbye::Abuse
                | Goodbye::Kicked(_)
                | Goodbye::Refused(_)
                | Goodbye::Despawned,
            )
            | Self::Transport(DisconnectReason::ByClient) => Retry::Pointless,
            Self::Goodbye(Goodbye::ServerFull | Goodbye::Overflow | Goodbye::Unacknowledged)
            | Self::Transport(DisconnectReason::Denied) => Retry::Later,
            Self::Goodbye(_) | Self::Transport(_) | Self::Refused(_) => Retry::Worthwhile,
        }
    }
}

/// An event caused by a datagram or by the passing of time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The transport is connected; the hello follows automatically.
    Connected,
    /// The server has welcomed this client. From now on inputs are sent.
    Welcomed(Welcome),
    /// A snapshot packet was decoded and applied to the mirror.
    Snapshot(Applied),
    /// A snapshot packet was authentic but not decodable: a defect of one end. It is not acknowledged.
    Undecodable(SnapshotError),
    /// A hello or goodbye packet was authentic but not readable.
    Unreadable(HelloError),
    /// A reliable packet arrived: [`ClientCore::next_message`](super::ClientCore::next_message) may return
    /// messages.
    Messages,
    /// Nothing has come back from the server for 1.5 s, although the client asked for a reply. The session goes on:
    /// it may recover.
    Silent,
    /// The server replies again after a silence.
    Recovered,
    /// The session has ended for this reason.
    Ended(EndReason),
}
