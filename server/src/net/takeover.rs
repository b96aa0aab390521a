//! The newest session of each client, across all workers.
//!
//! A client that reconnects (after a crash, or from another address) may be assigned to another worker than before:
//! by the acceptor's strategy, or by the kernel with `--udp-shared`. Netcode lets a newer session replace an older
//! one only on the same worker; this registry does so across workers.
//!
//! Guarantees one live session per client id, the newest. Used only when sessions begin and end, never
//! per packet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use throng_shared::netcode::SessionId;

use crate::boundary::link::SessionKey;

/// Error: the client already has a session with the same or a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has a session that is as new or newer")]
pub struct Outdated;

/// The newest session of each client, shared by all workers.
#[derive(Debug)]
pub struct Takeovers {
    newest: Mutex<HashMap<u64, (u64, SessionKey)>>,
    evicted: Vec<Evictions>,
}

/// The sessions that one worker has to end.
#[derive(Debug, Default)]
struct Evictions {
    any: AtomicBool,
    sessions: Mutex<Vec<SessionId>>,
}

impl Takeovers {
    /// Creates the registry for `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            newest: Mutex::default(),
            evicted: (0..workers).map(|_| Evictions::default()).collect(),
        }
    }

    /// Makes `key` the session of `client_id`, unless the client has one with the same or a higher `number`. An older
    /// session on another worker is queued to be ended there; see [`Takeovers::take_evicted`].
    ///
    /// # Errors
    /// [`Outdated`] when the client has such a session; the caller must end `key` at once.
    pub fn claim(&self, client_id: u64, number: u64, key: SessionKey) -> Result<(), Outdated> {
        let mut newest = lock(&self.newest);
        let older = newest.get(&client_id).copied();
        if older.is_some_and(|(other, _)| other >= number) {
            return Err(Outdated);
        }
        newest.insert(client_id, (number, key));
        drop(newest);
        if let Some((_, older)) = older.filter(|(_, older)| older.worker != key.worker)
            && let Some(evictions) = self.evicted.get(usize::from(older.worker))
        {
            lock(&evictions.sessions).push(older.session);
            evictions.any.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Removes the session of `client_id` if it is still `key`.
    pub fn release(&self, client_id: u64, key: SessionKey) {
        let mut newest = lock(&self.newest);
        if newest.get(&client_id).is_some_and(|&(_, current)| current == key) {
            newest.remove(&client_id);
        }
    }

    /// Returns the sessions that `worker` has to end, each only once.
    pub fn take_evicted(&self, worker: u8) -> Vec<SessionId> {
        match self.evicted.get(usize::from(worker)) {
            Some(evictions) if evictions.any.swap(false, Ordering::AcqRel) => {
                std::mem::take(&mut *lock(&evictions.sessions))
            }
            _ => Vec::new(),
        }
    }
}

/// Locks a mutex even when it is poisoned: no code under these locks can panic midway, so the state is always sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(worker: u8, index: u32) -> SessionKey {
        SessionKey {
            worker,
            session: SessionId { index, generation: 0 },
        }
    }

    #[test]
    fn a_newer_session_ends_the_older_one_on_its_worker_once() {
        let takeovers = Takeovers::new(2);
        takeovers.claim(7, 1, key(0, 4)).unwrap();
        takeovers.claim(7, 2, key(1, 9)).unwrap();
        assert_eq!(takeovers.take_evicted(0), [key(0, 4).session]);
        assert!(takeovers.take_evicted(0).is_empty() && takeovers.take_evicted(1).is_empty());
    }

    #[test]
    fn the_same_or_an_older_token_does_not_take_over() {
        let takeovers = Takeovers::new(2);
        takeovers.claim(7, 5, key(0, 4)).unwrap();
        assert_eq!(takeovers.claim(7, 5, key(1, 1)), Err(Outdated));
        assert_eq!(takeovers.claim(7, 4, key(1, 1)), Err(Outdated));
        assert!(takeovers.take_evicted(0).is_empty());
    }

    #[test]
    fn only_the_current_session_releases_its_client() {
        let takeovers = Takeovers::new(2);
        takeovers.claim(7, 1, key(0, 4)).unwrap();
        takeovers.claim(7, 2, key(1, 9)).unwrap();
        takeovers.release(7, key(0, 4));
        assert_eq!(takeovers.claim(7, 2, key(0, 5)), Err(Outdated));
        takeovers.release(7, key(1, 9));
        takeovers.claim(7, 1, key(0, 5)).unwrap();
    }

    #[test]
    fn a_takeover_on_the_same_worker_is_left_to_netcode() {
        let takeovers = Takeovers::new(1);
        takeovers.claim(7, 1, key(0, 4)).unwrap();
        takeovers.claim(7, 2, key(0, 5)).unwrap();
        assert!(takeovers.take_evicted(0).is_empty());
    }
}
