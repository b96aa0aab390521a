//! The address that a request counts for, and whether its sender is trusted.
//!
//! A client's address is what the connection says or, on a connection from a configured proxy, the last entry of
//! `X-Forwarded-For`. Guarantees that a request through a proxy never counts for the proxy's own address: an entry that
//! is missing or not an address is refused. The machine's own user is trusted only where HTTP listens on loopback and no
//! proxy is configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;

use super::error::ApiError;
use crate::boundary::address_group::AddressGroup;

/// A network: an address in it, and the number of bits that all its addresses share.
pub(crate) type AddressRange = (IpAddr, u8);

/// The networks of a proxy in front, unless they are configured: this machine, private networks and link-local ones.
pub(crate) const PROXIES_DEFAULT: [AddressRange; 8] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// Bytes of the longest entry of `X-Forwarded-For` that is parsed: an IPv6 address in brackets with a port.
const ENTRY_BYTES_MAX: usize = 64;

/// Address and trust of a request's sender, for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpCaller {
    pub(super) address: AddressGroup,
    /// Whether it is the machine's own user, who is trusted.
    pub(super) is_local: bool,
}

/// What the other end of a connection is, by its address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerStanding {
    /// The machine's own user.
    Local,
    /// A proxy in front, which passes on requests of many clients.
    Proxy,
    /// A client elsewhere; or, where a proxy is configured, a client that passed it by.
    Remote,
}

/// Decides whom a connection or a request counts for.
#[derive(Debug, Clone)]
pub(super) struct CallerRules {
    /// Networks of the proxies in front; `None` without a proxy.
    pub(super) proxies: Option<Vec<AddressRange>>,
    /// Whether HTTP listens on a loopback address.
    pub(super) is_on_loopback: bool,
}

impl CallerRules {
    /// Returns whether the machine's own user is trusted.
    pub(super) fn trusts_local(&self) -> bool {
        self.is_on_loopback && self.proxies.is_none()
    }

    pub(super) fn standing(&self, peer: IpAddr) -> PeerStanding {
        let peer = peer.to_canonical();
        match &self.proxies {
            Some(proxies) if proxies.iter().any(|&range| contains(range, peer)) => PeerStanding::Proxy,
            None if self.is_on_loopback && peer.is_loopback() => PeerStanding::Local,
            _ => PeerStanding::Remote,
        }
    }

    /// Returns the sender of a request with `headers` on a connection from `peer`.
    pub(super) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> Result<HttpCaller, ApiError> {
        let (address, is_local) = match self.standing(peer) {
            PeerStanding::Local => (peer, true),
            PeerStanding::Remote if self.proxies.is_some() => return Err(ApiError::NotThroughProxy),
            PeerStanding::Remote => (peer, false),
            PeerStanding::Proxy => (forwarded(headers).map_err(ApiError::BadForwardedFor)?, false),
        };
        Ok(HttpCaller {
            address: AddressGroup::of(address),
            is_local,
        })
    }
}

/// Returns whether `address`, in its canonical form, is in `network`.
fn contains((network, bits): AddressRange, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(bits.min(32));
            (network.to_bits() ^ address.to_bits())
                .checked_shr(shift)
                .unwrap_or(0)
                == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(bits.min(128));
            (network.to_bits() ^ address.to_bits())
                .checked_shr(shift)
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

/// Returns the last entry of `X-Forwarded-For`, which the proxy itself added. The client can forge the entries before
/// it, which are not read.
///
/// # Errors
/// What is wrong with the header.
fn forwarded(headers: &HeaderMap) -> Result<IpAddr, &'static str> {
    let value = headers.get_all("x-forwarded-for").iter().next_back();
    let value = value.ok_or("is missing: the proxy must set it")?.as_bytes();
    let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    let last = last.trim_ascii();
    if last.is_empty() {
        return Err("ends with an empty entry");
    }
    let entry = std::str::from_utf8(last)
        .ok()
        .filter(|entry| entry.len() <= ENTRY_BYTES_MAX);
    entry
        .and_then(entry_address)
        .ok_or("ends with an entry that is no address of a client")
}

