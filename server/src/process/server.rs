//! The server: builds its parts from the settings, runs them and ends them.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bevy_app::{App, Plugins};
use throng_shared::netcode::{Entropy, KEY_BYTES};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::{ProtocolVersion, Release};
use tokio::sync::watch;

use super::banner::Banner;
use super::error::ServerError;
use super::game::{Game, NoSettings};
use super::log_filter::LogModules;
use super::peer_simulations::{PeerSimulations, SimulationParts};
use super::record_file;
use super::signals;
use super::stderr_log::FlushLog;
use super::summary::SummaryLog;
use super::time_origin::origin;
use crate::boundary::link::LinkConfig;
use crate::config::{ServerSettings, Settings};
use crate::http::audit::audit;
use crate::http::{
    AddressRates, ConnectionLimits, HttpConfig, HttpParts, HttpServer, IssuerConfig, PROXIES_DEFAULT,
    TimeLimits, TokenIssuer,
};
use crate::net::assign::WorkerLoad;
use crate::net::places::{PlaceLimits, Places};
use crate::net::socket::refuse_broadcast;
use crate::observe::{ServerStats, ServerStatus, StatusSender, advance_status, status_channel};
use crate::record::{RecordPlugin, RecordingHeader};
use crate::replication::ReplicationConfig;
use crate::runner::{Clock, FirstTick, Shutdown};
use crate::transport::{Transport, TransportConfig};

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
    /// Dropped when the server has ended.
    running: watch::Sender<()>,
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
        refuse_broadcast(config.udp)?;
        let transport = Transport::open(transport_config(config, unix_origin))?;
        let advertised: Vec<SocketAddr> = (0..)
            .zip(transport.addresses())
            .map(|(index, &bound)| config.advertised(index, bound))
            .collect();
        advertised.iter().copied().try_for_each(refuse_broadcast)?;
        let private_key: [u8; KEY_BYTES] = Entropy::from_os()?.bytes();
        let loads: Arc<[WorkerLoad]> = advertised.iter().map(|_| WorkerLoad::default()).collect();
        let stats = Arc::new(ServerStats::new(config.workers, config.tick_rate));
        let places = Arc::new(Places::new(loads.len(), config.assign, place_limits(config)));
        let issuer = TokenIssuer::new(IssuerConfig {
            addresses: advertised.clone(),
            private_key,
            places: Arc::clone(&places),
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
            places,
            Arc::clone(&stats),
            Entropy::from_os()?,
        );
        let (mut sinks, frames) = audit(config.simulations);
        let frames = config.audit.then_some(frames);
        if frames.is_none() {
            sinks.clear();
        }
        let (mut app, peer_simulations) = parts.build(transport, sinks);
        let registry = app.world().resource::<Protocol>();
        let (protocol, protocol_parts) = (registry.version(), registry.parts());
        let parts = HttpParts {
            issuer,
            stats: Arc::clone(&stats),
            status: watched,
            origin,
            unix_origin,
            protocol,
            protocol_parts,
            audit: frames,
        };
        let http_server = HttpServer::start(&http_config(config), parts)?;
        // Last of what can fail: no other failure leaves an empty file.
        if let Some(path) = &config.record {
            app.add_plugins(recording(path, settings, protocol)?);
        }
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
            running: watch::Sender::new(()),
        })
    }

    /// Starts a server for a test of a game: on ports of the loopback interface that the system chooses, with one worker
    /// and otherwise the default settings, whatever flags and variables the process has.
    /// [`run_while`](Self::run_while) plays with it.
    ///
    /// # Errors
    /// Returns a [`ServerError`] like [`start`](Self::start).
    pub fn local<M: 'static>(game: impl Plugins<M> + Clone + Send + 'static) -> Result<Self, ServerError> {
        let words = ["local", "--http=127.0.0.1:0", "--udp=127.0.0.1:0", "--workers=1"];
        let settings = NoSettings::settings_from(words.map(OsString::from), [])?;
        Self::start(&settings, game)
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

    /// Stops the server at the first ctrl-c, SIGTERM or SIGHUP. A second one ends the process, and so does a stop that
    /// takes more than ten seconds.
    ///
    /// # Errors
    /// Returns the system's error if it provides no thread or no handler for signals.
    pub fn stop_on_signal(&self) -> io::Result<()> {
        let (status, shutdown) = (self.status.clone(), self.shutdown.clone());
        signals::stop_on_signal(self.running.subscribe(), move |name| {
            advance_status(&status, ServerStatus::Stopping);
            shutdown.request();
            tracing::info!("{name}: stopping; repeat to end at once");
        })
    }

    /// Returns a sentence for each part of the log filter that selects nothing. `game` has the names of the types that make
    /// the game.
    pub(super) fn unmatched_log_targets(&self, filter: &str, game: &[&str]) -> Vec<String> {
        let components = self.app.world().components().iter_registered();
        let names = components.map(|component| component.name().to_string());
        LogModules::new(game, names).unmatched(filter)
    }

    /// Runs ticks while `act` runs on a thread of its own, with the address of the HTTP API, at which clients join. Then
    /// stops the server, and returns what `act` returned.
    ///
    /// # Panics
    /// Panics if `act` does, once the server has stopped.
    pub fn run_while<T: Send>(self, act: impl FnOnce(SocketAddr) -> T + Send) -> T {
        let (http, shutdown) = (self.http(), self.shutdown());
        thread::scope(|scope| {
            let acting = scope.spawn(move || {
                let outcome = panic::catch_unwind(AssertUnwindSafe(|| act(http)));
                shutdown.request();
                outcome
            });
            self.run();
            let outcome = acting.join().flatten();
            outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Runs ticks until the server is stopped, then disconnects the clients and ends every thread.
    pub fn run(self) {
        // Dropped last, also when the simulation panics.
        let _flush = FlushLog;
        let Self {
            mut app,
            peer_simulations,
            http_server,
            status,
            stats,
            origin,
            running,
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
        drop(running);
    }
}

/// Creates the file, so that one that cannot be used is reported before the first tick.
fn recording<G: Game>(
    path: &Path,
    settings: &Settings<G>,
    protocol: ProtocolVersion,
) -> Result<RecordPlugin, ServerError> {
    let file = record_file::create(path).map_err(|error| ServerError::Recording {
        path: path.display().to_string(),
        error,
    })?;
    let header = RecordingHeader {
        release: Release::CURRENT.to_string(),
        protocol: protocol.hash,
        game: G::NAME.to_owned(),
        settings: settings.recorded.clone(),
        seed: settings.server.seed,
        tick_rate: settings.server.tick_rate,
        linger: settings.server.linger(),
        content: None,
    };
    Ok(RecordPlugin::new(file, header))
}

/// Returns the number of sessions for which tokens of one worker are issued.
fn sessions_per_worker(config: &ServerSettings) -> u32 {
    config.max_clients.div_ceil(config.workers.max(1) as u32)
}

fn place_limits(config: &ServerSettings) -> PlaceLimits {
    PlaceLimits {
        places_max: config.max_clients,
        worker_max: sessions_per_worker(config),
        address_max: config.sessions_per_address,
        trusts_loopback: config.http.ip().is_loopback() && !config.behind_tls_proxy,
        hello_timeout: Some(u64::from(config.hello_timeout_s))
            .filter(|&seconds| seconds > 0)
            .map(Duration::from_secs),
    }
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
    let proxies = config.proxies.clone();
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    HttpConfig {
        http: config.http,
        tls: config.tls(),
        proxies: config
            .behind_tls_proxy
            .then(|| proxies.unwrap_or_else(|| PROXIES_DEFAULT.to_vec())),
        names: config.http_names.clone().unwrap_or_default(),
        operator_token: config.operator_token.clone(),
        joins: AddressRates {
            remote: config.join_rate,
            local: config.join_rate_loopback,
        },
        figures: AddressRates {
            remote: config.stats_rate,
            local: config.stats_rate_loopback,
        },
        request_rate: config.http_rate,
        connections: ConnectionLimits {
            total: config.http_connections,
            per_address: config.http_connections_address,
            per_loopback: config.http_connections_loopback,
        },
        times: TimeLimits {
            request: seconds(config.http_request_s),
            response: seconds(config.http_response_s),
            idle: seconds(config.http_idle_s),
        },
        clients_max: config.max_clients,
    }
}
