//! The HTTP API for joining, statistics and health, on one thread with one tokio runtime.
//!
//! | request | response |
//! |---|---|
//! | `POST /v1/guest` | a connect token for a name and a protocol hash ([`throng_shared::protocol::guest`]) |
//! | `GET /v1/stats` | all statistics of the server, cumulative ([`StatsReport`](crate::observe::StatsReport)); a short form for callers that are not trusted |
//! | `GET /v1/health` | 200 while ticks run, else 503 |
//! | `GET /v1/audit?tick=T` | all entities at one of the last 64 ticks, benchmark scenes only ([`audit`]), for trusted callers |
//!
//! Owns the listener and the issuing of tokens. Guarantees that connections, requests, joins and statistics per address
//! are bounded ([`caller`], [`connections`], [`rate`]), that each part of a request and of its response is bounded in
//! size and time, that only requests to a name of this server from programs and its own pages are handled ([`guard`]),
//! that every error is JSON with a code and a message and is counted by its code, and that nothing here can delay a
//! tick: it shares only atomics, a watched status and a lock-free queue of frames with the simulation. It is independent
//! of the world.

pub(crate) mod audit;
mod caller;
mod connections;
mod error;
mod figures;
mod guard;
mod guest;
mod host_names;
mod open_files;
mod operator_token;
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

use throng_shared::protocol::registry::ProtocolParts;
use throng_shared::protocol::version::ProtocolVersion;

pub(crate) use caller::{AddressRange, PROXIES_DEFAULT};
pub(crate) use connections::{ConnectionLimits, TimeLimits};
pub(crate) use host_names::split_host;
pub(crate) use rate::AddressRates;
pub use start_error::HttpError;
pub(crate) use tokens::{IssuerConfig, TokenIssuer};

use self::audit::AuditFrames;
use self::caller::CallerRules;
use self::connections::ConnectionConfig;
use self::host_names::HostNames;
use self::operator_token::OperatorToken;
use self::rate::RateLimiter;
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
    /// Networks of the proxies in front, whose `X-Forwarded-For` is believed; `None` without a proxy.
    pub proxies: Option<Vec<AddressRange>>,
    /// Names of this server, each with or without a port, beside those of loopback.
    pub names: Vec<String>,
    /// File of the operator's token.
    pub operator_token: Option<PathBuf>,
    /// Limit on the rate of joins.
    pub joins: AddressRates,
    /// Limit on the rate of statistics and audits.
    pub figures: AddressRates,
    /// Limit on the rate of requests of all kinds, and of connections, of one remote address.
    pub request_rate: u32,
    /// Limits on open connections.
    pub connections: ConnectionLimits,
    /// Limits on the time of requests and responses.
    pub times: TimeLimits,
    /// Limit on sessions, for the statistics.
    pub clients_max: u32,
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
    /// Its parts, to name the first that differs from a client's.
    pub protocol_parts: ProtocolParts,
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
        let shared = Arc::new(shared_parts(config, address, parts)?);
        let connections = ConnectionConfig {
            limits: config.connections,
            times: config.times,
            tls,
        };
        open_files::allow(config.connections.total);
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                if let Err(error) = serve::run(listener, connections, shared) {
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

/// Builds the state that requests share, for a server that listens on `address`.
fn shared_parts(
    config: &HttpConfig,
    address: SocketAddr,
    parts: HttpParts,
) -> Result<SharedParts, HttpError> {
    let callers = CallerRules {
        proxies: config.proxies.clone(),
        is_on_loopback: address.ip().is_loopback(),
    };
    let operator_token = config.operator_token.as_deref().map(OperatorToken::load);
    let requests = AddressRates {
        remote: config.request_rate,
        local: config.request_rate,
    };
    Ok(SharedParts {
        issuer: Mutex::new(parts.issuer),
        requests: Mutex::new(RateLimiter::new(requests)),
        joins: Mutex::new(RateLimiter::new(config.joins)),
        figures: Mutex::new(RateLimiter::new(config.figures)),
        stall_detector: Mutex::new(StallDetector::new(parts.origin.elapsed())),
        response_counts: Mutex::default(),
        audit: parts.audit.map(Mutex::new),
        stats: parts.stats,
        status: parts.status,
        origin: parts.origin,
        unix_origin: parts.unix_origin,
        protocol: parts.protocol,
        protocol_parts: parts.protocol_parts,
        refused_versions: Mutex::default(),
        hosts: HostNames {
            names: config.names.clone(),
            loopback_port: callers.trusts_local().then_some(address.port()),
        },
        callers,
        operator_token: operator_token.transpose()?,
        clients_max: config.clients_max,
        request_time: config.times.request,
    })
}

#[cfg(test)]
mod tests;
