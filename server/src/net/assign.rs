//! The choice of the worker that serves a new connection for its lifetime.
//!
//! Owns the strategies. The choice is made where a token is issued, never on a worker; [`Places`](super::places::Places)
//! calls it with the places that each worker has. Never moves a connection later.
//!
//! | strategy | chooses | suits |
//! |---|---|---|
//! | round-robin | the next worker | clients that cost the same and stay equally long (default) |
//! | client-hash | by a hash of the client's identity | a client that reconnects finds its worker's caches warm |
//! | least-loaded | the fewest sessions, counting tokens issued | long sessions that leave in skewed waves |

use std::sync::atomic::AtomicU32;

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

/// One worker's load: written by the worker, read by the statistics.
#[derive(Debug, Default)]
pub struct WorkerLoad {
    /// Number of sessions connected now.
    pub sessions: AtomicU32,
}

/// Chooses the worker of each new connection.
#[derive(Debug)]
pub(super) struct Assigner {
    strategy: AssignStrategy,
    next: usize,
}

impl Assigner {
    /// Creates an assigner that begins with the first worker.
    pub(super) fn new(strategy: AssignStrategy) -> Self {
        Self { strategy, next: 0 }
    }

    /// Chooses the worker for the client with the stable id `client_id` among workers with these loads, each below
    /// `load_max`. When round-robin or the client's hash selects a full worker, the next worker with room is chosen.
    /// Returns `None` when every worker is full.
    pub(super) fn choose(&mut self, client_id: u64, loads: &[u32], load_max: u32) -> Option<u8> {
        let workers = loads.len();
        let in_turn = |from: usize| (0..workers).map(move |step| (from + step) % workers);
        let first = match self.strategy {
            AssignStrategy::RoundRobin => self.next,
            AssignStrategy::ClientHash => Random::new(client_id).below(workers as u64) as usize,
            // The search starts at another worker each time, so that equally loaded workers fill evenly.
            AssignStrategy::LeastLoaded => in_turn(self.next).min_by_key(|&worker| loads[worker])?,
        };
        let chosen = in_turn(first).find(|&worker| loads[worker] < load_max)?;
        self.next = (chosen + 1) % workers;
        Some(chosen as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chooses workers for clients in turn and counts each as connected.
    fn connect(assigner: &mut Assigner, loads: &mut [u32], clients: std::ops::Range<u64>) -> Vec<u8> {
        let chosen = clients.map(|id| {
            let worker = assigner.choose(id, loads, 10_000).unwrap();
            loads[usize::from(worker)] += 1;
            worker
        });
        chosen.collect()
    }

    #[test]
    fn round_robin_assigns_workers_in_turn() {
        let mut assigner = Assigner::new(AssignStrategy::RoundRobin);
        assert_eq!(connect(&mut assigner, &mut [0; 3], 0..6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn client_hash_returns_a_reconnecting_client_to_its_worker_and_spreads_the_others() {
        let (mut assigner, mut loads) = (Assigner::new(AssignStrategy::ClientHash), [0; 4]);
        let first = connect(&mut assigner, &mut loads, 0..4_000);
        for (id, &worker) in first.iter().enumerate().rev() {
            assert_eq!(assigner.choose(id as u64, &loads, 10_000), Some(worker));
        }
        assert!(
            loads.iter().all(|&count| (900..1_100).contains(&count)),
            "{loads:?}"
        );
    }

    #[test]
    fn least_loaded_evens_out_after_skewed_disconnects() {
        let (mut assigner, mut loads) = (Assigner::new(AssignStrategy::LeastLoaded), [0; 4]);
        connect(&mut assigner, &mut loads, 0..2_000);
        loads[1] -= 400;
        loads[2] -= 150;
        connect(&mut assigner, &mut loads, 2_000..2_600);
        let mean = loads.iter().sum::<u32>() / 4;
        assert!(
            loads.iter().all(|&count| count.abs_diff(mean) * 10 <= mean),
            "{loads:?}"
        );
    }

    #[test]
    fn every_strategy_skips_a_full_worker() {
        for strategy in [
            AssignStrategy::RoundRobin,
            AssignStrategy::ClientHash,
            AssignStrategy::LeastLoaded,
        ] {
            let mut assigner = Assigner::new(strategy);
            for id in 0..5 {
                assert_eq!(assigner.choose(id, &[5, id as u32], 5), Some(1), "{strategy:?}");
            }
            assert_eq!(assigner.choose(5, &[5, 5], 5), None, "{strategy:?}");
        }
    }
}
