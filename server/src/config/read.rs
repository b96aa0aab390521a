//! Gives each setting its type, and checks the settings that depend on each other.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::available_parallelism;

use tracing_subscriber::EnvFilter;

use super::layers::Layers;
use super::settings::{Allowed, Program, SCENES, setting};
use super::{Advertise, Config, ConfigError, Origin, Queues, TlsFiles};
use crate::net::assign::AssignStrategy;
use crate::net::socket::IoKind;
use crate::replication::BYTES_PER_SECOND_DEFAULT;
use crate::scenes::Scene;

/// The CPU with the highest number that an affinity list may name.
const CPU_MAX: usize = 1_023;

pub(super) fn config(layers: &Layers) -> Result<Config, ConfigError> {
    let config = Config {
        http: layers
            .parsed("http")?
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        udp: layers
            .parsed("udp")?
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5000))),
        advertise: layers.text("advertise", advertise)?,
        max_clients: layers.number("max_clients", 20_000)?,
        tls: tls_files(layers)?,
        behind_tls_proxy: layers.switch("behind_tls_proxy")?,
        join_rate: layers.number("join_rate", 5)?,
        join_rate_loopback: layers.number("join_rate_loopback", 20_000)?,
        http_connections: layers.number("http_connections", 1_024)?,
        tick_rate: layers.number("tick_rate", 20)?,
        scene: scene(layers)?,
        content: layers.text("content", |folder| {
            Path::new(folder).is_dir().then(|| folder.into())
        })?,
        seed: layers.number("seed", 1)?,
        record: layers.text("record", |text| {
            let is_file = !text.is_empty() && !text.ends_with(['/', '\\']);
            is_file.then(|| PathBuf::from(text))
        })?,
        bandwidth: layers.number("bandwidth", BYTES_PER_SECOND_DEFAULT)?,
        known_max: layers.number("known_max", throng_shared::limits::KNOWN_DEFAULT)?,
        far_percent: layers.number("far_percent", 100)?,
        workers: layers.number(
            "workers",
            workers_for(available_parallelism().map_or(1, NonZero::get)),
        )?,
        simulations: layers.number("simulations", 1)?,
        simulation_threads: layers.number("simulation_threads", 1)?,
        io: layers.word("io", IoKind::native(), |word| match word {
            "portable" => IoKind::Portable,
            _ => IoKind::Batched,
        })?,
        audit: layers.switch("audit")?,
        udp_shared: layers.switch("udp_shared")?,
        assign: layers.word("assign", AssignStrategy::RoundRobin, |word| match word {
            "client-hash" => AssignStrategy::ClientHash,
            "least-loaded" => AssignStrategy::LeastLoaded,
            _ => AssignStrategy::RoundRobin,
        })?,
        affinity: layers.text("affinity", cpu_list)?.unwrap_or_default(),
        wake_within: layers.number_given("wake_within")?,
        queues: Queues {
            to_simulation: layers.number("queue_to_simulation", 65_536)?,
            to_worker: layers.number("queue_to_worker", 16_384)?,
            frames: layers.number("queue_frames", 4)?,
        },
        log: layers
            .text("log", |text| {
                EnvFilter::try_new(text).ok().map(|_| text.to_owned())
            })?
            .unwrap_or_else(|| "info".to_owned()),
    };
    check(&config, layers)?;
    Ok(config)
}

/// Two CPUs are left to the simulation and to the rest of the machine.
fn workers_for(cpus: usize) -> usize {
    cpus.saturating_sub(2).clamp(1, 64)
}

/// The scene that is named, with its entities; their number depends on it where none is given.
fn scene(layers: &Layers) -> Result<Scene, ConfigError> {
    if layers.program == Program::Game {
        return Ok(Scene::Idle);
    }
    let visible = layers.number("visible", 60)?;
    let name = layers.text("scene", |word| SCENES.contains(&word).then(|| word.to_owned()))?;
    let entities = |default| layers.number("entities", default);
    Ok(match name.as_deref() {
        Some("static") => Scene::Static {
            entities: entities(100_000)?,
        },
        Some("hotspot") => Scene::Hotspot {
            entities: entities(2_000)?,
        },
        // A number that is given is checked, and there is nothing to count.
        Some("idle") => entities(0).map(|_| Scene::Idle)?,
        _ => Scene::Crowd {
            entities: entities(1_000)?,
            visible,
        },
    })
}

