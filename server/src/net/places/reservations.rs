//! The unused tokens by address: which address has the most, and which of its tokens is the oldest.
//!
//! Guarantees logarithmic time for every operation.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::boundary::address_group::AddressGroup;

/// The places that consist only of an unused token.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// Client by address and order of issue.
    clients: BTreeMap<(AddressGroup, u64), u64>,
    /// Rank of each address that has any.
    ranks: HashMap<AddressGroup, AddressRank>,
    /// Address by rank.
    by_rank: BTreeMap<AddressRank, AddressGroup>,
}

/// More tokens rank higher; of equally many, those whose oldest was issued earlier. Orders of issue are unique, so ranks
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AddressRank {
    tokens: u32,
    oldest: Reverse<u64>,
}

impl Reservations {
    pub(super) fn insert(&mut self, address: AddressGroup, order: u64, client_id: u64) {
        self.clients.insert((address, order), client_id);
        let tokens = self.ranks.get(&address).map_or(0, |rank| rank.tokens);
        self.rank(address, tokens + 1);
    }

    pub(super) fn remove(&mut self, address: AddressGroup, order: u64) {
        if self.clients.remove(&(address, order)).is_some() {
            let tokens = self.ranks.get(&address).map_or(0, |rank| rank.tokens);
            self.rank(address, tokens.saturating_sub(1));
        }
    }

    /// Returns the address with the most unused tokens, and the client that has the oldest of them.
    pub(super) fn most(&self) -> Option<(AddressGroup, u64)> {
        let (rank, &address) = self.by_rank.last_key_value()?;
        let client_id = self.clients.get(&(address, rank.oldest.0))?;
        Some((address, *client_id))
    }

    fn rank(&mut self, address: AddressGroup, tokens: u32) {
        if let Some(rank) = self.ranks.remove(&address) {
            self.by_rank.remove(&rank);
        }
        let mut of_address = self.clients.range((address, 0)..=(address, u64::MAX));
        if let Some((&(_, oldest), _)) = of_address.next() {
            let rank = AddressRank {
                tokens,
                oldest: Reverse(oldest),
            };
            self.ranks.insert(address, rank);
            self.by_rank.insert(rank, address);
        }
    }
}
