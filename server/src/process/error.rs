//! The reasons why a server does not start, and how they are reported.

use std::error::Error;
use std::fmt;
use std::io;

use bevy_app::AppExit;
use throng_shared::netcode::EntropyError;
use tracing_subscriber::filter::ParseError;

use super::output::print;
use super::stderr_log;
use crate::config::ConfigError;
use crate::http::HttpError;
use crate::net::socket::SocketError;
use crate::transport::TransportError;

/// The reason why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The filter for the log is invalid.
    #[error("--log: {0}")]
    Log(ParseError),
    /// The HTTP API cannot start.
    #[error(transparent)]
    HttpServer(#[from] HttpError),
    /// The net workers or their sockets cannot start.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The system provides no random bytes for keys.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// An address stands for many hosts.
    #[error(transparent)]
    Address(#[from] SocketError),
    /// The file to record to cannot be written.
    #[error("--record {path}: {error}")]
    Recording {
        /// Path of the file.
        path: String,
        /// The error of the file system.
        error: io::Error,
    },
    /// The system provides no thread, or no handler for signals.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl ServerError {
    /// Prints the error as a line on standard error, behind the log, and waits a moment at most until it is written.
    /// Returns the exit code: 2 if another configuration would help, else 1. `--help` and `--version` are printed on
    /// standard output, with exit code 0.
    pub fn report(&self) -> AppExit {
        if let Self::Config(ConfigError::Usage(usage)) = self {
            if usage.use_stderr() {
                // A closed standard error cannot report its own failure.
                let _ = usage.print();
                return AppExit::from_code(2);
            }
            return print(AppExit::Success, |_| usage.print());
        }
        stderr_log::write_line(&format!("error: {}", Causes(self)));
        stderr_log::flush();
        AppExit::from_code(if self.is_configuration() { 2 } else { 1 })
    }

    /// Returns whether another configuration would help: another address, port or certificate.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Log(_)
                | Self::HttpServer(_)
                | Self::Address(_)
                | Self::Transport(TransportError::Socket(_))
                | Self::Recording { .. }
        )
    }
}

/// Displays an error and its sources in one line.
pub(super) struct Causes<'a>(pub(super) &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        self.0
            .source()
            .map_or(Ok(()), |source| write!(out, ": {}", Causes(source)))
    }
}
