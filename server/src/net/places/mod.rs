//! The places of the server: one for each client that has a session or an unused connect token.
//!
//! A place is *unproven* while its client has only a token, or a session that has not sent a hello (nor a message of a
//! plain renet client). Guarantees, across all workers:
//! - a client has one live session, the newest. A client that reconnects (after a crash, or from another address) may be
//!   assigned to another worker than before, by the strategy or by the kernel with `--udp-shared`; netcode replaces the
//!   older session only on the same worker;
//! - there are at most `places_max` places, at most `address_max` of one address, and at most half of all are unproven;
//! - tokens that are never used keep no other address out. Where room is missing, the address with the most unused tokens
//!   loses the place of its oldest to an address that has none, or at least two fewer unproven ones. The token stays
//!   valid: it opens a session while there is room.
//!
//! The address of a place is the one to which HTTP issued its token. The machine's own clients, where they are trusted,
//! are exempt from `address_max`, and their sessions count as proven. Nothing here is used per packet: the lock is taken
//! when a token is issued, and when a session begins, proves itself and ends.

mod limits;
mod reservations;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use throng_shared::netcode::SessionId;

pub(crate) use self::limits::{PlaceError, PlaceLimits};
use self::table::PlaceTable;
use super::assign::AssignStrategy;
use crate::boundary::address_group::AddressGroup;
use crate::boundary::link::SessionKey;

/// Reservations that are released under one lock, so that a worker that waits for it waits a few microseconds.
const EXPIRIES_PER_LOCK: usize = 64;
/// The most time until a session's hello while many sessions have sent none. A client sends its hello as soon as it is
/// connected, and repeats it every tenth of a second.
const HELLO_TIMEOUT_CROWDED: Duration = Duration::from_secs(1);

/// The places of all clients, shared by the issuer of tokens and all workers.
#[derive(Debug)]
pub struct Places {
    table: Mutex<PlaceTable>,
    evicted: Vec<Evictions>,
    hello_timeout: Option<Duration>,
    /// Whether so many sessions have sent no hello that the others get less time for it.
    is_crowded: AtomicBool,
}

/// The sessions that one worker has to end.
#[derive(Debug, Default)]
struct Evictions {
    any: AtomicBool,
    sessions: Mutex<Vec<SessionId>>,
}

impl Places {
    /// Creates the places of a server whose tokens are not issued by it: without limits, and without a time for hellos.
    #[must_use]
    pub fn unlimited(workers: usize) -> Self {
        let limits = PlaceLimits {
            places_max: u32::MAX,
            worker_max: u32::MAX,
            address_max: u32::MAX,
            trusts_loopback: true,
            hello_timeout: None,
        };
        Self::new(workers, AssignStrategy::RoundRobin, limits)
    }

    /// Creates the places of a server with `workers` workers (1 to 256).
    #[must_use]
    pub(crate) fn new(workers: usize, strategy: AssignStrategy, limits: PlaceLimits) -> Self {
        Self {
            table: Mutex::new(PlaceTable::new(workers, strategy, limits)),
            evicted: (0..workers).map(|_| Evictions::default()).collect(),
            hello_timeout: limits.hello_timeout,
            is_crowded: AtomicBool::new(false),
        }
    }

    /// Reserves a place for a client at `address` until `expires_at`, when its token expires, and returns the worker for
    /// which to issue the token. A client that has a place keeps it. Both times are since the process's origin.
    ///
    /// # Errors
    /// [`PlaceError::Full`] or [`PlaceError::AddressFull`].
    pub(crate) fn reserve(
        &self,
        client_id: u64,
        address: AddressGroup,
        now: Duration,
        expires_at: Duration,
    ) -> Result<u8, PlaceError> {
        while self.change(|table| table.expire(now, EXPIRIES_PER_LOCK)) == EXPIRIES_PER_LOCK {}
        self.change(|table| table.reserve(client_id, address, expires_at))
    }

    /// Makes `key` the session of a client, unless the client has one with the same or a higher `number`. An older
    /// session on another worker is queued to be ended there; see [`Places::take_evicted`]. `address` is the one to which
    /// the session's token was issued.
    ///
    /// # Errors
    /// A [`PlaceError`], after which the caller must end `key` at once.
    pub(crate) fn claim(
        &self,
        client_id: u64,
        number: u64,
        address: AddressGroup,
        key: SessionKey,
        now: Duration,
    ) -> Result<(), PlaceError> {
        let older = self.change(|table| {
            table.expire(now, EXPIRIES_PER_LOCK);
            table.claim(client_id, number, address, key)
        })?;
        if let Some(older) = older.filter(|older| older.worker != key.worker)
            && let Some(evictions) = self.evicted.get(usize::from(older.worker))
        {
            lock(&evictions.sessions).push(older.session);
            evictions.any.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Records that the session of a client has proved itself, if it is still `key`.
    pub(crate) fn prove(&self, client_id: u64, key: SessionKey) {
        self.change(|table| table.prove(client_id, key));
    }

    /// Removes the session of a client if it is still `key`.
    pub(crate) fn release(&self, client_id: u64, key: SessionKey) {
        self.change(|table| table.release(client_id, key));
    }

    /// Returns the time after which a session without a hello ends now; `None` while none ends.
    pub(crate) fn hello_timeout(&self) -> Option<Duration> {
        let timeout = self.hello_timeout?;
        let is_crowded = self.is_crowded.load(Ordering::Relaxed);
        Some(if is_crowded {
            timeout.min(HELLO_TIMEOUT_CROWDED)
        } else {
            timeout
        })
    }

    /// Returns the sessions that `worker` has to end, each only once.
    pub(crate) fn take_evicted(&self, worker: u8) -> Vec<SessionId> {
        match self.evicted.get(usize::from(worker)) {
            Some(evictions) if evictions.any.swap(false, Ordering::AcqRel) => {
                std::mem::take(&mut *lock(&evictions.sessions))
            }
            _ => Vec::new(),
        }
    }

    fn change<R>(&self, act: impl FnOnce(&mut PlaceTable) -> R) -> R {
        let mut table = lock(&self.table);
        let result = act(&mut table);
        self.is_crowded.store(table.is_crowded(), Ordering::Relaxed);
        result
    }
}

/// Locks a mutex even when it is poisoned: no code under these locks can panic midway, so the state is always sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
