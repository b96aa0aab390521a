//! The table of settings: one row for each, from which flags, variables, file keys, `--help` and error
//! messages are all made. A setting that is not in the table does not exist.

use std::fmt;
use std::ops::RangeInclusive;

/// One setting. Its key is spelled `tick_rate` in the file, `--tick-rate` as a flag and `THRONG_TICK_RATE`
/// in the environment.
#[derive(Debug)]
pub struct Setting {
    /// Lower case, words joined by `_`.
    pub key: &'static str,
    /// What stands for the value in `--help`; empty for a switch and where the words themselves stand.
    pub placeholder: &'static str,
    /// What it does, one line.
    pub help: &'static str,
    /// What happens without it, as `--help` shows it.
    pub default: &'static str,
    /// Which values are accepted.
    pub allowed: Allowed,
    /// The heading in `--help`.
    pub group: &'static str,
}

/// The values that a setting accepts; also the wording of the error for any other.
#[derive(Debug)]
pub enum Allowed {
    /// A whole number in this range. `_` may separate digits.
    Number(RangeInclusive<u64>),
    /// One of these words.
    Word(&'static [&'static str]),
    /// On or off.
    Switch,
    /// Something that the reader parses, described.
    Text(&'static str),
}

impl fmt::Display for Allowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(range) => write!(out, "a number from {} to {}", range.start(), range.end()),
            Self::Word(words) => write!(out, "one of {}", words.join(", ")),
            Self::Switch => out.write_str("true or false"),
            Self::Text(description) => out.write_str(description),
        }
    }
}

impl Setting {
    /// `--tick-rate`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }

    /// `THRONG_TICK_RATE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_ascii_uppercase())
    }
}

/// What every environment variable of the server starts with.
pub(super) const VARIABLE_PREFIX: &str = "THRONG_";

/// Finds a setting by key.
#[must_use]
pub(super) fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Whose settings they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// `throng-server`, with the worlds that are built in.
    Server,
    /// A program with a game of its own.
    Game,
}

impl Program {
    /// The settings that it has, in the order of `--help`.
    pub(super) fn settings(self) -> impl Iterator<Item = &'static Setting> {
        let is_of_scenes = |key| matches!(key, "scene" | "entities" | "visible" | "content");
        let settings = SETTINGS.iter();
        settings.filter(move |setting| self == Self::Server || !is_of_scenes(setting.key))
    }

    /// The setting of this key, if it has it.
    pub(super) fn setting(self, key: &str) -> Option<&'static Setting> {
        self.settings().find(|setting| setting.key == key)
    }
}

/// Names of the built-in worlds.
pub(super) const SCENES: &[&str] = &["crowd", "static", "hotspot", "idle"];

const ADDRESS: Allowed = Allowed::Text("an IP address and port, such as 127.0.0.1:8080 or [::1]:8080");

/// Shorthand that keeps a row of the table on a few lines.
const fn row(
    group: &'static str,
    key: &'static str,
    placeholder: &'static str,
    allowed: Allowed,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        placeholder,
        help,
        default,
        allowed,
        group,
    }
}

const NETWORK: &str = "Network";
const JOINING: &str = "Joining over HTTP";
const WORLD: &str = "World";
const CLIENTS: &str = "Per client";
const TUNING: &str = "Tuning";

