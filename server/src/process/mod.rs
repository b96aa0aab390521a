//! The server as a process: builds its parts from a configuration, starts, watches and stops them.
//!
//! | thread | does |
//! |---|---|
//! | main | the first simulation, one tick after the other |
//! | `sim-N` | one of the other simulations each |
//! | `net-N` | one net worker each; none when workers run inline |
//! | `http` | the HTTP gateway |
//! | `signals` | waits for ctrl-c and SIGTERM |
//! | `summary` | logs a line every ten seconds while there are clients |
//!
//! Owns the order of starting (everything that can fail first, ticks last) and of stopping: new clients are
//! refused, the last tick ends, the workers disconnect their clients, HTTP ends. It is independent of what the
//! parts do.

mod banner;
mod game;
mod peer_simulations;
mod replay;
mod serve;
mod signals;
mod summary;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bevy_app::{App, AppExit, Plugins};
use throng_shared::netcode::{Entropy, EntropyError, KEY_BYTES};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::ProtocolVersion;
use tracing_subscriber::filter::ParseError;

use self::peer_simulations::{PeerSimulations, SimulationParts};
use self::summary::SummaryLog;
pub use banner::{Banner, Thousands};
pub use game::{Game, NoSettings};
pub use replay::{replay_file, replay_game};
pub use serve::{log_to_stderr, serve, serve_game};

pub use crate::http::HttpError;
pub use crate::net::socket::SocketError;
pub use crate::transport::TransportError;

use crate::boundary::link::LinkConfig;
use crate::config::{ConfigError, ServerSettings, Settings};
use crate::http::audit::audit;
use crate::http::{HttpConfig, HttpParts, HttpServer, IssuerConfig, TokenIssuer};
use crate::net::assign::{Assigner, WorkerLoad};
use crate::observe::{ServerStats, ServerStatus, StatusSender, advance_status, status_channel};
use crate::record::{RecordPlugin, RecordingHeader};
use crate::replication::ReplicationConfig;
use crate::runner::{Clock, FirstTick, Shutdown};
use crate::transport::{Transport, TransportConfig};

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
    /// Prints the error as a line on standard error. Returns the exit code: 2 if another configuration would help,
    /// else 1. For `--help` and unknown flags it ends the process.
    pub fn report(&self) -> AppExit {
        if let Self::Config(ConfigError::Usage(usage)) = self {
            usage.exit();
        }
        let _ = writeln!(io::stderr().lock(), "error: {}", Causes(self));
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
                | Self::Transport(TransportError::Socket(_))
                | Self::Recording { .. }
        )
    }
}

/// Displays an error and its sources in one line.
struct Causes<'a>(&'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)?;
        self.0
            .source()
            .map_or(Ok(()), |source| write!(out, ": {}", Causes(source)))
    }
}

/// A server with open sockets and a built world. [`Server::run`] starts its ticks.
pub struct Server {
    app: App,
    peer_simulations: PeerSimulations,
    http_server: HttpServer,
    status: StatusSender,
    shutdown: Shutdown,
    stats: Arc<ServerStats>,
    udp: Vec<SocketAddr>,
    protocol: ProtocolVersion,
    origin: Instant,
}

