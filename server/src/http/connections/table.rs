//! The open connections by address, and which of them makes room for a new one.
//!
//! Owns at most as many entries as connections are allowed. Guarantees that one address never keeps another one out: a
//! new connection takes the place of the one that has sent no complete request for longest, of its own address where
//! that has its share, else of the address with the most connections. So silent connections cost only their own address.
//! Where a proxy is configured, its connections are never closed for clients that passed it by.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::super::caller::PeerStanding;
use crate::boundary::address_group::AddressGroup;

/// Limits on open connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Connections of all addresses.
    pub(crate) total: usize,
    /// Connections of one remote address.
    pub(crate) per_address: usize,
    /// Connections of the machine's own user, where it is trusted.
    pub(crate) per_loopback: usize,
}

/// A new connection has no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

/// The open connections. `H` is dropped with a connection's entry, which closes the connection.
#[derive(Debug)]
pub(super) struct ConnectionTable<H> {
    limits: ConnectionLimits,
    /// Numbers connections, and the order in which they were last used.
    clock: u64,
    connections: HashMap<u64, OpenConnection<H>>,
    addresses: HashMap<AddressGroup, AddressConnections>,
}

#[derive(Debug)]
struct OpenConnection<H> {
    address: AddressGroup,
    used_at: u64,
    _handle: H,
}

/// The connections of one address. It has at least one.
#[derive(Debug)]
struct AddressConnections {
    is_proxy: bool,
    /// When each was last used, and its number.
    by_use: BTreeSet<(u64, u64)>,
}

impl AddressConnections {
    fn longest_unused(&self) -> Option<u64> {
        self.by_use.first().map(|&(_, number)| number)
    }
}

impl<H> ConnectionTable<H> {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            clock: 0,
            connections: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// Adds a connection and returns its number. Another one may be closed for it.
    ///
    /// # Errors
    /// Returns [`NoPlace`] where proxies have all connections and this one is not from a proxy.
    pub(super) fn add(
        &mut self,
        address: AddressGroup,
        standing: PeerStanding,
        handle: H,
    ) -> Result<u64, NoPlace> {
        let own = self.addresses.get(&address).map_or(0, |own| own.by_use.len());
        let share = match standing {
            PeerStanding::Remote => self.limits.per_address,
            PeerStanding::Local => self.limits.per_loopback,
            PeerStanding::Proxy => self.limits.total,
        };
        let displaced = if own >= share.min(self.limits.total) {
            Some(self.addresses[&address].longest_unused().ok_or(NoPlace)?)
        } else if self.connections.len() >= self.limits.total {
            Some(self.displaced(own, address, standing).ok_or(NoPlace)?)
        } else {
            None
        };
        if let Some(displaced) = displaced {
            self.remove(displaced);
        }
        self.clock += 1;
        let number = self.clock;
        let entry = OpenConnection {
            address,
            used_at: number,
            _handle: handle,
        };
        self.connections.insert(number, entry);
        let of_address = self
            .addresses
            .entry(address)
            .or_insert_with(|| AddressConnections {
                is_proxy: standing == PeerStanding::Proxy,
                by_use: BTreeSet::new(),
            });
        of_address.by_use.insert((number, number));
        Ok(number)
    }

    /// Returns the connection that makes room where the total is reached. `own` is the number of connections of the new
    /// one's address. Looks at every address.
    fn displaced(&self, own: usize, address: AddressGroup, standing: PeerStanding) -> Option<u64> {
        let of_clients = self.addresses.values().filter(|held| !held.is_proxy);
        let largest = of_clients.max_by_key(|held| (held.by_use.len(), Reverse(held.by_use.first())));
        match largest {
            Some(largest) if standing == PeerStanding::Proxy || largest.by_use.len() > own => {
                largest.longest_unused()
            }
            _ => self.addresses.get(&address)?.longest_unused(),
        }
    }

    /// Closes one connection, as if one of a new address had taken its place. Returns whether there was one.
    pub(super) fn close_one(&mut self) -> bool {
        let of_clients = self.addresses.values().filter(|held| !held.is_proxy);
        let largest = of_clients
            .max_by_key(|held| held.by_use.len())
            .or_else(|| self.addresses.values().max_by_key(|held| held.by_use.len()));
        let Some(number) = largest.and_then(AddressConnections::longest_unused) else {
            return false;
        };
        self.remove(number);
        true
    }

    /// Records that a connection sent a complete request.
    pub(super) fn used(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        self.clock += 1;
        let before = (connection.used_at, number);
        connection.used_at = self.clock;
        if let Some(of_address) = self.addresses.get_mut(&connection.address) {
            of_address.by_use.remove(&before);
            of_address.by_use.insert((self.clock, number));
        }
    }

