//! The command line of the swarm program.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use throng_client::link::{parse_milliseconds, parse_probability};

use super::conditions::Conditions;

/// Lets thousands of bots play on a Throng server and reports what they and the server measured.
///
/// Every bot is a real client on a UDP port of its own: it joins over HTTP, steers at random and decodes
/// every snapshot. For one bot in a hundred the decoded values are compared with the server's log. The exit
/// code is 0 when no bot was lost and no value was wrong.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "swarm",
    version,
    after_help = "Environment variable: NO_COLOR, set to anything, turns off the colours of the table."
)]
pub struct SwarmFlags {
    /// Number of bots.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub clients: u32,

    /// Seconds to measure, once all bots play.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,

    /// The server's HTTP address, where the bots join.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub server: String,

    /// File with the operator's token, which a server elsewhere needs for its statistics.
    #[arg(long, value_name = "FILE")]
    pub operator_token: Option<PathBuf>,

    /// Write the report as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Probability that a datagram is lost, in each direction: 0.05 or 5%.
    #[arg(long, value_name = "P", default_value = "0", value_parser = parse_probability)]
    pub loss: f64,

    /// Delay of every datagram, in each direction, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse_milliseconds)]
    pub latency: Duration,

    /// The delay varies by up to this much either way, in milliseconds: datagrams overtake each other.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = parse_milliseconds)]
    pub jitter: Duration,

    /// Seed of steering, loss and jitter.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Join again when the server is silent or ends a session, as players' clients do. Shows once a second how many bots
    /// play, and in the end how long bots had no effect.
    #[arg(long, conflicts_with = "idle")]
    pub reconnect: bool,

    /// Connect and stay silent: sessions without a player, which are only kept alive.
    #[arg(long)]
    pub idle: bool,

    /// Write a line for every second to standard error: the ages of the inputs that the server acted on.
    #[arg(long, conflicts_with = "idle")]
    pub ages: bool,

    /// Write the server's figures at both ends of the measured window, for the benchmarks.
    #[arg(long, value_name = "FILE", hide = true)]
    pub readings: Option<PathBuf>,
}

impl SwarmFlags {
    /// Returns the properties of the emulated line.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        Conditions {
            loss: self.loss,
            latency: self.latency,
            jitter: self.jitter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<SwarmFlags, clap::Error> {
        SwarmFlags::try_parse_from(std::iter::once("swarm").chain(line.split_whitespace()))
    }

    #[test]
    fn documented_flags_are_parsed() {
        let flags = parse(
            "--clients 5000 --seconds 60 --server 10.0.0.1:80 --json out.json --loss 0.05 --latency 75 --jitter 2.5",
        )
        .unwrap();
        assert_eq!(
            (flags.clients, flags.seconds, flags.server.as_str()),
            (5_000, 60, "10.0.0.1:80")
        );
        let expected = Conditions {
            loss: 0.05,
            latency: Duration::from_millis(75),
            jitter: Duration::from_micros(2_500),
        };
        assert_eq!(flags.conditions(), expected);
        assert_eq!(parse("--loss 5%").unwrap().loss, 0.05);
        assert!(parse("--reconnect").unwrap().reconnect && parse("--reconnect --idle").is_err());
        assert!(parse("").unwrap().conditions().is_perfect());
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (line, range) in [
            ("--loss 5", "0 to 1"),
            ("--loss nan", "0 to 1"),
            ("--loss -0.1", "0 to 1"),
            ("--latency 1e9", "0 to 10000"),
            ("--clients 0", "1..=50000"),
            ("--seconds 0", "1..=86400"),
        ] {
            let error = parse(&line.replace("--loss -", "--loss=-"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(range), "{line}: {error}");
        }
    }
}