impl Server {
    /// Opens the sockets, builds the world and starts every thread but the simulation's. The plugins of `game` are
    /// added after the simulation's, to each simulation if there are several.
    ///
    /// # Errors
    /// Returns a [`ServerError`]; everything that was started has ended then.
    pub fn start<G: Game, M: 'static>(
        settings: &Settings<G>,
        game: impl Plugins<M> + Clone + Send + 'static,
    ) -> Result<Self, ServerError> {
        let config = &settings.server;
        let (origin, unix_origin) = origin();
        let transport = Transport::open(transport_config(config, unix_origin))?;
        let advertised: Vec<SocketAddr> = (0..)
            .zip(transport.addresses())
            .map(|(index, &bound)| config.advertised(index, bound))
            .collect();
        let private_key: [u8; KEY_BYTES] = Entropy::from_os()?.bytes();
        let loads: Arc<[WorkerLoad]> = advertised.iter().map(|_| WorkerLoad::default()).collect();
        let stats = Arc::new(ServerStats::new(config.workers, config.tick_rate));
        let issuer = TokenIssuer::new(IssuerConfig {
            addresses: advertised.clone(),
            private_key,
            assigner: Assigner::new(config.assign, Arc::clone(&loads), sessions_per_worker(config)),
        })?;

        let (status, watched) = status_channel();
        let shutdown = Shutdown::default();
        let parts = SimulationParts {
            config: config.clone(),
            clock: Clock::since(origin),
            shutdown: shutdown.clone(),
            stats: Arc::clone(&stats),
            game,
        };
        let transport = transport.into_plugin(
            private_key,
            advertised.clone(),
            loads,
            Arc::clone(&stats),
            Entropy::from_os()?,
        );
        let (mut sinks, frames) = audit(config.simulations);
        let frames = config.audit.then_some(frames);
        if frames.is_none() {
            sinks.clear();
        }
        let (mut app, peer_simulations) = parts.build(transport, sinks);
        let protocol = app.world().resource::<Protocol>().version();
        if let Some(path) = &config.record {
            app.add_plugins(recording(path, settings, protocol)?);
        }
        let parts = HttpParts {
            issuer,
            stats: Arc::clone(&stats),
            status: watched,
            origin,
            unix_origin,
            protocol,
            audit: frames,
        };
        let http_server = HttpServer::start(&http_config(config), parts)?;
        Ok(Self {
            app,
            peer_simulations,
            http_server,
            status,
            shutdown,
            stats,
            udp: advertised,
            protocol,
            origin,
        })
    }

    /// Returns the address of the HTTP API.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http_server.address()
    }

    /// Returns the handle that stops the server; see [`Server::run`].
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Returns the start banner for the terminal.
    #[must_use]
    pub fn banner<'a, G: Game>(&'a self, settings: &'a Settings<G>, colour: bool) -> Banner<'a, G> {
        Banner {
            settings,
            http: self.http_server.address(),
            udp: &self.udp,
            protocol: self.protocol,
            colour,
        }
    }

    /// Stops the server at the first ctrl-c or SIGTERM; a second one ends the process.
    ///
    /// # Errors
    /// Returns the system's error if it provides no thread or no handler for signals.
    pub fn stop_on_signal(&self) -> io::Result<()> {
        let (status, shutdown) = (self.status.clone(), self.shutdown.clone());
        signals::stop_on_signal(move |name| {
            tracing::info!("{name}: stopping; repeat to end at once");
            advance_status(&status, ServerStatus::Stopping);
            shutdown.request();
        })
    }

    /// Runs ticks until the server is stopped, then disconnects the clients and ends every thread.
    pub fn run(self) {
        let Self {
            mut app,
            peer_simulations,
            http_server,
            status,
            stats,
            origin,
            ..
        } = self;
        let summary = SummaryLog::start(Arc::clone(&stats), origin)
            .inspect_err(|error| tracing::warn!(%error, "no summaries are logged"));
        advance_status(&status, ServerStatus::Running);
        let first_tick = app.world().resource::<Clock>().now();
        let peer_simulations = peer_simulations.start(first_tick);
        app.insert_resource(FirstTick(first_tick));
        // Dropping the app ends the workers, which first disconnect their clients.
        app.run();
        peer_simulations.join();
        advance_status(&status, ServerStatus::Stopping);
        advance_status(&status, ServerStatus::Stopped);
        http_server.join();
        if let Ok(summary) = summary {
            summary.end();
        }
        let ran = Duration::from_secs(origin.elapsed().as_secs());
        tracing::info!("stopped after {ran:?}: {} ticks", stats.ticks());
    }
}

/// Returns the origin of all times in the process, and that moment since 1970. The wall clock is read only here: a
/// change of the clock while the server runs affects neither ticks nor the validity of tokens.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge at which the system's time comes in"
)]
fn origin() -> (Instant, Duration) {
    // A clock before 1970 counts as 1970: tokens are issued and checked by the same time.
    (
        Instant::now(),
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    )
}

/// Creates the file, so that an unwritable one is reported before the first tick.
fn recording<G: Game>(
    path: &Path,
    settings: &Settings<G>,
    protocol: ProtocolVersion,
) -> Result<RecordPlugin, ServerError> {
    let file = File::create(path).map_err(|error| ServerError::Recording {
        path: path.display().to_string(),
        error,
    })?;
    let header = RecordingHeader {
        release: protocol.release.to_string(),
        protocol: protocol.hash,
        game: G::NAME.to_owned(),
        settings: settings.recorded.clone(),
        seed: settings.server.seed,
        tick_rate: settings.server.tick_rate,
        content: None,
    };
    Ok(RecordPlugin::new(file, header))
}

/// Returns the number of sessions for which tokens of one worker are issued.
fn sessions_per_worker(config: &ServerSettings) -> u32 {
    config.max_clients.div_ceil(config.workers.max(1) as u32)
}

fn transport_config(config: &ServerSettings, unix_origin: Duration) -> TransportConfig {
    // The kernel may assign all clients of a shared port to one worker.
    let sessions_max = if config.udp_shared {
        config.max_clients
    } else {
        sessions_per_worker(config)
    };
    TransportConfig {
        udp: config.udp,
        workers: config.workers,
        io: config.io,
        udp_shared: config.udp_shared,
        affinity: config.affinity.clone().unwrap_or_default(),
        links: LinkConfig {
            to_simulation: config.queue_to_simulation,
            to_worker: config.queue_to_worker,
            frames: config.queue_frames,
            ..LinkConfig::default()
        },
        sessions_max,
        entities_max: config.max_clients as usize,
        replication: ReplicationConfig {
            tick_rate: config.tick_rate,
            known: config.known_max,
            bytes_per_second: config.bandwidth,
            far_fraction: f32::from(config.far_percent) / 100.0,
        },
        unix_origin_s: unix_origin.as_secs(),
    }
}

fn http_config(config: &ServerSettings) -> HttpConfig {
    HttpConfig {
        http: config.http,
        tls: config.tls(),
        behind_tls_proxy: config.behind_tls_proxy,
        join_rate: config.join_rate,
        join_rate_loopback: config.join_rate_loopback,
        connections_max: config.http_connections,
    }
}
