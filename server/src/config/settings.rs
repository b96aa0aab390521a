//! The server's settings, and the checks between them.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use super::parse::{
    ASSIGN, Advertise, CpuList, HostList, IO, NetworkList, address, advertise, cpus, file, hosts, io_default,
    log_filter, networks, number, word,
};
use crate::net::assign::AssignStrategy;
use crate::net::socket::IoKind;
use crate::replication::BYTES_PER_SECOND_DEFAULT;

const NETWORK: &str = "Network";
const JOINING: &str = "Joining over HTTP";
const WORLD: &str = "World";
const CLIENTS: &str = "Per client";
const TUNING: &str = "Tuning";

/// The settings that every server has. Each comment is the setting's line in `--help`. If a default depends on the
/// machine or on another setting, the comment says so.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct ServerSettings {
    /// Where players join and statistics are read. Port 0 is one that the system chooses.
    #[arg(long, help_heading = NETWORK, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub http: SocketAddr,
    /// Where the first worker listens; the next take the next ports. Port 0 is one that the system chooses, for each.
    #[arg(long, help_heading = NETWORK, value_name = "ADDR:PORT", default_value = "127.0.0.1:5000", value_parser = address)]
    pub udp: SocketAddr,
    /// UDP address that clients are given, behind NAT or in a container (default: the --udp address).
    #[arg(long, help_heading = NETWORK, value_name = "ADDR[:PORT]", value_parser = advertise)]
    pub advertise: Option<Advertise>,
    /// Sessions at most, over all workers; above it joining is refused with 503.
    #[arg(long, help_heading = NETWORK, value_name = "N", default_value = "20000", value_parser = number::<u32>(1..=1_000_000))]
    pub max_clients: u32,

    /// Certificate chain; with it HTTP is HTTPS.
    #[arg(long, help_heading = JOINING, value_name = "FILE", value_parser = file("a PEM file"))]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate.
    #[arg(long, help_heading = JOINING, value_name = "FILE", value_parser = file("a PEM file"))]
    pub tls_key: Option<PathBuf>,
    /// A proxy in front ends TLS: allow plain HTTP off loopback, trust its X-Forwarded-For.
    #[arg(long, help_heading = JOINING)]
    pub behind_tls_proxy: bool,
    /// Where that proxy connects from; other connections are refused (default: this machine and private networks).
    #[arg(long, help_heading = JOINING, value_name = "NETWORKS", value_parser = networks)]
    pub proxies: Option<NetworkList>,
    /// Names that requests may be sent to, in `Host` (default: on loopback its names, elsewhere any).
    #[arg(long, help_heading = JOINING, value_name = "HOSTS", value_parser = hosts)]
    pub http_names: Option<HostList>,
    /// File whose first line is the token that shows all statistics and audits from anywhere (`Authorization: Bearer`).
    #[arg(long, help_heading = JOINING, value_name = "FILE", value_parser = file("a file with a token"))]
    pub operator_token: Option<PathBuf>,
    /// Joins a second from one remote address (IPv6: one /64), ten times that in a burst.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "5", value_parser = number::<u32>(1..=1_000_000))]
    pub join_rate: u32,
    /// The same from this machine, where load tests run.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "20000", value_parser = number::<u32>(1..=1_000_000))]
    pub join_rate_loopback: u32,
    /// Sessions and unused tokens of one address at most (IPv6: one /64); above it joining is refused with 429.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "64", value_parser = number::<u32>(1..=1_000_000))]
    pub sessions_per_address: u32,
    /// Seconds after which a session that has sent no hello ends; 0 never ends it.
    #[arg(long, help_heading = JOINING, value_name = "S", default_value = "5", value_parser = number::<u16>(0..=3_600))]
    pub hello_timeout_s: u16,
    /// Requests for statistics and audits a second from one remote address, ten times that in a burst.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "2", value_parser = number::<u32>(1..=1_000_000))]
    pub stats_rate: u32,
    /// The same from this machine, and with the operator's token.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "1000", value_parser = number::<u32>(1..=1_000_000))]
    pub stats_rate_loopback: u32,
    /// Requests of all kinds, and connections, a second from one remote address, ten times that in a burst.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "50", value_parser = number::<u32>(1..=1_000_000))]
    pub http_rate: u32,
    /// HTTP connections at a time; a new one takes the place of one that is unused.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "1024", value_parser = number::<usize>(1..=65_536))]
    pub http_connections: usize,
    /// HTTP connections at a time of one remote address (IPv6: one /64).
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "64", value_parser = number::<usize>(1..=65_536))]
    pub http_connections_address: usize,
    /// The same from this machine; a proxy has no such limit.
    #[arg(long, help_heading = JOINING, value_name = "N", default_value = "1024", value_parser = number::<usize>(1..=65_536))]
    pub http_connections_loopback: usize,
    /// Seconds in which a TLS handshake, the head of a request and its body must arrive, each.
    #[arg(long, help_heading = JOINING, value_name = "S", default_value = "10", value_parser = number::<u32>(1..=3_600))]
    pub http_request_s: u32,
    /// Seconds in which a response must be taken.
    #[arg(long, help_heading = JOINING, value_name = "S", default_value = "20", value_parser = number::<u32>(1..=3_600))]
    pub http_response_s: u32,
    /// Seconds after which a connection without a request is closed.
    #[arg(long, help_heading = JOINING, value_name = "S", default_value = "30", value_parser = number::<u32>(1..=3_600))]
    pub http_idle_s: u32,

    /// Ticks a second.
    #[arg(long, help_heading = WORLD, value_name = "HZ", default_value = "20", value_parser = number::<u16>(1..=128))]
    pub tick_rate: u16,
    /// Seconds that players stay in the world after a lost connection, so that they can come back; with 0 they leave at once.
    #[arg(long, help_heading = WORLD, value_name = "SECONDS", default_value = "30", value_parser = number::<u32>(0..=86_400))]
    pub linger: u32,
    /// Show all entities at GET /v1/audit, to check what clients decode; benchmark scenes always do.
    #[arg(long, help_heading = WORLD)]
    pub audit: bool,
    /// Seed of everything random in the world.
    #[arg(long, help_heading = WORLD, value_name = "N", default_value = "1", value_parser = number::<u64>(0..=u64::MAX))]
    pub seed: u64,
    /// Record what players do and what comes of it, for replay FILE.
    #[arg(long, help_heading = WORLD, value_name = "FILE", value_parser = file("a new file to write"))]
    pub record: Option<PathBuf>,

    /// Bytes a second that one client is sent at most, everything included.
    #[arg(long, help_heading = CLIENTS, value_name = "BYTES", default_value_t = BYTES_PER_SECOND_DEFAULT, value_parser = number::<u32>(2_048..=65_536))]
    pub bandwidth: u32,
    /// Entities that one client holds at most; the nearest are kept.
    #[arg(long, help_heading = CLIENTS, value_name = "N", default_value_t = throng_shared::limits::KNOWN_DEFAULT, value_parser = number::<usize>(1..=1_023))]
    pub known_max: usize,
    /// Part of the view radius beyond which an entity is sent only every fourth tick.
    #[arg(long, help_heading = CLIENTS, value_name = "PERCENT", default_value = "100", value_parser = number::<u8>(0..=100))]
    pub far_percent: u8,

    /// Net worker threads; 0 runs the network inside the simulation's thread (default: CPUs - 2, at least 1).
    #[arg(long, help_heading = TUNING, value_name = "N", default_value_t = workers_for(cpu_count()), hide_default_value = true, value_parser = number::<usize>(0..=64))]
    pub workers: usize,
    /// Simulations that share the world, each on a thread of its own.
    #[arg(long, help_heading = TUNING, value_name = "N", default_value = "1", value_parser = number::<u8>(1..=8))]
    pub simulations: u8,
    /// Threads that the parallel systems of a tick run on, in each simulation.
    #[arg(long, help_heading = TUNING, value_name = "N", default_value = "1", value_parser = number::<usize>(1..=64))]
    pub simulation_threads: usize,
    /// Socket calls: many datagrams in one system call, or one by one (default: batched on Linux, else portable).
    #[arg(long, help_heading = TUNING, default_value = io_default(), hide_default_value = true, value_parser = word(IO))]
    pub io: IoKind,
    /// All workers share one UDP port (`SO_REUSEPORT`).
    #[arg(long, help_heading = TUNING)]
    pub udp_shared: bool,
    /// Which worker a new connection belongs to.
    #[arg(long, help_heading = TUNING, default_value = "round-robin", value_parser = word(ASSIGN))]
    pub assign: AssignStrategy,
    /// CPUs to pin the workers to, one each, in order; the list repeats when it is shorter.
    #[arg(long, help_heading = TUNING, value_name = "CPUS", value_parser = cpus)]
    pub affinity: Option<CpuList>,
    /// Inputs and joins queued from each worker; a full queue drops inputs.
    #[arg(long, help_heading = TUNING, value_name = "N", default_value = "65536", value_parser = number::<usize>(64..=1_048_576))]
    pub queue_to_simulation: usize,
    /// Messages queued to each worker; without room the receiver's session ends.
    #[arg(long, help_heading = TUNING, value_name = "N", default_value = "16384", value_parser = number::<usize>(64..=1_048_576))]
    pub queue_to_worker: usize,
    /// Frames queued to each worker; without room it skips a frame.
    #[arg(long, help_heading = TUNING, value_name = "N", default_value = "4", value_parser = number::<usize>(1..=32))]
    pub queue_frames: usize,
    /// What to log to standard error.
    #[arg(long, help_heading = TUNING, value_name = "FILTER", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

