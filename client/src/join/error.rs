//! Errors of joining, with messages for players.

use std::io;
use std::time::Duration;

use throng_shared::protocol::version::ProtocolVersion;

use super::reconnect::Retry;

/// The reason why joining failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The two ends speak different protocols.
    #[error(
        "this client speaks {client}, {server} speaks {spoken}: one of them has to be updated, or \
             registers other types, or in another order{}",
        difference.as_ref().map(|words| format!("; {words}")).unwrap_or_default()
    )]
    WrongVersion {
        /// The client's protocol version.
        client: ProtocolVersion,
        /// The server's address, as given by the player.
        server: String,
        /// The server's protocol version, as `0.2.0 (hash 1f2e3d4c5b6a7988)`.
        spoken: String,
        /// The first part of the protocol that differs, in words, if it is known.
        difference: Option<String>,
    },
    /// Every worker of the server is full.
    #[error("the server {server} is full")]
    Full {
        /// The server's address, as given by the player.
        server: String,
    },
    /// The server is starting or stopping, or is behind a proxy that does not reach it.
    #[error("the server {server} does not take players now: {message}")]
    NotRunning {
        /// The server's address, as given by the player.
        server: String,
        /// The message of the server or of the proxy, for players.
        message: String,
    },
    /// This address joins too often.
    #[error("the server {server} does not take players now: {message}")]
    Busy {
        /// The server's address, as given by the player.
        server: String,
        /// The server's message, for players.
        message: String,
    },
    /// The server refused the request, for example because of the name.
    #[error("the server {server} refused ({code}): {message}")]
    Refused {
        /// The server's address, as given by the player.
        server: String,
        /// The error code, for programs.
        code: String,
        /// The server's message, for players.
        message: String,
    },
    /// The server did not respond in time.
    #[error("no answer from {server} within {} s: is the address right, and does the server run?", timeout.as_secs_f32())]
    TimedOut {
        /// The server's address, as given by the player.
        server: String,
        /// The timeout that passed.
        timeout: Duration,
    },
    /// No connection could be made, or it broke.
    #[error("cannot reach {server}: {}", plain(source))]
    Unreachable {
        /// The server's address, as given by the player.
        server: String,
        /// The error of the HTTP client.
        source: Box<ureq::Error>,
    },
    /// The text given as the server's address is not a valid address.
    #[error("`{server}` is not a valid address: write it like play.example.org:8080")]
    BadAddress {
        /// The text given as the address.
        server: String,
    },
    /// The response is not one of a Throng server, or this client does not understand it.
    #[error("{server} is not a Throng server: {problem}")]
    BadAnswer {
        /// The server's address, as given by the player.
        server: String,
        /// What is wrong with the response.
        problem: String,
    },
}

impl JoinError {
    /// Returns whether a later attempt may succeed.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NotRunning { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => Retry::Worthwhile,
            Self::Full { .. } | Self::Busy { .. } => Retry::Later,
            Self::WrongVersion { .. }
            | Self::Refused { .. }
            | Self::BadAddress { .. }
            | Self::BadAnswer { .. } => Retry::Pointless,
        }
    }
}

/// Describes a network error, in words for players where there are some.
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

/// Returns whether a host name could not be resolved. The standard library has no error kind for that. On Unix
/// it writes this text itself; on Windows it is the system's error code.
fn is_unknown_host(error: &io::Error) -> bool {
    (cfg!(windows) && matches!(error.raw_os_error(), Some(11_001 | 11_004)))
        || error
            .to_string()
            .starts_with("failed to lookup address information")
}
