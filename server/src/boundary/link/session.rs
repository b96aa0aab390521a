//! A session as simulation and worker know it: its key, its kind, and why it ends.

use serde::{Deserialize, Serialize};
use throng_shared::netcode::SessionId;

/// Identifies a session in the whole process: the worker that serves it for its lifetime and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Index of the net worker.
    pub worker: u8,
    /// Id of the session on that worker.
    pub session: SessionId,
}

impl SessionKey {
    /// The key of a player without a session. No worker has it, so nothing that is sent to it arrives anywhere.
    pub const NONE: Self = Self {
        worker: u8::MAX,
        session: SessionId {
            index: u32::MAX,
            generation: u32::MAX,
        },
    };
}

/// The kind of client, known from its first payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A client that sent a hello with our protocol hash: it sends inputs, receives snapshots and may own an entity.
    Throng,
    /// A stock renet client: it exchanges reliable messages and nothing else, and owns no entity.
    Renet,
}

/// Why a session ended or has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The client ended the session itself.
    Client,
    /// No packet arrived from the client during the time-out in its token.
    TimedOut,
    /// The same client connected again with a newer token.
    Replaced,
    /// The client broke the protocol: it sent a reliable packet that the guard refused, or an impossible payload.
    Abuse,
    /// More reliable messages waited for the client than the bounds allow.
    Overflow,
    /// The worker panicked while it processed the session; a defect of ours that ends this session only.
    Fault,
    /// Gameplay code ended the session.
    Kicked,
    /// The server is shutting down.
    Shutdown,
    /// Gameplay code despawned the player's entity, or removed its `Player` component.
    Despawned,
    /// The client acknowledged no reliable message for seconds, although packets of it arrived.
    Unacknowledged,
    /// The game's rule did not admit the client.
    Refused,
}

impl LeaveReason {
    /// Returns whether the player stays for a while after the session, because its client may come back: it left
    /// neither by its own will nor by a decision against it.
    #[must_use]
    pub fn lingers(self) -> bool {
        match self {
            Self::TimedOut
            | Self::Replaced
            | Self::Overflow
            | Self::Fault
            | Self::Shutdown
            | Self::Unacknowledged => true,
            Self::Client | Self::Abuse | Self::Kicked | Self::Despawned | Self::Refused => false,
        }
    }

    /// Returns whether the client is sent the reliable messages of before the end, and then the end.
    pub(crate) fn has_last_words(self) -> bool {
        matches!(self, Self::Kicked | Self::Shutdown | Self::Despawned)
    }
}
