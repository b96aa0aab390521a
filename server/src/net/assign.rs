//! The acceptor: chooses the worker that serves a new connection for its lifetime.
//!
//! Owns the strategies and the reservations: tokens that were issued and not yet redeemed. It runs where the token
//! is issued (and where a WebSocket is accepted), on any thread, never on a worker. Guarantees that sessions and
//! reservations of a worker together never exceed its bound. Never moves a connection later.
//!
//! | strategy | chooses | suits |
//! |---|---|---|
//! | round-robin | the next worker | clients that cost the same and stay equally long (default) |
//! | client-hash | by a hash of the client's identity | a client that reconnects finds its worker's caches warm |
//! | least-loaded | the fewest sessions, counting tokens issued | long sessions that leave in skewed waves |

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng_shared::random::Random;

/// How the acceptor chooses a worker. The module's documentation compares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum AssignStrategy {
    /// The next worker in turn.
    #[default]
    RoundRobin,
    /// The same worker for the same client identity.
    ClientHash,
    /// The worker with the fewest sessions and unredeemed tokens.
    LeastLoaded,
}

/// One worker's load: written by the worker, read by the acceptor and the statistics.
#[derive(Debug, Default)]
pub struct WorkerLoad {
    /// Number of sessions connected now.
    pub sessions: AtomicU32,
    /// Sessions connected since the start. The acceptor releases one reservation for each.
    pub connected: AtomicU64,
}

/// Error: no worker has room for another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every net worker is full")]
pub(crate) struct ServerFull;

/// The unredeemed tokens of one worker.
struct Reservations {
    /// Expiry of each token, since the process's origin, the oldest first: all tokens are valid equally long.
    expiries: VecDeque<Duration>,
    /// Value of [`WorkerLoad::connected`] at the last read.
    connected_seen: u64,
}

/// Chooses the worker of each new connection. Shared by reference between threads.
pub(crate) struct Assigner {
    strategy: AssignStrategy,
    sessions_max: u32,
    loads: Arc<[WorkerLoad]>,
    state: Mutex<AssignState>,
}

struct AssignState {
    next: usize,
    reservations: Vec<Reservations>,
}

impl Assigner {
    /// Creates an acceptor for one worker per element of `loads` (1 to 256), each with up to `sessions_max` sessions.
    #[must_use]
    pub(crate) fn new(strategy: AssignStrategy, loads: Arc<[WorkerLoad]>, sessions_max: u32) -> Self {
        let reservations = loads
            .iter()
            .map(|load| Reservations {
                expiries: VecDeque::new(),
                connected_seen: load.connected.load(Relaxed),
            })
            .collect();
        Self {
            strategy,
            sessions_max,
            loads,
            state: Mutex::new(AssignState {
                next: 0,
                reservations,
            }),
        }
    }

    /// Chooses the worker for the client with the stable id `client_id` and reserves a session there until
    /// `token_expires_at`. Both times are since the process's origin.
    ///
    /// # Errors
    /// [`ServerFull`] when every worker is at its bound. When round-robin or the client's hash selects a full worker,
    /// the next worker with room is chosen.
    pub(crate) fn assign(
        &self,
        client_id: u64,
        now: Duration,
        token_expires_at: Duration,
    ) -> Result<u8, ServerFull> {
        // No code under this lock can panic midway, so the state is sound even when the lock is poisoned.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = self.loads.len();
        let loads: Vec<u32> = state
            .reservations
            .iter_mut()
            .zip(self.loads.iter())
            .map(|(reservations, load)| reservations.update(load, now))
            .collect();
        let first = match self.strategy {
            AssignStrategy::RoundRobin => state.next,
            AssignStrategy::ClientHash => Random::new(client_id).below(workers as u64) as usize,
            // The search starts at another worker each time, so that equally loaded workers fill evenly.
            AssignStrategy::LeastLoaded => (0..workers)
                .map(|step| (state.next + step) % workers)
                .min_by_key(|&worker| loads[worker])
                .unwrap_or_default(),
        };
        let chosen = (0..workers)
            .map(|step| (first + step) % workers)
            .find(|&worker| loads[worker] < self.sessions_max)
            .ok_or(ServerFull)?;
        state.next = (chosen + 1) % workers;
        state.reservations[chosen].expiries.push_back(token_expires_at);
        Ok(chosen as u8)
    }
}