    /// Removes a connection, if it is still there.
    pub(super) fn remove(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else {
            return;
        };
        if let Some(of_address) = self.addresses.get_mut(&connection.address) {
            of_address.by_use.remove(&(connection.used_at, number));
            if of_address.by_use.is_empty() {
                self.addresses.remove(&connection.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a table of 8 connections at most, 3 of a remote address, 6 of the own user.
    fn table() -> ConnectionTable<()> {
        ConnectionTable::new(ConnectionLimits {
            total: 8,
            per_address: 3,
            per_loopback: 6,
        })
    }

    fn add(table: &mut ConnectionTable<()>, address: &str, standing: PeerStanding) -> Result<u64, NoPlace> {
        table.add(AddressGroup::of(address.parse().unwrap()), standing, ())
    }

    /// Returns the number of open connections of an address.
    fn open(table: &ConnectionTable<()>, address: &str) -> usize {
        let address = AddressGroup::of(address.parse().unwrap());
        let counted = table
            .connections
            .values()
            .filter(|open| open.address == address)
            .count();
        assert_eq!(
            table.addresses.get(&address).map_or(0, |held| held.by_use.len()),
            counted
        );
        counted
    }

    #[test]
    fn address_at_its_share_closes_its_own_longest_unused_connection() {
        let mut table = table();
        let numbers: Vec<u64> = (0..3)
            .map(|_| add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap())
            .collect();
        add(&mut table, "10.0.0.2", PeerStanding::Remote).unwrap();
        table.used(numbers[0]);
        add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        assert!(
            !table.connections.contains_key(&numbers[1]),
            "the longest unused one"
        );
        assert!(table.connections.contains_key(&numbers[0]), "it was used");
        assert_eq!((open(&table, "10.0.0.1"), open(&table, "10.0.0.2")), (3, 1));
        for _ in 0..100 {
            add(&mut table, "127.0.0.1", PeerStanding::Local).unwrap();
        }
        assert_eq!(
            open(&table, "127.0.0.1"),
            4,
            "6 and the total of 8 are never exceeded"
        );
        assert_eq!((open(&table, "10.0.0.1"), open(&table, "10.0.0.2")), (3, 1));
    }

    #[test]
    fn new_address_takes_the_place_of_the_largest_holder_where_all_are_taken() {
        let mut table = table();
        for _ in 0..6 {
            add(&mut table, "127.0.0.1", PeerStanding::Local).unwrap();
        }
        for _ in 0..2 {
            add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        }
        for new in 2..=5 {
            let address = format!("10.0.0.{new}");
            add(&mut table, &address, PeerStanding::Remote).unwrap();
        }
        assert_eq!((open(&table, "127.0.0.1"), open(&table, "10.0.0.1")), (2, 2));
        // Every address holds one or two; an address with two now gains nothing from others.
        add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        assert_eq!((open(&table, "127.0.0.1"), open(&table, "10.0.0.1")), (2, 2));
    }

    #[test]
    fn flood_of_addresses_closes_the_longest_unused_connections() {
        let mut table = table();
        let player = add(&mut table, "10.9.9.9", PeerStanding::Remote).unwrap();
        for number in 0..1_000_u32 {
            let address = AddressGroup::of((0x0b00_0000 + number).to_be_bytes().into());
            table.add(address, PeerStanding::Remote, ()).unwrap();
            table.used(player);
        }
        assert!(table.connections.contains_key(&player), "it is in use");
        assert_eq!((table.connections.len(), table.addresses.len()), (8, 8));
    }

    #[test]
    fn proxy_keeps_its_connections_and_takes_those_of_other_addresses() {
        let mut table = table();
        add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        for _ in 0..8 {
            add(&mut table, "10.0.0.9", PeerStanding::Proxy).unwrap();
        }
        assert_eq!((open(&table, "10.0.0.9"), open(&table, "10.0.0.1")), (8, 0));
        assert_eq!(add(&mut table, "10.0.0.1", PeerStanding::Remote), Err(NoPlace));
        add(&mut table, "10.0.0.9", PeerStanding::Proxy).unwrap();
        assert_eq!(open(&table, "10.0.0.9"), 8);
    }

    #[test]
    fn closed_connections_leave_nothing_behind() {
        let mut table = table();
        let number = add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        table.used(number);
        table.remove(number);
        table.remove(number);
        table.used(number);
        assert!(table.connections.is_empty() && table.addresses.is_empty());
        assert!(!table.close_one());
        add(&mut table, "10.0.0.9", PeerStanding::Proxy).unwrap();
        add(&mut table, "10.0.0.1", PeerStanding::Remote).unwrap();
        assert!(table.close_one());
        assert_eq!((open(&table, "10.0.0.1"), open(&table, "10.0.0.9")), (0, 1));
        assert!(table.close_one() && table.addresses.is_empty());
    }
}
