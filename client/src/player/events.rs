//! Events that a poll of the client reports.

use std::io;
use std::time::Duration;

use crate::connection::ClientEvent;
use crate::join::{CredentialError, JoinError};

/// An event since the last poll.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlayerEvent {
    /// The server issued a token; the session begins.
    Joined {
        /// The server's release, as `0.2.0`.
        server_version: String,
    },
    /// The session reported an event.
    Session(ClientEvent),
    /// Joining failed with this error.
    JoinFailed(JoinError),
    /// The credential file was not read, or not written. The client has joined all the same.
    CredentialFailed(CredentialError),
    /// The socket failed with this error.
    SocketFailed(io::Error),
    /// There is no session, and the next attempt begins after this long. Attempts beside a session whose server is silent
    /// are not reported.
    Retrying {
        /// Time until the next attempt.
        after: Duration,
    },
    /// There will be no further attempt.
    GivenUp,
}
