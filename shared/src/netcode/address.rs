//! Addresses as hash-table keys whose collisions a remote peer cannot choose.
//!
//! A peer chooses its own port, and with IPv6 most of its address. So every table hashes with random
//! secrets of this process. The hash is a folded multiplication over three words and costs a few
//! nanoseconds; the standard library's hasher over a whole socket address takes several times as long.

use core::hash::{BuildHasher, Hash, Hasher};
use core::net::SocketAddr;

use super::Entropy;

/// A peer's address, reduced to the parts that identify it. An IPv4 address equals its IPv6-mapped form,
/// since a socket for both sees the mapped one; the scope distinguishes link-local peers of two interfaces.
///
/// The address is two `u64`s: a `u128`'s alignment would make a table's entries half as long again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressKey {
    ip: [u64; 2],
    port_scope: u64,
}

impl From<SocketAddr> for AddressKey {
    fn from(address: SocketAddr) -> Self {
        let (ip, scope) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        let ip = u128::from(ip);
        Self {
            ip: [ip as u64, (ip >> 64) as u64],
            port_scope: u64::from(scope) << 16 | u64::from(address.port()),
        }
    }
}

impl Hash for AddressKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.ip[0]);
        state.write_u64(self.ip[1]);
        state.write_u64(self.port_scope);
    }
}

/// Builds the hashers of one table: each is a [`KeyedHasher`] with that table's secrets.
#[derive(Clone)]
pub(crate) struct KeyedState {
    seed: u64,
    multiplier: u64,
}

impl KeyedState {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        let multiplier = u64::from_le_bytes(entropy.bytes());
        // Odd, so that multiplication modulo 2^64 is reversible and loses nothing of the word.
        Self {
            seed: u64::from_le_bytes(entropy.bytes()),
            multiplier: multiplier | 1,
        }
    }
}

impl BuildHasher for KeyedState {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher {
            state: self.seed,
            multiplier: self.multiplier,
        }
    }
}

/// Folds each word into the state by a 64 x 64 -> 128 bit multiplication.
///
/// The xor of the product's halves makes every bit of the word affect high and low bits alike.
pub(crate) struct KeyedHasher {
    state: u64,
    multiplier: u64,
}

impl Hasher for KeyedHasher {
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.multiplier);
        self.state = (product as u64) ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        // A second secret product, so that the last word reaches the high bits, which hash tables compare.
        let product = u128::from(self.state) * u128::from(self.multiplier);
        (product as u64) ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(state: &KeyedState, address: &str) -> u64 {
        state.hash_one(AddressKey::from(address.parse::<SocketAddr>().unwrap()))
    }

    #[test]
    fn an_ipv4_address_equals_its_mapped_form_and_no_other_address() {
        let state = KeyedState::new(&mut Entropy::from_seed([1; 32]));
        assert_eq!(
            hash(&state, "10.0.0.1:5000"),
            hash(&state, "[::ffff:10.0.0.1]:5000")
        );
        let key = |text: &str| AddressKey::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(key("10.0.0.1:5000"), key("[::ffff:10.0.0.1]:5000"));
        assert_ne!(key("10.0.0.1:5000"), key("10.0.0.1:5001"));
        assert_ne!(key("[fe80::1%1]:5000"), key("[fe80::1%2]:5000"));
    }

    #[test]
    fn structured_addresses_spread_evenly_under_each_secret() {
        let mut entropy = Entropy::from_seed([2; 32]);
        let (one, other) = (KeyedState::new(&mut entropy), KeyedState::new(&mut entropy));
        let mut low = HashSet::new();
        let mut high = [0u32; 128];
        for n in 0..65_536u32 {
            // What a peer can choose: 256 prefixes times 256 ports, the rest equal.
            let text = format!("[2001:db8:{:x}::1]:{}", n >> 8, n & 255);
            let value = hash(&one, &text);
            assert_ne!(value, hash(&other, &text));
            low.insert(value & 0xFFFF);
            high[(value >> 57) as usize] += 1;
        }
        // 65,536 balls in as many bins fill 63 % of them.
        assert!(
            (40_000..43_000).contains(&low.len()),
            "{} of 65,536 bins",
            low.len()
        );
        assert!(high.iter().all(|&count| (350..700).contains(&count)), "{high:?}");
    }
}
