//! Prefetching of the sessions of a batch of datagrams, so that their memory is loaded while other datagrams are
//! processed.
//!
//! A session's state is reached through a look-up by address, its slot, its box and its known set: four memory
//! latencies, one after the other. For a whole batch the look-ups overlap, and the rest is prefetched some datagrams
//! ahead. All of this is only a hint: a list that is out of step, or a session that has ended, changes no result.

use std::net::SocketAddr;

use throng_shared::netcode::ServerNetcode;
use throng_shared::prefetch::prefetch;

use super::table::WorkerSessionTable;
use crate::net::transmit::BATCH_DATAGRAMS;

/// Number of datagrams by which a session's slot and box are prefetched ahead.
const FAR: usize = 6;
/// Number of datagrams by which the memory that the box points to is prefetched ahead.
const NEAR: usize = 3;
/// Index of a datagram without a session: from an unknown address, or a part of a handshake.
const NO_SESSION: u32 = u32::MAX;

/// The sessions of the next datagrams of a batch.
#[derive(Debug)]
pub(super) struct Expected {
    /// Session index by datagram, or [`NO_SESSION`].
    indices: Vec<u32>,
    /// Position in `indices` of the next datagram.
    next: usize,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            indices: Vec::with_capacity(BATCH_DATAGRAMS),
            next: 0,
        }
    }
}

impl Expected {
    /// Looks up the sessions of the next datagrams by their senders and prefetches the first of them.
    pub(super) fn fill(
        &mut self,
        from: impl Iterator<Item = SocketAddr>,
        netcode: &ServerNetcode,
        sessions: &WorkerSessionTable,
    ) {
        self.indices.clear();
        self.next = 0;
        let indices = from.map(|from| netcode.index_of(from).unwrap_or(NO_SESSION));
        self.indices.extend(indices.take(BATCH_DATAGRAMS));
        self.indices
            .iter()
            .take(FAR)
            .for_each(|&index| prefetch_far(index, netcode, sessions));
        self.indices
            .iter()
            .take(NEAR)
            .for_each(|&index| prefetch_near(index, sessions));
    }

    /// Prefetches the sessions of later datagrams into the cache. Called before each datagram is processed.
    #[inline]
    pub(super) fn advance(&mut self, netcode: &ServerNetcode, sessions: &WorkerSessionTable) {
        let current = self.next;
        self.next += 1;
        if let Some(&index) = self.indices.get(current + FAR) {
            prefetch_far(index, netcode, sessions);
        }
        if let Some(&index) = self.indices.get(current + NEAR) {
            prefetch_near(index, sessions);
        }
    }
}

/// Prefetches a session's slot in netcode, and the box that holds its `WorkerSession`.
#[inline]
fn prefetch_far(index: u32, netcode: &ServerNetcode, sessions: &WorkerSessionTable) {
    netcode.prefetch_receive(index);
    if let Some(session) = sessions.at(index as usize) {
        prefetch(session);
    }
}

/// Prefetches the acknowledgement state that a session's box points to.
#[inline]
fn prefetch_near(index: u32, sessions: &WorkerSessionTable) {
    if let Some(replication) = sessions
        .at(index as usize)
        .and_then(|session| session.replication.as_ref())
    {
        replication.prefetch_ack();
    }
}