impl Layers {
    /// The value of `key` through `parse`, which answers `None` for what is not accepted.
    fn text<T>(&self, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ConfigError> {
        let Some((value, origin)) = self.find(key) else {
            return Ok(None);
        };
        let parsed = parse(value.trim()).ok_or_else(|| ConfigError::Value {
            quote: origin.quote(key, &value),
            allowed: setting(key).map_or_else(String::new, |setting| setting.allowed.to_string()),
        })?;
        Ok(Some(parsed))
    }

    fn parsed<T: FromStr>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        self.text(key, |text| text.parse().ok())
    }

    fn number<T: TryFrom<u64>>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        Ok(self.number_given(key)?.unwrap_or(default))
    }

    /// A number within the table's range, which fits `T`.
    fn number_given<T: TryFrom<u64>>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let within = |number: &u64| match setting(key).map(|setting| &setting.allowed) {
            Some(Allowed::Number(range)) => range.contains(number),
            _ => false,
        };
        let number = |text: &str| text.replace('_', "").parse().ok().filter(within)?.try_into().ok();
        self.text(key, number)
    }

    /// One of the table's words.
    fn word<T>(&self, key: &str, default: T, meaning: impl FnOnce(&str) -> T) -> Result<T, ConfigError> {
        let listed = |word: &str| match setting(key).map(|setting| &setting.allowed) {
            Some(Allowed::Word(words)) => words.contains(&word),
            _ => false,
        };
        let value = self.text(key, |text| listed(text).then(|| meaning(text)))?;
        Ok(value.unwrap_or(default))
    }

    fn switch(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.parsed(key)?.unwrap_or(false))
    }

    /// A setting as it was written, for an error about how settings go together.
    fn conflict(&self, key: &str, default: &str, reason: impl Into<String>) -> ConfigError {
        let (value, origin) = self
            .find(key)
            .unwrap_or_else(|| (default.to_owned(), Origin::Default));
        ConfigError::Conflict {
            quote: origin.quote(key, &value),
            reason: reason.into(),
        }
    }
}

fn advertise(text: &str) -> Option<Advertise> {
    let with_port = text
        .parse()
        .map(|address: SocketAddr| (address.ip(), Some(address.port())));
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let (ip, port) = with_port
        .or_else(|_| bare.parse().map(|ip: IpAddr| (ip, None)))
        .ok()?;
    (!ip.is_unspecified() && !ip.is_multicast() && port != Some(0)).then_some(Advertise { ip, port })
}

/// `2,3` or `2-5` or both.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > CPU_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn tls_files(layers: &Layers) -> Result<Option<TlsFiles>, ConfigError> {
    let file = |key| layers.text(key, |text| (!text.is_empty()).then(|| PathBuf::from(text)));
    match (file("tls_cert")?, file("tls_key")?) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(layers.conflict("tls_cert", "", "needs --tls-key, the certificate's private key"))
        }
        (None, Some(_)) => Err(layers.conflict("tls_key", "", "needs --tls-cert, the key's certificate")),
    }
}

fn check(config: &Config, layers: &Layers) -> Result<(), ConfigError> {
    if !config.http.ip().is_loopback() && config.tls.is_none() && !config.behind_tls_proxy {
        return Err(layers.conflict(
            "http",
            "127.0.0.1:8080",
            "not a loopback address, and a connect token carries the session's keys: give --tls-cert and \
             --tls-key, or --behind-tls-proxy when a proxy in front ends TLS",
        ));
    }
    if config.udp.ip().is_unspecified() && config.advertise.is_none() {
        return Err(layers.conflict(
            "udp",
            "127.0.0.1:5000",
            "all addresses of the machine, so --advertise must say which one clients send to",
        ));
    }
    let ports = if config.udp_shared {
        1
    } else {
        config.workers.max(1)
    };
    let first_ports = [
        ("udp", Some(config.udp.port()).filter(|&port| port != 0)),
        ("advertise", config.advertise.and_then(|advertise| advertise.port)),
    ];
    for (key, first) in first_ports {
        if first.is_some_and(|first| usize::from(first) + ports - 1 > usize::from(u16::MAX)) {
            let reason = format!("{ports} workers need as many ports from there on, and 65535 is the last");
            return Err(layers.conflict(key, "127.0.0.1:5000", reason));
        }
    }
    if config.udp_shared && config.udp.port() == 0 && config.workers > 1 {
        return Err(layers.conflict("udp", "", "--udp-shared with several workers needs a fixed port"));
    }
    if config.record.is_some() && config.simulations > 1 {
        return Err(layers.conflict(
            "simulations",
            "1",
            "a recording is of one simulation; leave out --record",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
