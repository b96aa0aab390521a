//! The server's settings: from flags, else environment variables, else a TOML file, else defaults.
//!
//! Owns the table of settings and their meaning. Guarantees that every value in a [`Config`] is usable as it
//! is and that every refusal names the setting, its value, what is accepted and where the value came from.
//! Refuses unknown keys in all three places: a setting that is misspelled would else be silently ignored.

mod error;
mod layers;
mod read;
mod settings;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use error::{ConfigError, Origin};
pub use settings::{Allowed, SETTINGS, Setting};

use self::settings::Program;
use crate::net::assign::AssignStrategy;
use crate::net::socket::IoKind;
use crate::scenes::Scene;

/// Everything that can be set. `docs/configuration.md` describes each value for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the HTTP API listens.
    pub http: SocketAddr,
    /// Where the first net worker listens. Port 0 lets the system choose, for every worker.
    pub udp: SocketAddr,
    /// The UDP address that clients are told instead.
    pub advertise: Option<Advertise>,
    /// Sessions over all workers at most.
    pub max_clients: u32,
    /// Certificate chain and private key, PEM files.
    pub tls: Option<TlsFiles>,
    /// A proxy ends TLS: its `X-Forwarded-For` names the client.
    pub behind_tls_proxy: bool,
    /// Joins a second from one remote address.
    pub join_rate: u32,
    /// Joins a second from a loopback address.
    pub join_rate_loopback: u32,
    /// Open HTTP connections at most.
    pub http_connections: usize,
    /// Ticks a second, 1 to 128.
    pub tick_rate: u16,
    /// The world and what is in it; [`Scene::Idle`] for a game of your own.
    pub scene: Scene,
    /// Folder of the game's content.
    pub content: Option<PathBuf>,
    /// Whether clients may be told what they do not see, for auditing.
    pub audit: bool,
    /// Seed of everything random in the world.
    pub seed: u64,
    /// Where to record to.
    pub record: Option<PathBuf>,
    /// Bytes a second to one client, everything included.
    pub bandwidth: u32,
    /// Entities that a client holds at most.
    pub known_max: usize,
    /// Part of the view radius beyond which an entity is sent only every fourth tick, percent.
    pub far_percent: u8,
    /// Net worker threads; 0 is inline.
    pub workers: usize,
    /// Simulations that share the world, each on a thread of its own.
    pub simulations: u8,
    /// Threads for the parallel systems of a tick; 1 is the simulation's own.
    pub simulation_threads: usize,
    /// How sockets are used.
    pub io: IoKind,
    /// Whether all workers share one port.
    pub udp_shared: bool,
    /// How connections get their worker.
    pub assign: AssignStrategy,
    /// CPUs that workers are pinned to, in turn; empty does not pin.
    pub affinity: Vec<usize>,
    /// Microseconds that a processor may take to wake up; `None` leaves it to the system.
    pub wake_within: Option<u32>,
    /// Capacities of the queues between each worker and the simulation.
    pub queues: Queues,
    /// Directives of what to log.
    pub log: String,
}

/// The UDP address that clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertise {
    /// Where clients send to.
    pub ip: IpAddr,
    /// Of the first worker; `None` is the port that it listens on.
    pub port: Option<u16>,
}

/// The files of a TLS identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// Values that each worker's queues hold; what happens at the bound is said in `boundary::link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// Inputs, joins and messages towards the simulation.
    pub to_simulation: usize,
    /// Messages towards the worker.
    pub to_worker: usize,
    /// Frames towards the worker.
    pub frames: usize,
}

impl Config {
    /// Reads the process's flags and environment, and the file that they name.
    ///
    /// # Errors
    /// See [`ConfigError`]. `--help` and `--version` come as [`ConfigError::Usage`].
    pub fn from_process() -> Result<Self, ConfigError> {
        Self::from_sources(std::env::args_os(), std::env::vars_os())
    }

    /// The same from given flags (the program's name first) and variables.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_sources(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        read::config(&layers::Layers::read(Program::Server, arguments, variables)?)
    }

    /// As [`Config::from_process`] for a program with a game of its own, which has no scenes to choose from.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn of_game_from_process() -> Result<Self, ConfigError> {
        Self::of_game_from_sources(std::env::args_os(), std::env::vars_os())
    }

    /// The same from given flags (the program's name first) and variables.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn of_game_from_sources(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        read::config(&layers::Layers::read(Program::Game, arguments, variables)?)
    }

    /// The address that clients of worker `index` are told, when it listens on `bound`.
    #[must_use]
    pub fn advertised(&self, index: usize, bound: SocketAddr) -> SocketAddr {
        let Some(advertise) = self.advertise else {
            return bound;
        };
        // Checked on reading: the last worker's port is a port.
        let step = if self.udp_shared { 0 } else { index as u16 };
        let port = advertise
            .port
            .map_or(bound.port(), |first| first.saturating_add(step));
        SocketAddr::new(advertise.ip, port)
    }
}
