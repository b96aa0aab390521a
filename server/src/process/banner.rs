//! What the terminal shows when the server has started.

use std::fmt::{self, Display};
use std::net::SocketAddr;

use throng_shared::protocol::version::ProtocolVersion;

use crate::config::Config;
use crate::net::socket::IoKind;
use crate::scenes::Scene;

/// The start banner. Its `Display` ends with a newline.
#[derive(Debug)]
pub struct Banner<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// What clients of each worker are told.
    pub udp: &'a [SocketAddr],
    /// What clients must speak.
    pub protocol: ProtocolVersion,
    /// Whether to colour it.
    pub colour: bool,
}

impl Display for Banner<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bold, dim, plain) = if self.colour {
            ("\x1b[1m", "\x1b[2m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let config = self.config;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let row = |label: &str| format!("  {dim}{label:<9}{plain}");
        writeln!(out, "\n{bold}Throng {}{plain}", self.protocol.release)?;
        writeln!(out, "{}{}", row("world"), World(config))?;
        writeln!(
            out,
            "{}{scheme}://{}{}",
            row("http"),
            self.http,
            if config.behind_tls_proxy {
                ", behind a proxy"
            } else {
                ""
            }
        )?;
        writeln!(out, "{}{}, {}", row("udp"), Addresses(self.udp), Workers(config))?;
        writeln!(out, "{}{}", row("protocol"), self.protocol)?;
        // Bots speak the protocol of the benchmark scenes.
        if config.tls.is_none() && config.scene.is_benchmark() {
            writeln!(out, "{}{bold}{}{plain}", row("bots"), Swarm(self.http))?;
        }
        writeln!(out, "{}ctrl-c\n", row("stop"))
    }
}

/// `crowd, 1,000 entities, 60 seen by each client, 20 Hz, seed 1`.
struct World<'a>(&'a Config);

impl Display for World<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            scene,
            tick_rate,
            seed,
            simulations,
            ..
        } = self.0;
        let entities = Thousands(u64::from(scene.entities()));
        match scene {
            Scene::Crowd { visible, .. } => {
                write!(out, "crowd: {entities} moving entities, a client sees {visible}")
            }
            Scene::Static { .. } => write!(out, "static: {entities} resting entities"),
            Scene::Hotspot { .. } => write!(out, "hotspot: {entities} moving entities, all in one view"),
            Scene::Idle => write!(out, "idle: no entities"),
        }?;
        write!(out, "; {tick_rate} Hz, seed {seed}")?;
        match simulations {
            1 => Ok(()),
            _ => write!(out, "; {simulations} simulations"),
        }
    }
}

/// `127.0.0.1:5000-5003`, or a list where the ports are not in a row.
struct Addresses<'a>(&'a [SocketAddr]);

impl Display for Addresses<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return Ok(());
        };
        write!(out, "{first}")?;
        if rest.iter().all(|address| address == first) {
            return Ok(());
        }
        let in_a_row = rest.iter().enumerate().all(|(index, address)| {
            address.ip() == first.ip() && usize::from(address.port()) == usize::from(first.port()) + index + 1
        });
        if in_a_row {
            return write!(out, "-{}", usize::from(first.port()) + rest.len());
        }
        rest.iter().try_for_each(|address| write!(out, ", {address}"))
    }
}

/// `2 workers, batched I/O`.
struct Workers<'a>(&'a Config);

impl Display for Workers<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.workers {
            0 => out.write_str("inline")?,
            1 => out.write_str("1 worker")?,
            workers => write!(out, "{workers} workers")?,
        }
        out.write_str(match self.0.io {
            IoKind::Batched => ", batched I/O",
            IoKind::Portable => ", portable I/O",
        })
    }
}

/// The command that fills the world.
struct Swarm(SocketAddr);

impl Display for Swarm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("cargo swarm --clients 1000 --seconds 30")?;
        if self.0 != SocketAddr::from(([127, 0, 0, 1], 8080)) {
            write!(out, " --server {}", self.0)?;
        }
        Ok(())
    }
}

/// `1,234,567`.
pub(super) struct Thousands(pub(super) u64);

impl Display for Thousands {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.write_str(",")?;
            }
            write!(out, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use throng_shared::protocol::version::{ProtocolHash, Release};

    use super::*;

    fn banner(flags: &[&str], http: &str, udp: &[&str]) -> String {
        let flags = ["throng-server"]
            .iter()
            .chain(flags)
            .map(std::ffi::OsString::from);
        let config = Config::from_sources(flags, []).unwrap();
        let udp: Vec<SocketAddr> = udp.iter().map(|address| address.parse().unwrap()).collect();
        Banner {
            config: &config,
            http: http.parse().unwrap(),
            udp: &udp,
            protocol: ProtocolVersion {
                hash: ProtocolHash(255),
                release: Release::CURRENT,
            },
            colour: false,
        }
        .to_string()
    }

    #[test]
    fn it_says_where_and_what_and_how_to_join() {
        let text = banner(
            &["--workers", "2", "--io", "portable"],
            "127.0.0.1:8080",
            &["127.0.0.1:5000", "127.0.0.1:5001"],
        );
        let expected = format!(
            "
Throng {0}
  world    crowd: 1,000 moving entities, a client sees 60; 20 Hz, seed 1
  http     http://127.0.0.1:8080
  udp      127.0.0.1:5000-5001, 2 workers, portable I/O
  protocol {0} (hash 00000000000000ff)
  bots     cargo swarm --clients 1000 --seconds 30
  stop     ctrl-c

",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn the_swarm_is_sent_to_the_server_where_it_is() {
        let text = banner(&["--workers", "0"], "[::1]:9000", &["[::1]:7000"]);
        assert!(
            text.contains("cargo swarm --clients 1000 --seconds 30 --server [::1]:9000\n"),
            "{text}"
        );
        assert!(text.contains("[::1]:7000, inline"), "{text}");
        let tls = ["--tls-cert", "a", "--tls-key", "b"];
        let text = banner(&tls, "[::1]:9000", &["[::1]:7000"]);
        assert!(
            text.contains("https://[::1]:9000") && !text.contains("swarm"),
            "{text}"
        );
    }

    #[test]
    fn ports_in_a_row_are_a_range() {
        let list = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|address| address.parse().unwrap()).collect();
            Addresses(&addresses).to_string()
        };
        assert_eq!(list(&["1.2.3.4:5", "1.2.3.4:6", "1.2.3.4:7"]), "1.2.3.4:5-7");
        assert_eq!(list(&["1.2.3.4:5", "1.2.3.4:9"]), "1.2.3.4:5, 1.2.3.4:9");
        assert_eq!(list(&["1.2.3.4:5", "1.2.3.4:5"]), "1.2.3.4:5");
    }

    #[test]
    fn thousands() {
        let texts = [0, 999, 1_000, 100_000, 1_234_567].map(|number| Thousands(number).to_string());
        assert_eq!(texts, ["0", "999", "1,000", "100,000", "1,234,567"]);
    }
}
