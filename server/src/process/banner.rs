//! The banner that the terminal shows when the server has started.

use std::fmt::{self, Display};
use std::net::SocketAddr;

use throng_shared::protocol::version::{ProtocolVersion, Release};

use super::Game;
use crate::config::{ServerSettings, Settings};
use crate::net::socket::IoKind;

/// The text that a server prints when it has started. Its `Display` ends with a newline.
#[derive(Debug)]
pub struct Banner<'a, G> {
    /// The settings to show.
    pub settings: &'a Settings<G>,
    /// Address of the HTTP API.
    pub http: SocketAddr,
    /// The addresses of the workers that clients are given.
    pub udp: &'a [SocketAddr],
    /// Version of the protocol that clients must have.
    pub protocol: ProtocolVersion,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

impl<G: Game> Display for Banner<'_, G> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bold, dim, plain) = if self.colour {
            ("\x1b[1m", "\x1b[2m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let Settings { server, game, .. } = self.settings;
        let scheme = if server.tls_cert.is_some() {
            "https"
        } else {
            "http"
        };
        let row = |label: &str| format!("  {dim}{label:<9}{plain}");
        writeln!(out, "\n{bold}Throng {}{plain}", Release::CURRENT)?;
        write!(out, "{}{}; ", row("world"), game.describe())?;
        write!(out, "{} Hz, seed {}", server.tick_rate, server.seed)?;
        match server.simulations {
            1 => writeln!(out)?,
            several => writeln!(out, "; {several} simulations")?,
        }
        let proxy = if server.behind_tls_proxy {
            ", behind a proxy"
        } else {
            ""
        };
        writeln!(out, "{}{scheme}://{}{proxy}", row("http"), self.http)?;
        writeln!(
            out,
            "{}{}, {}",
            row("udp"),
            Addresses(self.udp),
            WorkersLine(server)
        )?;
        writeln!(out, "{}{}", row("protocol"), self.protocol)?;
        for (label, text) in game.banner_rows(server, self.http) {
            writeln!(out, "{}{bold}{text}{plain}", row(label))?;
        }
        writeln!(out, "{}ctrl-c\n", row("stop"))
    }
}

/// Displays `127.0.0.1:5000-5003`, or a list if the ports are not consecutive.
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
        let are_consecutive = rest.iter().enumerate().all(|(index, address)| {
            address.ip() == first.ip() && usize::from(address.port()) == usize::from(first.port()) + index + 1
        });
        if are_consecutive {
            return write!(out, "-{}", usize::from(first.port()) + rest.len());
        }
        rest.iter().try_for_each(|address| write!(out, ", {address}"))
    }
}

/// Displays the workers, such as `2 workers, batched I/O`.
struct WorkersLine<'a>(&'a ServerSettings);

impl Display for WorkersLine<'_> {
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

/// Displays a number with separated thousands: `1,234,567`.
#[derive(Clone, Copy, Debug)]
pub struct Thousands(pub u64);

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
    use super::*;

    #[test]
    fn banner_shows_consecutive_ports_as_a_range() {
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
    fn thousands_are_separated_by_commas() {
        let texts = [0, 999, 1_000, 100_000, 1_234_567].map(|number| Thousands(number).to_string());
        assert_eq!(texts, ["0", "999", "1,000", "100,000", "1,234,567"]);
    }
}