fn cpu_count() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// Returns the default number of workers: two CPUs are left to the simulation and to the rest of the machine.
pub(super) fn workers_for(cpus: usize) -> usize {
    cpus.saturating_sub(2).clamp(1, 64)
}

impl ServerSettings {
    /// Returns how long players stay in the world after their connection was lost.
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_secs(self.linger.into())
    }

    /// Returns the certificate chain and its private key.
    #[must_use]
    pub fn tls(&self) -> Option<(PathBuf, PathBuf)> {
        self.tls_cert.clone().zip(self.tls_key.clone())
    }

    /// Returns the address that clients of worker `index` are given, if it listens on `bound`.
    #[must_use]
    pub fn advertised(&self, index: usize, bound: SocketAddr) -> SocketAddr {
        let Some(advertise) = self.advertise else {
            return bound;
        };
        // `check` guarantees that the last worker's port is valid.
        let step = if self.udp_shared { 0 } else { index as u16 };
        let port = advertise
            .port
            .map_or(bound.port(), |first| first.saturating_add(step));
        SocketAddr::new(advertise.ip, port)
    }

    /// Checks the settings that depend on each other.
    ///
    /// # Errors
    /// Returns the key of the setting to change, and the reason.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let refuse = |key, reason: &str| Err((key, reason.to_owned()));
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("tls_cert", "needs --tls-key, the certificate's private key"),
            (None, Some(_)) => return refuse("tls_key", "needs --tls-cert, the key's certificate"),
            _ => {}
        }
        if !self.http.ip().is_loopback() && self.tls_cert.is_none() && !self.behind_tls_proxy {
            return refuse(
                "http",
                "not a loopback address, and a connect token carries the session's keys: give --tls-cert and \
                 --tls-key, or --behind-tls-proxy when a proxy in front ends TLS",
            );
        }
        if self.proxies.is_some() && !self.behind_tls_proxy {
            return refuse(
                "proxies",
                "needs --behind-tls-proxy, without which no proxy is trusted",
            );
        }
        if self.udp.ip().is_unspecified() && self.advertise.is_none() {
            return refuse(
                "udp",
                "all addresses of the machine, so --advertise must say which one clients send to",
            );
        }
        let ports = if self.udp_shared { 1 } else { self.workers.max(1) };
        let first_ports = [
            ("udp", Some(self.udp.port()).filter(|&port| port != 0)),
            ("advertise", self.advertise.and_then(|advertise| advertise.port)),
        ];
        for (key, first) in first_ports {
            if first.is_some_and(|first| usize::from(first) + ports - 1 > usize::from(u16::MAX)) {
                let reason =
                    format!("{ports} workers need {ports} ports from this one on, and 65535 is the last");
                return Err((key, reason));
            }
        }
        if self.udp_shared && self.udp.port() == 0 && self.workers > 1 {
            return refuse("udp", "--udp-shared with several workers needs a fixed port");
        }
        if self.record.is_some() && self.simulations > 1 {
            return refuse(
                "simulations",
                "a recording is of one simulation; leave out --record",
            );
        }
        Ok(())
    }
}
