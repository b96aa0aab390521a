//! Parsers of single values, for the server's settings and for a game's own.
//!
//! Each parser refuses a value with "must be ..." and what is accepted. The reader of the settings adds the
//! setting, the value and its origin in front.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use tracing_subscriber::filter::Targets;

use crate::http::split_host;
use crate::net::assign::AssignStrategy;
use crate::net::socket::IoKind;

/// The highest CPU number that an affinity list may contain.
const CPU_MAX: usize = 1_023;

/// Returns a parser of whole numbers in `range`, whose digits may be separated by `_`.
///
/// ```
/// #[derive(clap::Args)]
/// struct Dungeon {
///     /// Monsters at the start
///     #[arg(long, default_value = "100", value_parser = throng_server::config::number::<u32>(0..=5_000))]
///     monsters: u32,
/// }
/// ```
pub fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number: Option<u64> = text.trim().replace('_', "").parse().ok();
        let number = number.filter(|number| range.contains(number));
        let number = number.and_then(|number| number.try_into().ok());
        number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
    }
}

/// Returns a parser of paths to files; `accepted` describes the file.
pub(super) fn file(
    accepted: &'static str,
) -> impl Fn(&str) -> Result<PathBuf, String> + Clone + Send + Sync + 'static {
    move |text| {
        let is_file = !text.is_empty() && !text.ends_with(['/', '\\']);
        is_file
            .then(|| PathBuf::from(text))
            .ok_or_else(|| format!("must be {accepted}"))
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let accepted = "must be an IP address and port, such as 127.0.0.1:8080 or [::1]:8080";
    let address: SocketAddr = text.trim().parse().map_err(|_| accepted)?;
    one_host(address.ip())?;
    Ok(address)
}

/// Refuses an address that stands for many hosts. A network's own broadcast address is found only when it is used.
fn one_host(ip: IpAddr) -> Result<(), &'static str> {
    match ip.to_canonical() {
        ip if ip.is_multicast() => {
            Err("must be an IP address of one host, and this one is a multicast address")
        }
        IpAddr::V4(Ipv4Addr::BROADCAST) => {
            Err("must be an IP address of one host, and this one is the broadcast address")
        }
        _ => Ok(()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, &'static str> {
    let accepted = "must be a level (error, warn, info, debug, trace) or directives such as \
                    info,throng_server::net=debug";
    // `Targets` takes any other text, also an empty one, for the name of a module.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:=".contains(&byte);
    let is_directive = |part: &str| !part.is_empty() && part.bytes().all(is_name);
    let is_filter = text.split(',').all(is_directive) && text.parse::<Targets>().is_ok();
    is_filter.then(|| text.to_owned()).ok_or(accepted)
}

pub(super) const IO: &[(&str, IoKind)] = &[("batched", IoKind::Batched), ("portable", IoKind::Portable)];

pub(super) const ASSIGN: &[(&str, AssignStrategy)] = &[
    ("round-robin", AssignStrategy::RoundRobin),
    ("client-hash", AssignStrategy::ClientHash),
    ("least-loaded", AssignStrategy::LeastLoaded),
];

/// Returns a parser of the given words, each with its value.
pub(super) fn word<T>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(words.iter().map(|&(word, _)| word)).try_map(|given| {
        let found = words.iter().find(|(word, _)| *word == given);
        found.map(|&(_, meaning)| meaning).ok_or("must be one of these")
    })
}

pub(super) fn io_default() -> &'static str {
    let native = IO.iter().find(|(_, kind)| *kind == IoKind::native());
    native.map_or("", |(word, _)| word)
}

/// The UDP address that clients are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertise {
    /// IP address to which clients send.
    pub ip: IpAddr,
    /// Port of the first worker; `None` for the port on which it listens.
    pub port: Option<u16>,
}

pub(super) fn advertise(text: &str) -> Result<Advertise, &'static str> {
    let text = text.trim();
    let with_port = text
        .parse()
        .map(|address: SocketAddr| (address.ip(), Some(address.port())));
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let parsed = with_port.or_else(|_| bare.parse().map(|ip: IpAddr| (ip, None)));
    let (ip, port) = parsed
        .ok()
        .filter(|(ip, port)| !ip.to_canonical().is_unspecified() && *port != Some(0))
        .ok_or("must be an IP address, with or without a port, such as 203.0.113.7 or [2001:db8::7]:5000")?;
    one_host(ip)?;
    Ok(Advertise { ip, port })
}

/// The networks of `--proxies`, as addresses with the number of bits that all addresses of the network share. Clap's
/// derive parses a field of this type from one value.
pub(super) type NetworkList = Vec<(IpAddr, u8)>;

pub(super) fn networks(text: &str) -> Result<NetworkList, &'static str> {
    let network = |part: &str| {
        let (address, bits) = part.split_once('/').unwrap_or((part, ""));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            "" if part.ends_with('/') => None,
            "" => Some(most),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        };
        Some((address, bits.filter(|&bits| bits <= most)?))
    };
    let networks: Option<NetworkList> = text.split(',').map(|part| network(part.trim())).collect();
    networks.ok_or("must be a list of addresses or networks such as 10.0.0.0/8,2001:db8::7")
}

/// The names of `--http-names`. Clap's derive parses a field of this type from one value.
pub(super) type HostList = Vec<String>;

pub(super) fn hosts(text: &str) -> Result<HostList, &'static str> {
    let parts = text.split(',').map(|part| part.trim().to_ascii_lowercase());
    let hosts: Option<HostList> = parts
        .map(|part| split_host(&part).is_some().then_some(part))
        .collect();
    hosts.ok_or("must be a list of host names such as play.example.org,localhost:9090")
}

/// The CPUs of `--affinity`, by number. Clap's derive parses a field of this type from one value, where it parses
/// a `Vec` from many.
pub(super) type CpuList = Vec<usize>;

pub(super) fn cpus(text: &str) -> Result<CpuList, &'static str> {
    cpu_list(text).ok_or("must be a list of CPU numbers such as 2,3 or 2-5")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_parsed() {
        assert_eq!(cpu_list("2,3"), Some(vec![2, 3]));
        assert_eq!(cpu_list("0, 4-6"), Some(vec![0, 4, 5, 6]));
        for bad in ["", "a", "3-2", "1-", "-1", "0-9999999999", "1024"] {
            assert_eq!(cpu_list(bad), None, "{bad}");
        }
    }
    #[test]
    fn networks_are_parsed() {
        let of = |text: &str, bits| (text.parse().unwrap(), bits);
        assert_eq!(
            networks("10.0.0.0/8, 127.0.0.1,::1,2001:db8::/32,0.0.0.0/0"),
            Ok(vec![
                of("10.0.0.0", 8),
                of("127.0.0.1", 32),
                of("::1", 128),
                of("2001:db8::", 32),
                of("0.0.0.0", 0)
            ])
        );
        for bad in [
            "",
            ",",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10/8",
            "proxy",
            "10.0.0.0/8/8",
        ] {
            assert!(networks(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_are_parsed() {
        assert_eq!(
            hosts("Play.Example.org, localhost:9090,[::1]:80"),
            Ok(vec![
                "play.example.org".to_owned(),
                "localhost:9090".to_owned(),
                "[::1]:80".to_owned()
            ])
        );
        for bad in ["", ",", "a b", "http://a", "a/", "a:b", "a:99999", "*"] {
            assert!(hosts(bad).is_err(), "{bad}");
        }
    }
}
