//! The server as a process: its parts put together from a configuration, started, watched and stopped.
//!
//! | thread | does |
//! |---|---|
//! | main | the simulation, one tick after the other |
//! | `net-N` | one net worker each; none when inline |
//! | `http` | the gateway |
//! | `signals` | waits for ctrl-c and SIGTERM |
//! | `summary` | logs a line every ten seconds while somebody plays |
//!
//! Owns the order of starting (everything that can fail first, ticks last) and of stopping: nobody joins any
//! more, the last tick ends, the workers tell their clients, HTTP ends. Refuses to know what any part does.

mod banner;
mod signals;
mod summary;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_app::App;
use throng_shared::netcode::{Entropy, EntropyError, KEY_BYTES};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::ProtocolVersion;

pub use banner::Banner;

use crate::config::Config;
use crate::gateway::audit::audit;
use crate::gateway::{Gateway, GatewayConfig, GatewayError, GatewayParts, IssuerConfig, TokenIssuer};
use crate::net::assign::{Assigner, WorkerLoad};
use crate::observe::{ServerStats, ServerStatus, StatusSender, advance_status, status_channel};
use crate::plugins::ServerPlugins;
use crate::runner::{Clock, Shutdown};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The HTTP API.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The operating system.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The system gives no thread, or lets us watch no signals.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl ServerError {
    /// Whether another configuration would help: an address, a port, a certificate.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Gateway(_))
    }
}
