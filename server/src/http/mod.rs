//! The HTTP API for joining, statistics and health, on one thread with one tokio runtime.
//!
//! | request | response |
//! |---|---|
//! | `POST /v1/guest` | a connect token for a name and a protocol hash ([`throng_shared::protocol::guest`]) |
//! | `GET /v1/stats` | all statistics of the server, cumulative ([`StatsReport`](crate::observe::StatsReport)) |
//! | `GET /v1/health` | 200 while ticks run, else 503 |
//! | `GET /v1/audit?tick=T` | all entities at one of the last 64 ticks, benchmark scenes only ([`audit`]) |
//!
//! Owns the listener and the issuing of tokens. Guarantees that requests, bodies, connections and joins per address
//! are bounded, that every error is JSON with a code and a message and is counted by its code, and that nothing
//! here can delay a tick: it shares only atomics, a watched status and a lock-free queue of frames with the
//! simulation. It is independent of the world.

pub(crate) mod audit;
mod connections;
mod error;
mod figures;
mod guest;
mod rate;
mod response_counts;
mod serve;
mod shared;
mod stall_detector;
mod start_error;
mod tls;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use throng_shared::protocol::version::ProtocolVersion;

pub use start_error::HttpError;
pub(crate) use tokens::{IssuerConfig, TokenIssuer};

use self::audit::AuditFrames;
use self::rate::{JoinLimiter, Rates};
use self::shared::SharedParts;
use self::stall_detector::StallDetector;
use crate::observe::{ServerStats, StatusReceiver};

/// Settings of the HTTP server, taken from the server's settings.
#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    /// Address to listen on; with port 0 the system chooses a port.
    pub http: SocketAddr,
    /// Certificate chain and private key, both PEM files; `None` for plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether the last entry of `X-Forwarded-For` is the client's address.
    pub behind_tls_proxy: bool,
    /// Joins per second from one remote address.
    pub join_rate: u32,
    /// Joins per second from a loopback address.
    pub join_rate_loopback: u32,
    /// Limit on open connections; more are closed.
    pub connections_max: usize,
}

/// The parts of the server that the HTTP server uses.
pub(crate) struct HttpParts {
    /// Issues connect tokens.
    pub issuer: TokenIssuer,
    /// The server's statistics.
    pub stats: Arc<ServerStats>,
    /// Status of the server: clients can join while it is running, and the HTTP server ends when it is stopped.
    pub status: StatusReceiver,
    /// Origin of all times in the process.
    pub origin: Instant,
    /// The origin since 1970. Tokens are dated by it, and not by a wall clock that may be changed meanwhile: the
    /// workers check them against the same time.
    pub unix_origin: Duration,
    /// Version of the protocol whose hash clients must have.
    pub protocol: ProtocolVersion,
    /// Frames to audit; `None` without `--audit`.
    pub audit: Option<AuditFrames>,
}

/// Handle of the running HTTP server and its thread.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl HttpServer {
    /// Starts to listen and serve on a thread of its own, until the status is stopped.
    ///
    /// # Errors
    /// Returns an [`HttpError`]; nothing runs then.
    pub(crate) fn start(config: &HttpConfig, parts: HttpParts) -> Result<Self, HttpError> {
        let tls = config
            .tls
            .as_ref()
            .map(|(cert, key)| tls::load(cert, key))
            .transpose()?;
        let listener = serve::listen(config.http)?;
        let address = listener.local_addr().map_err(|error| HttpError::Listen {
            address: config.http,
            error,
        })?;
        let rates = Rates {
            remote: config.join_rate,
            loopback: config.join_rate_loopback,
        };
        let shared = Arc::new(SharedParts {
            issuer: Mutex::new(parts.issuer),
            limiter: Mutex::new(JoinLimiter::new(rates)),
            stall_detector: Mutex::new(StallDetector::new(parts.origin.elapsed())),
            response_counts: Mutex::default(),
            audit: parts.audit.map(Mutex::new),
            stats: parts.stats,
            status: parts.status,
            origin: parts.origin,
            unix_origin: parts.unix_origin,
            protocol: parts.protocol,
            behind_tls_proxy: config.behind_tls_proxy,
        });
        let connections_max = config.connections_max;
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                if let Err(error) = serve::run(listener, tls, connections_max, shared) {
                    tracing::error!(%error, "the HTTP server ended");
                }
            })
            .map_err(HttpError::Thread)?;
        Ok(Self { address, thread })
    }

    /// Returns the address on which the HTTP server listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the HTTP server has ended, which it does once the status is stopped.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the HTTP thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
