//! Why the gateway does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Somebody else listens there.
    #[error("HTTP port {} at {} is in use: stop the other program or choose another --http", address.port(), address.ip())]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen for HTTP on {address}: {error}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The TLS identity cannot be used.
    #[error("cannot use {} for TLS: {reason}", path.display())]
    Tls {
        /// The file at fault.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system gives no thread.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(io::Error),
}
