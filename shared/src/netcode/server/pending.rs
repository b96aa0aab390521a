//! Pending handshakes: their tokens were valid, and their clients have not responded to the challenge yet.
//!
//! Bounded by the caller, which evicts the oldest at the bound. At most one for each address; it ends by success, a newer
//! one, silence or eviction.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use crate::netcode::Entropy;
use crate::netcode::address::{AddressKey, KeyedState};
use crate::netcode::aead::Cipher;
use crate::netcode::challenge::TokenTag;
use crate::netcode::timer::TimerWheel;

/// A pending handshake, with the contents of its token.
pub(super) struct PendingHandshake {
    pub(super) address: SocketAddr,
    pub(super) client_id: u64,
    pub(super) number: u64,
    pub(super) token: TokenTag,
    pub(super) timeout_s: i32,
    pub(super) send_key: Cipher,
    pub(super) receive_key: Cipher,
    /// Time at which the handshake ends unless its client repeats the request.
    pub(super) ends_at: Duration,
}

struct PendingSlot {
    handshake: PendingHandshake,
    /// Key of the slot in [`PendingTable::by_age`].
    age: u64,
}

/// All pending handshakes of a server.
pub(super) struct PendingTable {
    slots: Vec<Option<PendingSlot>>,
    free: Vec<u32>,
    /// Indices of the slots in use, in the order in which their addresses began a handshake. A repeated request keeps its
    /// place in this order.
    by_age: BTreeMap<u64, u32>,
    next_age: u64,
    by_address: HashMap<AddressKey, u32, KeyedState>,
    timers: TimerWheel,
}

impl PendingTable {
    pub(super) fn new(entropy: &mut Entropy) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_age: BTreeMap::new(),
            next_age: 0,
            by_address: HashMap::with_hasher(KeyedState::new(entropy)),
            timers: TimerWheel::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn at_address(&self, address: SocketAddr) -> Option<&PendingHandshake> {
        let index = *self.by_address.get(&address.into())?;
        self.slots[index as usize].as_ref().map(|slot| &slot.handshake)
    }

    /// Adds a handshake; it replaces the one at its address.
    pub(super) fn insert(&mut self, pending: PendingHandshake, now: Duration) {
        let (key, ends_at) = (AddressKey::from(pending.address), pending.ends_at);
        let index = self
            .by_address
            .get(&key)
            .copied()
            .or_else(|| self.free.pop())
            .unwrap_or_else(|| {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).expect("handshakes are bounded by a u32")
            });
        let slot = &mut self.slots[index as usize];
        let age = slot.as_ref().map_or(self.next_age, |present| present.age);
        if slot.is_none() {
            self.next_age += 1;
            self.by_age.insert(age, index);
            self.by_address.insert(key, index);
        }
        *slot = Some(PendingSlot {
            handshake: pending,
            age,
        });
        self.timers.set(index, now, ends_at);
    }

    pub(super) fn remove(&mut self, address: SocketAddr) -> Option<PendingHandshake> {
        let index = self.by_address.remove(&address.into())?;
        self.timers.clear(index);
        self.free.push(index);
        let slot = self.slots[index as usize].take()?;
        self.by_age.remove(&slot.age);
        Some(slot.handshake)
    }

    /// Removes the oldest handshake, to make room for another. A flood of valid requests that are never completed
    /// therefore leaves each client as much time to respond as the flood needs to fill the table.
    pub(super) fn evict_oldest(&mut self) {
        let oldest = self.by_age.first_key_value().map(|(_, &index)| index);
        if let Some(slot) = oldest.and_then(|index| self.slots[index as usize].as_ref()) {
            let address = slot.handshake.address;
            self.remove(address);
        }
    }

    /// Removes the handshakes that have timed out.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some(index) = self.timers.pop(now) {
            let Some(PendingSlot { handshake, .. }) = &self.slots[index as usize] else {
                continue;
            };
            let (address, ends_at) = (handshake.address, handshake.ends_at);
            if ends_at <= now {
                self.remove(address);
            } else {
                self.timers.set(index, now, ends_at);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> [usize; 2] {
        [self.len(), self.slots.capacity() + self.by_address.capacity()]
    }
}
