//! Whom a batch of datagrams is from, so that what each needs is fetched from memory while others are taken in.
//!
//! A session's state lies behind a look-up by address, its slot, its box and its known set: four waits for
//! memory, one after the other. For a whole batch the look-ups overlap, and the rest is named some datagrams
//! ahead. Only hints: a place that is out of step, or a session that has ended, changes no result.

use std::net::SocketAddr;

use throng_shared::netcode::ServerNetcode;
use throng_shared::prefetch::prefetch;

use super::table::WorkerSessionTable;
use crate::net::transmit::BATCH_DATAGRAMS;

/// Datagrams by which a session's slot and box are fetched ahead.
const FAR: usize = 6;
/// Datagrams by which what these lead to is fetched ahead.
const NEAR: usize = 3;
/// No session: a stranger, or a datagram that is part of a handshake.
const NOBODY: u32 = u32::MAX;

/// The sessions of the datagrams to come.
#[derive(Debug)]
pub(super) struct Expected {
    indices: Vec<u32>,
    /// Of the next datagram.
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
    /// Looks up whom the next datagrams are from.
    pub(super) fn fill(
        &mut self,
        from: impl Iterator<Item = SocketAddr>,
        netcode: &ServerNetcode,
        sessions: &WorkerSessionTable,
    ) {
        self.indices.clear();
        self.next = 0;
        let indices = from.map(|from| netcode.index_of(from).unwrap_or(NOBODY));
        self.indices.extend(indices.take(BATCH_DATAGRAMS));
        self.indices
            .iter()
            .take(FAR)
            .for_each(|&index| far(index, netcode, sessions));
        self.indices
            .iter()
            .take(NEAR)
            .for_each(|&index| near(index, sessions));
    }

    /// The next datagram is about to be taken in.
    #[inline]
    pub(super) fn advance(&mut self, netcode: &ServerNetcode, sessions: &WorkerSessionTable) {
        let at = self.next;
        self.next += 1;
        if let Some(&index) = self.indices.get(at + FAR) {
            far(index, netcode, sessions);
        }
        if let Some(&index) = self.indices.get(at + NEAR) {
            near(index, sessions);
        }
    }
}

#[inline]
fn far(index: u32, netcode: &ServerNetcode, sessions: &WorkerSessionTable) {
    netcode.prefetch_receive(index);
    if let Some(session) = sessions.at(index as usize) {
        prefetch(session);
    }
}

#[inline]
fn near(index: u32, sessions: &WorkerSessionTable) {
    if let Some(replication) = sessions
        .at(index as usize)
        .and_then(|session| session.replication.as_ref())
    {
        replication.prefetch_ack();
    }
}