impl Reservations {
    /// Removes the reservations that were redeemed or have expired. Returns the number of sessions and reservations.
    fn update(&mut self, load: &WorkerLoad, now: Duration) -> u32 {
        let connected = load.connected.load(Relaxed);
        // The count does not depend on which token was redeemed, so the oldest is removed.
        for _ in self.connected_seen..connected {
            if self.expiries.pop_front().is_none() {
                break;
            }
        }
        self.connected_seen = connected;
        while self.expiries.front().is_some_and(|&expiry| expiry <= now) {
            self.expiries.pop_front();
        }
        load.sessions
            .load(Relaxed)
            .saturating_add(self.expiries.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const EXPIRY: Duration = Duration::from_secs(130);

    fn loads(workers: usize) -> Arc<[WorkerLoad]> {
        (0..workers).map(|_| WorkerLoad::default()).collect()
    }

    fn connect(load: &WorkerLoad) {
        load.sessions.fetch_add(1, Relaxed);
        load.connected.fetch_add(1, Relaxed);
    }

    fn sessions(loads: &[WorkerLoad]) -> Vec<u32> {
        loads.iter().map(|load| load.sessions.load(Relaxed)).collect()
    }

    #[test]
    fn round_robin_assigns_workers_in_turn() {
        let assigner = Assigner::new(AssignStrategy::RoundRobin, loads(3), 10);
        let chosen: Vec<u8> = (0..6)
            .map(|id| assigner.assign(id, NOW, EXPIRY).unwrap())
            .collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn client_hash_returns_a_reconnecting_client_to_its_worker_and_spreads_the_others() {
        let loads = loads(4);
        let assigner = Assigner::new(AssignStrategy::ClientHash, Arc::clone(&loads), 10_000);
        let first: Vec<u8> = (0..4_000)
            .map(|id| assigner.assign(id, NOW, EXPIRY).unwrap())
            .collect();
        first
            .iter()
            .for_each(|&worker| connect(&loads[usize::from(worker)]));
        for (id, &worker) in first.iter().enumerate().rev() {
            assert_eq!(assigner.assign(id as u64, NOW, EXPIRY), Ok(worker));
        }
        assert!(
            sessions(&loads)
                .iter()
                .all(|&count| (900..1_100).contains(&count)),
            "{:?}",
            sessions(&loads)
        );
    }

    #[test]
    fn least_loaded_evens_out_after_skewed_disconnects() {
        let loads = loads(4);
        let assigner = Assigner::new(AssignStrategy::LeastLoaded, Arc::clone(&loads), 10_000);
        for id in 0..2_000 {
            connect(&loads[usize::from(assigner.assign(id, NOW, EXPIRY).unwrap())]);
        }
        loads[1].sessions.fetch_sub(400, Relaxed);
        loads[2].sessions.fetch_sub(150, Relaxed);
        for id in 2_000..2_600 {
            connect(&loads[usize::from(assigner.assign(id, NOW, EXPIRY).unwrap())]);
        }
        let counts = sessions(&loads);
        let mean = counts.iter().sum::<u32>() / 4;
        assert!(
            counts.iter().all(|&count| count.abs_diff(mean) * 10 <= mean),
            "{counts:?}"
        );
    }

    #[test]
    fn tokens_not_yet_redeemed_count_as_load() {
        let assigner = Assigner::new(AssignStrategy::LeastLoaded, loads(4), 10_000);
        let mut issued = [0; 4];
        for id in 0..400 {
            issued[usize::from(assigner.assign(id, NOW, EXPIRY).unwrap())] += 1;
        }
        assert_eq!(issued, [100; 4]);
    }

    #[test]
    fn tokens_that_expire_unredeemed_release_their_reservation() {
        let assigner = Assigner::new(AssignStrategy::RoundRobin, loads(2), 3);
        (0..6).for_each(|id| assert!(assigner.assign(id, NOW, EXPIRY).is_ok()));
        assert_eq!(assigner.assign(6, NOW, EXPIRY), Err(ServerFull));
        assert!(
            assigner
                .assign(6, EXPIRY, EXPIRY + Duration::from_secs(30))
                .is_ok()
        );
    }

    #[test]
    fn every_strategy_skips_a_full_worker() {
        for strategy in [
            AssignStrategy::RoundRobin,
            AssignStrategy::ClientHash,
            AssignStrategy::LeastLoaded,
        ] {
            let loads = loads(2);
            loads[0].sessions.store(5, Relaxed);
            let assigner = Assigner::new(strategy, loads, 5);
            for id in 0..5 {
                assert_eq!(assigner.assign(id, NOW, EXPIRY), Ok(1), "{strategy:?}");
            }
            assert_eq!(assigner.assign(5, NOW, EXPIRY), Err(ServerFull), "{strategy:?}");
        }
    }

    #[test]
    fn concurrent_assignments_never_exceed_the_session_bounds() {
        let assigner = Assigner::new(AssignStrategy::LeastLoaded, loads(3), 100);
        let granted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (assigner, granted) = (&assigner, &granted);
                scope.spawn(move || {
                    for id in 0..200 {
                        if assigner.assign(thread * 1_000 + id, NOW, EXPIRY).is_ok() {
                            granted.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(granted.load(Relaxed), 300);
    }
}
