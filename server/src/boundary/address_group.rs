//! The addresses that count as one: an IPv4 address, or the /64 that one IPv6 customer has.
//!
//! A connect token carries the group of the address to which it was issued, so that the worker on which its session
//! begins counts the session for that address.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use super::claims::USER_DATA_BYTES;

/// Bytes of a connect token's user data that contain the group, behind the session's claims.
const IN_USER_DATA: Range<usize> = 40..56;
/// Low bits of an IPv6 group. They tell `::/64` from the unknown address and from `::1`.
const IPV6_MARK: u128 = 2;

/// An address to which limits apply. All addresses of one IPv6 /64 are equal, and so are an IPv4 address and its
/// IPv4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AddressGroup(Ipv6Addr);

impl AddressGroup {
    /// The group of a token that names no address, as tests and single player issue them.
    pub(crate) const UNKNOWN: Self = Self(Ipv6Addr::UNSPECIFIED);

    /// Returns the group of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) if v6.is_loopback() => Self(v6),
            // The upper 64 bits name the customer's network, the lower ones a device in it.
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64 | IPV6_MARK)),
        }
    }

    /// Returns whether the group is an address of this machine itself.
    pub(crate) fn is_loopback(self) -> bool {
        IpAddr::V6(self.0).to_canonical().is_loopback()
    }

    /// Writes the group to a connect token's user data.
    pub(crate) fn write(self, user_data: &mut [u8; USER_DATA_BYTES]) {
        user_data[IN_USER_DATA].copy_from_slice(&self.0.octets());
    }

    /// Reads the group from a connect token's user data.
    pub(crate) fn read(user_data: &[u8; USER_DATA_BYTES]) -> Self {
        let mut octets = [0; 16];
        octets.copy_from_slice(&user_data[IN_USER_DATA]);
        Self(Ipv6Addr::from(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::claims::{PlayerName, SessionClaims};

    fn group(address: &str) -> AddressGroup {
        AddressGroup::of(address.parse().unwrap())
    }

    #[test]
    fn an_ipv6_64_and_an_ipv4_address_in_both_forms_are_one_group_each() {
        assert_eq!(group("2001:db8::1"), group("2001:db8::ffff:2"));
        assert_ne!(group("2001:db8::1"), group("2001:db8:0:1::1"));
        assert_eq!(group("203.0.113.7"), group("::ffff:203.0.113.7"));
        assert_ne!(group("203.0.113.7"), group("203.0.113.8"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(group(loopback).is_loopback(), "{loopback}");
        }
        for remote in ["::", "::5", "2001:db8::1", "203.0.113.7", "fe80::1"] {
            assert!(!group(remote).is_loopback(), "{remote}");
            assert_ne!(group(remote), AddressGroup::UNKNOWN, "{remote}");
        }
    }

    #[test]
    fn a_group_is_carried_beside_the_claims() {
        let claims = SessionClaims {
            session_number: u64::MAX,
            name: PlayerName::new(&"x".repeat(32)).unwrap(),
        };
        let mut user_data = claims.to_user_data();
        assert_eq!(AddressGroup::read(&user_data), AddressGroup::UNKNOWN);
        group("2001:db8::1").write(&mut user_data);
        assert_eq!(AddressGroup::read(&user_data), group("2001:db8::1"));
        assert_eq!(SessionClaims::from_user_data(&user_data), claims);
    }
}