/// Every setting, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    row(
        NETWORK,
        "http",
        "ADDR:PORT",
        ADDRESS,
        "127.0.0.1:8080",
        "Where players join and statistics are read",
    ),
    row(
        NETWORK,
        "udp",
        "ADDR:PORT",
        ADDRESS,
        "127.0.0.1:5000",
        "Where the first worker listens; the next take the next ports",
    ),
    row(
        NETWORK,
        "advertise",
        "ADDR[:PORT]",
        Allowed::Text("an IP address, with or without a port, such as 203.0.113.7 or [2001:db8::7]:5000"),
        "the --udp address",
        "UDP address that clients are told, behind NAT or in a container",
    ),
    row(
        NETWORK,
        "max_clients",
        "N",
        Allowed::Number(1..=1_000_000),
        "20000",
        "Sessions at most, over all workers; above it joining answers 503",
    ),
    row(
        JOINING,
        "tls_cert",
        "FILE",
        Allowed::Text("a PEM file"),
        "none",
        "Certificate chain; with it HTTP is HTTPS",
    ),
    row(
        JOINING,
        "tls_key",
        "FILE",
        Allowed::Text("a PEM file"),
        "none",
        "Private key of the certificate",
    ),
    row(
        JOINING,
        "behind_tls_proxy",
        "",
        Allowed::Switch,
        "off",
        "A proxy in front ends TLS: allow plain HTTP off loopback, trust its X-Forwarded-For",
    ),
    row(
        JOINING,
        "join_rate",
        "N",
        Allowed::Number(1..=1_000_000),
        "5",
        "Joins a second from one remote address (IPv6: one /64), ten times that in a burst",
    ),
    row(
        JOINING,
        "join_rate_loopback",
        "N",
        Allowed::Number(1..=1_000_000),
        "20000",
        "The same from this machine, where load tests run",
    ),
    row(
        JOINING,
        "http_connections",
        "N",
        Allowed::Number(1..=65_536),
        "1024",
        "HTTP connections at a time; more are closed",
    ),
    row(
        WORLD,
        "tick_rate",
        "HZ",
        Allowed::Number(1..=128),
        "20",
        "Ticks a second",
    ),
    row(
        WORLD,
        "scene",
        "",
        Allowed::Word(SCENES),
        "crowd",
        "The world: all move; none moves; all within one view; empty",
    ),
    row(
        WORLD,
        "entities",
        "N",
        Allowed::Number(0..=1_000_000),
        "1000 (static: 100000, hotspot: 2000, idle: 0)",
        "Entities in the scene",
    ),
    row(
        WORLD,
        "visible",
        "K",
        Allowed::Number(1..=100_000),
        "60",
        "Entities that one client sees on average in the crowd; sizes its world",
    ),
    row(
        WORLD,
        "content",
        "DIR",
        Allowed::Text("a folder with the files of assets/skirmish"),
        "built in",
        "Content of the scene skirmish; reloaded whenever a file changes",
    ),
    row(
        WORLD,
        "audit",
        "",
        Allowed::Switch,
        "off; on in benchmark scenes",
        "Let anybody read all entities at GET /v1/audit, to check what clients decode",
    ),
    row(
        WORLD,
        "seed",
        "N",
        Allowed::Number(0..=u64::MAX),
        "1",
        "Seed of everything random in the world",
    ),
    row(
        WORLD,
        "record",
        "FILE",
        Allowed::Text("a file to write"),
        "none",
        "Record what players do and what comes of it, for throng-server replay FILE",
    ),
    row(
        CLIENTS,
        "bandwidth",
        "BYTES",
        Allowed::Number(2_048..=65_536),
        "24576",
        "Bytes a second that one client is sent at most, everything included",
    ),
    row(
        CLIENTS,
        "known_max",
        "N",
        Allowed::Number(1..=1_023),
        "255",
        "Entities that one client holds at most; the nearest are kept",
    ),
    row(
        CLIENTS,
        "far_percent",
        "PERCENT",
        Allowed::Number(0..=100),
        "100",
        "Part of the view radius beyond which an entity is sent only every fourth tick",
    ),
    row(
        TUNING,
        "workers",
        "N",
        Allowed::Number(0..=64),
        "CPUs - 2, at least 1",
        "Net worker threads; 0 runs the network inside the simulation's thread",
    ),
    row(
        TUNING,
        "simulations",
        "N",
        Allowed::Number(1..=8),
        "1",
        "Simulations that share the world, each on a thread of its own",
    ),
    row(
        TUNING,
        "simulation_threads",
        "N",
        Allowed::Number(1..=64),
        "1",
        "Threads that the parallel systems of a tick run on, in each simulation",
    ),
    row(
        TUNING,
        "io",
        "",
        Allowed::Word(&["batched", "portable"]),
        "batched on Linux, else portable",
        "Socket calls: many datagrams in one system call, or one by one",
    ),
    row(
        TUNING,
        "udp_shared",
        "",
        Allowed::Switch,
        "off",
        "All workers share one UDP port (SO_REUSEPORT)",
    ),
    row(
        TUNING,
        "assign",
        "",
        Allowed::Word(&["round-robin", "client-hash", "least-loaded"]),
        "round-robin",
        "Which worker a new connection belongs to",
    ),
    row(
        TUNING,
        "affinity",
        "CPUS",
        Allowed::Text("a list of CPU numbers such as 2,3 or 2-5"),
        "none",
        "CPUs to pin the workers to, one each, in order; the list repeats when it is shorter",
    ),
    row(
        TUNING,
        "wake_within",
        "US",
        Allowed::Number(0..=1_000_000),
        "the system's choice",
        "Microseconds a processor may take to wake up, by Linux's /dev/cpu_dma_latency: needs root",
    ),
    row(
        TUNING,
        "queue_to_simulation",
        "N",
        Allowed::Number(64..=1_048_576),
        "65536",
        "Inputs and joins queued from each worker; a full queue drops inputs",
    ),
    row(
        TUNING,
        "queue_to_worker",
        "N",
        Allowed::Number(64..=1_048_576),
        "16384",
        "Messages queued to each worker; without room the receiver's session ends",
    ),
    row(
        TUNING,
        "queue_frames",
        "N",
        Allowed::Number(1..=32),
        "4",
        "Frames queued to each worker; without room it skips a frame",
    ),
    row(
        TUNING,
        "log",
        "FILTER",
        Allowed::Text(
            "a level (error, warn, info, debug, trace) or directives such as info,throng_server::net=debug",
        ),
        "info",
        "What to log to standard error",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_well_formed() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(
                setting
                    .key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                setting.key
            );
            assert!(
                SETTINGS[..index].iter().all(|other| other.key != setting.key),
                "{}",
                setting.key
            );
            assert!(!setting.help.ends_with('.') && !setting.help.is_empty());
            let named = matches!(setting.allowed, Allowed::Number(_) | Allowed::Text(_));
            assert_eq!(named, !setting.placeholder.is_empty(), "{}", setting.key);
        }
    }

    #[test]
    fn the_three_spellings() {
        let setting = setting("tick_rate").unwrap();
        assert_eq!(setting.flag(), "--tick-rate");
        assert_eq!(setting.variable(), "THRONG_TICK_RATE");
    }

    /// The tables of the manual, made from the table above.
    fn tables() -> String {
        let mut text = String::new();
        for (index, setting) in SETTINGS.iter().enumerate() {
            if index == 0 || SETTINGS[index - 1].group != setting.group {
                text += &format!(
                    "\n### {}\n\n| key | accepts | default | what it does |\n|---|---|---|---|\n",
                    setting.group
                );
            }
            let Setting {
                key,
                allowed,
                default,
                help,
                ..
            } = setting;
            text += &format!("| `{key}` | {allowed} | {default} | {help} |\n");
        }
        text
    }

    #[test]
    fn the_manual_says_the_same() {
        let manual = include_str!("../../../docs/configuration.md");
        assert!(
            manual.contains(&tables()),
            "docs/configuration.md must hold these tables:\n{}",
            tables()
        );
    }
}
