//! The sessions: dense slots, found by address or by client id in constant time.
//!
//! Guarantees that an address and a client id belong to one session at most, and that a [`SessionId`]
//! refers to nothing once its session has ended.

use core::mem::offset_of;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;

use crate::netcode::Entropy;
use crate::netcode::address::{AddressKey, KeyedState};
use crate::netcode::aead::Cipher;
use crate::netcode::replay::ReplayWindow;
use crate::netcode::timer::TimerWheel;
use crate::netcode::wire::{ControlPacket, PacketCipher, PacketKind};
use crate::prefetch::prefetch_part;

/// Identifies one session of a worker. `index` is dense and reused; `generation` differs at each use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The lowest free indices are used, so that callers can keep their state in a `Vec`. Stays below
    /// [`sessions_max`](super::ServerNetcodeConfig::sessions_max) plus the replaced sessions that were not disconnected yet.
    pub index: u32,
    /// Differs between the sessions that have had this index.
    pub generation: u32,
}

/// The state of one connected client. The fields that every packet reads lie together, before the keys.
#[repr(C)]
pub(super) struct NetcodeSession {
    pub(super) address: SocketAddr,
    pub(super) next_sequence: u64,
    pub(super) replay: ReplayWindow,
    pub(super) received_at: Duration,
    pub(super) sent_at: Duration,
    /// The client has sent a packet of this session, so it knows that it is connected.
    pub(super) confirmed: bool,
    /// A newer session of the client took over; this one can only send until it is disconnected.
    pub(super) replaced: bool,
    pub(super) client_id: u64,
    /// The first eight bytes of the token's user data; a newer number takes over.
    pub(super) number: u64,
    /// Time without a packet after which the session ends; `None` never ends it.
    pub(super) timeout: Option<Duration>,
    pub(super) keep_alive: Duration,
    pub(super) receive_key: Cipher,
    pub(super) send_key: Cipher,
}

impl NetcodeSession {
    /// Seals a packet without payload under the session's next number.
    pub(super) fn control(&mut self, cipher: &PacketCipher, kind: PacketKind, body: &[u8]) -> ControlPacket {
        let packet = cipher.control(kind, self.next_sequence, &self.send_key, body);
        self.next_sequence += 1;
        packet
    }

    /// Returns when the session ends unless something is received.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        if self.replaced {
            Some(self.received_at)
        } else {
            Some(self.received_at.saturating_add(self.timeout?))
        }
    }

    /// Returns when a keep-alive is due unless something is sent.
    pub(super) fn keep_alive_at(&self) -> Duration {
        self.sent_at.saturating_add(self.keep_alive)
    }
}

#[repr(C)]
struct SessionSlot {
    generation: u32,
    session: Option<NetcodeSession>,
}

/// The direction of a packet, seen from the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum PacketDirection {
    Receive,
    Send,
}

/// All sessions of a server.
pub(super) struct SessionTable {
    slots: Vec<SessionSlot>,
    /// Indices of empty slots. The last one emptied is used first, since it is warm in the cache.
    free: Vec<u32>,
    by_address: HashMap<AddressKey, u32, KeyedState>,
    by_client: HashMap<u64, u32, KeyedState>,
    timers: TimerWheel,
}

