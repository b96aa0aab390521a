//! Why joining failed, in words for players.

use std::io;
use std::time::Duration;

use throng_shared::protocol::version::ProtocolVersion;

use super::reconnect::Retry;

/// Why joining failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The two ends speak different protocols.
    #[error(
        "this client speaks {client}, {server} speaks {spoken}: one of them has to be updated, or \
             registers other types, or in another order"
    )]
    WrongVersion {
        /// What this client speaks.
        client: ProtocolVersion,
        /// The server.
        server: String,
        /// What it speaks, as `0.2.0 (hash 1f2e3d4c5b6a7988)`.
        spoken: String,
    },
    /// Every worker of the server is full.
    #[error("the server {server} is full")]
    Full {
        /// The server.
        server: String,
    },
    /// The server is starting or stopping, or this address joins too often.
    #[error("the server {server} does not take players now: {message}")]
    Busy {
        /// The server.
        server: String,
        /// Its sentence.
        message: String,
    },
    /// The server refused the request, such as for the name.
    #[error("the server {server} refused ({code}): {message}")]
    Refused {
        /// The server.
        server: String,
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from {server} within {} s: is the address right, and does the server run?", timeout.as_secs_f32())]
    TimedOut {
        /// The server.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot reach {server}: {}", plain(source))]
    Unreachable {
        /// The server.
        server: String,
        /// What the network said.
        source: Box<ureq::Error>,
    },
    /// What was given as the address is none.
    #[error("`{server}` is no address: one is written like play.example.org:8080")]
    BadAddress {
        /// What was given.
        server: String,
    },
    /// What answered is not a Throng server, or one that this client does not understand.
    #[error("what answers at {server} is no Throng server: {problem}")]
    BadAnswer {
        /// The server.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl JoinError {
    /// Whether a later attempt may succeed.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Full { .. } | Self::Busy { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => {
                Retry::Worthwhile
            }
            Self::WrongVersion { .. }
            | Self::Refused { .. }
            | Self::BadAddress { .. }
            | Self::BadAnswer { .. } => Retry::Pointless,
        }
    }
}

/// What the network said, in words for players where there are some.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if is_unknown_host(error) => NO_SUCH_HOST.to_owned(),
        ureq::Error::HostNotFound => NO_SUCH_HOST.to_owned(),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "no server listens there".to_owned(),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no way to it from here: is this machine online?".to_owned()
            }
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                "the connection broke before there was an answer".to_owned()
            }
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

pub(super) const NO_SUCH_HOST: &str =
    "no host of that name is known: is it spelled right, and is this machine online?";

/// Whether a name could not be looked up. The standard library has no kind for that; what it writes on Unix is
/// its own, on Windows it is the system's error.
fn is_unknown_host(error: &io::Error) -> bool {
    (cfg!(windows) && matches!(error.raw_os_error(), Some(11_001 | 11_004)))
        || error
            .to_string()
            .starts_with("failed to lookup address information")
}