/// Parses an address, with or without a port, an IPv6 address with or without brackets.
fn entry_address(entry: &str) -> Option<IpAddr> {
    let address = match entry.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let is_end = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
            is_end
                .then(|| address.parse::<Ipv6Addr>().ok())?
                .map(IpAddr::V6)?
        }
        None => match entry.parse() {
            Ok(address) => address,
            Err(_) => {
                let (address, port) = entry.rsplit_once(':')?;
                is_port(port)
                    .then(|| address.parse::<Ipv4Addr>().ok())?
                    .map(IpAddr::V4)?
            }
        },
    };
    let address = address.to_canonical();
    let is_of_a_client =
        !address.is_unspecified() && !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST);
    is_of_a_client.then_some(address)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn behind_a_proxy() -> CallerRules {
        CallerRules {
            proxies: Some(PROXIES_DEFAULT.to_vec()),
            is_on_loopback: true,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn last_entry_of_x_forwarded_for_is_parsed_with_port_and_brackets() {
        for (entry, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:567", "1.2.3.4"),
            ("1.2.3.4:0", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:567", "1.2.3.4"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:65535", "2001:db8::7"),
            ("[::1]:567", "::1"),
            ("  1.2.3.4\t", "1.2.3.4"),
            ("9.9.9.9, 1.2.3.4", "1.2.3.4"),
            ("unknown, \"x\", 9.9.9.9:1,1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(
                forwarded(&headers(&[entry.as_bytes()])),
                Ok(address(expected)),
                "{entry}"
            );
        }
        let several: [&[u8]; 3] = [b"1.1.1.1", b"\xff\xfe", b"2.2.2.2, 3.3.3.3"];
        assert_eq!(forwarded(&headers(&several)), Ok(address("3.3.3.3")));
        let long = [vec![b'x'; 100_000], b",1.2.3.4".to_vec()].concat();
        assert_eq!(forwarded(&headers(&[&long])), Ok(address("1.2.3.4")));
    }

    #[test]
    fn x_forwarded_for_that_is_no_address_is_refused() {
        let long = "1".repeat(10_000);
        for entry in [
            "",
            " ",
            ",",
            "1.2.3.4,",
            "1.2.3.4, ",
            "unknown",
            "_hidden",
            "for=1.2.3.4",
            "\"1.2.3.4\"",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:+5",
            "1.2.3.4:65536",
            "1.2.3.4:5:6",
            "1.2.3",
            "1.2.3.256",
            "01.2.3.4",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "[::1]567",
            "[::1]:",
            "[::1]:x",
            "[]",
            "[",
            "fe80::1%eth0",
            "1.2.3.4/8",
            "0.0.0.0",
            "::",
            "[::]:1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "1.2.3.4 5.6.7.8",
            "localhost",
            &long,
        ] {
            let refused = behind_a_proxy().caller(address("127.0.0.1"), &headers(&[entry.as_bytes()]));
            assert!(
                matches!(refused, Err(ApiError::BadForwardedFor(_))),
                "{entry}: {refused:?}"
            );
        }
        let none = behind_a_proxy().caller(address("127.0.0.1"), &HeaderMap::new());
        assert!(matches!(none, Err(ApiError::BadForwardedFor(_))));
        let empty_last = headers(&[b"1.2.3.4", b""]);
        assert!(forwarded(&empty_last).is_err(), "the last header counts");
    }

    #[test]
    fn only_a_configured_proxy_is_believed() {
        let forged = headers(&[b"203.0.113.9"]);
        let direct = CallerRules {
            proxies: None,
            is_on_loopback: false,
        };
        let caller = direct.caller(address("198.51.100.1"), &forged).unwrap();
        assert_eq!(caller.address, AddressGroup::of(address("198.51.100.1")));
        let rules = CallerRules {
            proxies: Some(vec![(address("203.0.113.0"), 24), (address("2001:db8::"), 32)]),
            is_on_loopback: false,
        };
        for proxy in ["203.0.113.77", "2001:db8:ffff::1", "::ffff:203.0.113.77"] {
            assert_eq!(rules.standing(address(proxy)), PeerStanding::Proxy, "{proxy}");
        }
        for other in ["203.0.114.1", "2001:db9::1", "127.0.0.1", "10.0.0.1"] {
            let refused = rules.caller(address(other), &forged);
            assert_eq!(refused, Err(ApiError::NotThroughProxy), "{other}");
        }
    }

    #[test]
    fn own_user_is_trusted_only_on_loopback_without_a_proxy() {
        let mut rules = CallerRules {
            proxies: None,
            is_on_loopback: true,
        };
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(
                rules.caller(address(own), &HeaderMap::new()).unwrap().is_local,
                "{own}"
            );
        }
        rules.is_on_loopback = false;
        assert!(
            !rules
                .caller(address("127.0.0.1"), &HeaderMap::new())
                .unwrap()
                .is_local
        );
        let through = behind_a_proxy().caller(address("127.0.0.1"), &headers(&[b"127.0.0.1"]));
        assert!(
            !through.unwrap().is_local,
            "a client of the proxy on this machine"
        );
    }

    #[test]
    fn networks_of_0_and_of_all_bits_are_compared() {
        assert!(contains((address("0.0.0.0"), 0), address("203.0.113.7")));
        assert!(!contains((address("0.0.0.0"), 0), address("2001:db8::1")));
        assert!(contains((address("::"), 0), address("2001:db8::1")));
        assert!(contains((address("10.1.2.3"), 32), address("10.1.2.3")));
        assert!(!contains((address("10.1.2.3"), 32), address("10.1.2.2")));
        assert!(contains((address("172.16.0.0"), 12), address("172.31.255.255")));
        assert!(!contains((address("172.16.0.0"), 12), address("172.32.0.0")));
    }
}