impl SessionTable {
    pub(super) fn new(entropy: &mut Entropy) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_address: HashMap::with_hasher(KeyedState::new(entropy)),
            by_client: HashMap::with_hasher(KeyedState::new(entropy)),
            timers: TimerWheel::new(),
        }
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&NetcodeSession> {
        let slot = self.slots.get(id.index as usize)?;
        slot.session.as_ref().filter(|_| slot.generation == id.generation)
    }

    /// Returns the index of the session whose datagrams come from `address`.
    #[inline]
    pub(super) fn index_of(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&address.into()).copied()
    }

    /// Prefetches the memory that is read to receive from, or to seal for, the session with this index. Does not
    /// read the session itself, which would be the wait that prefetching avoids.
    #[inline]
    pub(super) fn prefetch(&self, index: u32, direction: PacketDirection) {
        let Some(slot) = self.slots.get(index as usize) else {
            return;
        };
        let session = offset_of!(SessionSlot, session);
        let key = session
            + match direction {
                PacketDirection::Receive => offset_of!(NetcodeSession, receive_key),
                PacketDirection::Send => offset_of!(NetcodeSession, send_key),
            };
        prefetch_part(slot, 0..session + offset_of!(NetcodeSession, client_id));
        // `Option` needs no byte of its own: it stores `None` as a value that the first key cannot have.
        let is_taken = session + offset_of!(NetcodeSession, receive_key);
        prefetch_part(slot, is_taken..is_taken + 1);
        Cipher::read_parts().for_each(|part| prefetch_part(slot, key + part.start..key + part.end));
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut NetcodeSession> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.session.as_mut().filter(|_| slot.generation == id.generation)
    }

    fn at_index(&mut self, index: u32) -> Option<(SessionId, &mut NetcodeSession)> {
        let slot = &mut self.slots[index as usize];
        let id = SessionId {
            index,
            generation: slot.generation,
        };
        slot.session.as_mut().map(|session| (id, session))
    }

    /// Returns the session whose datagrams come from `address`.
    pub(super) fn at_address(&mut self, address: SocketAddr) -> Option<(SessionId, &mut NetcodeSession)> {
        let index = *self.by_address.get(&address.into())?;
        self.at_index(index)
    }

    /// Returns the session of `client_id`.
    pub(super) fn of_client(&mut self, client_id: u64) -> Option<(SessionId, &mut NetcodeSession)> {
        let index = *self.by_client.get(&client_id)?;
        self.at_index(index)
    }

    /// Adds a session whose address and client id are free, and watches its deadlines.
    pub(super) fn insert(&mut self, session: NetcodeSession, now: Duration) -> SessionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(SessionSlot {
                generation: 0,
                session: None,
            });
            u32::try_from(self.slots.len() - 1).expect("sessions are bounded by a u32")
        });
        self.by_address.insert(session.address.into(), index);
        self.by_client.insert(session.client_id, index);
        let slot = &mut self.slots[index as usize];
        slot.session = Some(session);
        let id = SessionId {
            index,
            generation: slot.generation,
        };
        self.watch(id, now);
        id
    }

    /// Frees a session's address and client id for the session that takes over. The old session stays until
    /// it is removed, for one keep-alive interval at most.
    pub(super) fn replace(&mut self, id: SessionId, now: Duration) {
        let Some(session) = self.get_mut(id) else { return };
        session.replaced = true;
        let (address, client_id, end) = (session.address, session.client_id, now + session.keep_alive);
        self.by_address.remove(&address.into());
        self.by_client.remove(&client_id);
        self.timers.set(id.index, now, end);
    }

    /// Ends a session and frees its slot.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<NetcodeSession> {
        let slot = self
            .slots
            .get_mut(id.index as usize)
            .filter(|slot| slot.generation == id.generation)?;
        let session = slot.session.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.timers.clear(id.index);
        if !session.replaced {
            self.by_address.remove(&session.address.into());
            self.by_client.remove(&session.client_id);
        }
        Some(session)
    }

    /// Sets the timer of a session to the nearer of its deadlines.
    pub(super) fn watch(&mut self, id: SessionId, now: Duration) {
        let Some(session) = self.get(id) else { return };
        let keep_alive = session.keep_alive_at();
        let deadline = session.ends_at().map_or(keep_alive, |end| end.min(keep_alive));
        self.timers.set(id.index, now, deadline);
    }

    /// Returns a session whose deadline may have passed. The caller removes it or watches it again.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<(SessionId, &mut NetcodeSession)> {
        let index = self.timers.pop(now)?;
        self.at_index(index)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.session.is_some())
            .map(|(index, slot)| SessionId {
                index,
                generation: slot.generation,
            })
    }

    pub(super) fn connected(&self) -> usize {
        self.by_address.len()
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> [usize; 2] {
        [
            self.by_address.len(),
            self.slots.capacity() + self.by_address.capacity() + self.by_client.capacity(),
        ]
    }
}
