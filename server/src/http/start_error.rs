//! The errors that stop the HTTP server from starting.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why the HTTP server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Another program listens on the port.
    #[error("HTTP port {} at {} is in use: stop the other program or choose another --http", address.port(), address.ip())]
    PortInUse {
        /// The configured address, whose port is in use.
        address: SocketAddr,
    },
    /// The system refuses to listen on the address.
    #[error("cannot listen for HTTP on {address}: {error}")]
    Listen {
        /// The configured address to listen on.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The TLS identity cannot be used.
    #[error("cannot use {} for TLS: {reason}", path.display())]
    Tls {
        /// Path of the invalid file.
        path: PathBuf,
        /// The reason, for people.
        reason: String,
    },
    /// The file of the operator's token cannot be used.
    #[error("cannot use {} as the operator's token: {reason}", path.display())]
    OperatorToken {
        /// Path of the file.
        path: PathBuf,
        /// The reason, for people.
        reason: String,
    },
    /// The system provides no thread.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(io::Error),
}
