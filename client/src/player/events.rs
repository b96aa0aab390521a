//! What a poll of the client reports.

use std::io;
use std::time::Duration;

use crate::connection::ClientEvent;
use crate::join::JoinError;

/// What happened since the last poll.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlayerEvent {
    /// A token was given; the session begins.
    Joined {
        /// The server's version.
        server_version: String,
    },
    /// Something happened in the session.
    Session(ClientEvent),
    /// Joining failed.
    JoinFailed(JoinError),
    /// The socket failed.
    SocketFailed(io::Error),
    /// The next attempt begins after this long.
    Retrying {
        /// Time until then.
        after: Duration,
    },
    /// There will be no further attempt.
    GivenUp,
}
