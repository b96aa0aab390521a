//! The network between all endpoints: one link per direction and pair of addresses.
//!
//! Owns the links. Guarantees that deliveries follow only from the seed and the calls: links are processed in the order
//! of their addresses, and each has its own random generator, so that a new endpoint does not affect the others.
//! Datagrams to an address without an endpoint are delivered like any other. The caller drops them.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use throng_shared::random::Random;

use super::link::{Gate, Link, LinkConditions, LinkTally};

/// All links by sender and receiver.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    default: LinkConditions,
    links: BTreeMap<(SocketAddr, SocketAddr), Link>,
    /// Conditions of single endpoints in both directions, if they differ from the default.
    endpoints: BTreeMap<SocketAddr, LinkConditions>,
}

impl Network {
    /// Creates a network whose links all have the conditions `default`.
    #[must_use]
    pub fn new(seed: u64, default: LinkConditions) -> Self {
        Self {
            seed,
            default,
            links: BTreeMap::new(),
            endpoints: BTreeMap::new(),
        }
    }

    /// Sends a datagram at `now`.
    pub fn send(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let (seed, conditions) = (self.seed, self.conditions(from, to));
        let link = self
            .links
            .entry((from, to))
            .or_insert_with(|| Link::new(conditions, link_seed(seed, from, to)));
        link.send(now, datagram);
    }

    /// Calls `receive` with (from, to, datagram) for each datagram that is due at `now`.
    pub fn deliver(&mut self, now: Duration, mut receive: impl FnMut(SocketAddr, SocketAddr, Vec<u8>)) {
        for (&(from, to), link) in &mut self.links {
            while let Some(datagram) = link.receive_datagram(now) {
                receive(from, to, datagram);
            }
        }
    }

    /// Sets the conditions of all current and future links.
    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        self.default = conditions;
        self.endpoints.clear();
        self.links
            .values_mut()
            .for_each(|link| link.set_conditions(conditions));
    }

    /// Sets the conditions of all current and future links from and to one endpoint.
    pub fn set_endpoint_conditions(&mut self, endpoint: SocketAddr, conditions: LinkConditions) {
        self.endpoints.insert(endpoint, conditions);
        self.links_of(endpoint)
            .for_each(|link| link.set_conditions(conditions));
    }

    /// Opens, closes or holds all current links from and to `endpoint`.
    pub fn set_gate(&mut self, now: Duration, endpoint: SocketAddr, gate: Gate) {
        self.links_of(endpoint).for_each(|link| link.set_gate(now, gate));
    }

    /// Returns the counters of the link from `from` to `to`.
    #[must_use]
    pub fn tally(&self, from: SocketAddr, to: SocketAddr) -> LinkTally {
        self.links.get(&(from, to)).map(Link::tally).unwrap_or_default()
    }

    fn links_of(&mut self, endpoint: SocketAddr) -> impl Iterator<Item = &mut Link> {
        let ours = move |(from, to): &(SocketAddr, SocketAddr)| *from == endpoint || *to == endpoint;
        self.links
            .iter_mut()
            .filter(move |(key, _)| ours(key))
            .map(|(_, link)| link)
    }

    fn conditions(&self, from: SocketAddr, to: SocketAddr) -> LinkConditions {
        let own = self.endpoints.get(&from).or_else(|| self.endpoints.get(&to));
        own.copied().unwrap_or(self.default)
    }
}

/// Returns a seed that depends on both addresses of a link.
fn link_seed(seed: u64, from: SocketAddr, to: SocketAddr) -> u64 {
    [from, to].iter().fold(seed, |mixed, address| {
        let ip = match address.ip() {
            std::net::IpAddr::V4(ip) => u64::from(u32::from(ip)),
            std::net::IpAddr::V6(ip) => u128::from(ip) as u64,
        };
        Random::new(mixed ^ (ip << 16) ^ u64::from(address.port())).bits()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    /// Returns which of 200 datagrams from `port` arrive while `others` endpoints send as well.
    fn survivors(port: u16, others: u16) -> Vec<u8> {
        let mut network = Network::new(
            5,
            LinkConditions {
                loss: 0.5,
                ..LinkConditions::PERFECT
            },
        );
        let mut arrived = Vec::new();
        for number in 0..200 {
            for sender in (1..=others).map(|other| 100 + other).chain([port]) {
                network.send(Duration::ZERO, address(sender), address(1), &[number]);
            }
            network.deliver(Duration::ZERO, |from, _, datagram| {
                if from == address(port) {
                    arrived.push(datagram[0]);
                }
            });
        }
        arrived
    }

    #[test]
    fn losses_of_a_link_are_independent_of_other_links() {
        assert_eq!(survivors(7, 0), survivors(7, 9));
        assert_ne!(survivors(7, 0), survivors(8, 0));
    }

    #[test]
    fn a_closed_gate_cuts_off_one_endpoint() {
        let mut network = Network::new(1, LinkConditions::PERFECT);
        let count = |network: &mut Network| {
            for port in [7, 8] {
                network.send(Duration::ZERO, address(port), address(1), b"x");
            }
            let mut arrived = 0;
            network.deliver(Duration::ZERO, |_, _, _| arrived += 1);
            arrived
        };
        assert_eq!(count(&mut network), 2);
        network.set_gate(Duration::ZERO, address(7), Gate::Closed);
        assert_eq!(count(&mut network), 1);
        network.set_gate(Duration::ZERO, address(7), Gate::Open);
        assert_eq!(count(&mut network), 2);
    }
}
