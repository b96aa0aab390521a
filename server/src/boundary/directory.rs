//! Who serves what: session -> simulation, and entity -> (simulation, net worker and session).
//!
//! Owns two tables of atomics, allocated once, shared by every worker and every simulation. Guarantees
//! that each look-up is a bounded number of loads without a lock, that a reader sees a route whole, and
//! that a migration is one atomic exchange which only the current owner can win. Refuses to grow: at the
//! bound an entity is not entered, and the caller is told.
//!
//! Global ids are never reused, so a key that is unchanged after its value was read vouches for the value.

use std::sync::atomic::{AtomicU64, Ordering};

use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId};

use super::link::SessionKey;

/// Entries in one bucket: a cache line of keys.
const BUCKET_ENTRIES: usize = 8;
/// Buckets in which a key may be; with four times the room needed, both are never full in practice.
const CHOICES: usize = 2;
/// No key, or a route that leads nowhere. Global id `u64::MAX` is refused.
const EMPTY: u64 = u64::MAX;
/// An entry being written.
const RESERVED: u64 = u64::MAX - 1;

/// The directory is full, or the id is one of the two that it uses itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entity directory has no room")]
pub struct DirectoryFull;

/// Where an entity is simulated, and who owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityRoute {
    /// The simulation that owns the entity.
    pub simulation: SimulationId,
    /// The worker of the session that owns it.
    pub worker: u8,
    /// That session's index on the worker.
    pub session_index: u32,
}

/// The routing tables of one process.
pub struct Directory {
    /// Per worker, per session index: generation in the high half, simulation in the low byte.
    sessions: Vec<Box<[AtomicU64]>>,
    keys: Box<[AtomicU64]>,
    routes: Box<[AtomicU64]>,
    bucket_mask: u64,
}

impl Directory {
    /// Tables for `workers` of up to `sessions_max` sessions each, and `entities_max` entities in all.
    #[must_use]
    pub fn new(workers: usize, sessions_max: usize, entities_max: usize) -> Self {
        let cells = |count: usize| (0..count).map(|_| AtomicU64::new(EMPTY)).collect::<Box<[_]>>();
        let buckets = (entities_max * 4 / BUCKET_ENTRIES)
            .next_power_of_two()
            .max(CHOICES);
        Self {
            sessions: (0..workers).map(|_| cells(sessions_max)).collect(),
            keys: cells(buckets * BUCKET_ENTRIES),
            routes: cells(buckets * BUCKET_ENTRIES),
            bucket_mask: buckets as u64 - 1,
        }
    }

    /// Routes a session to a simulation, replacing whatever held its index before.
    pub fn place_session(&self, key: SessionKey, simulation: SimulationId) {
        if let Some(cell) = self.session_cell(key) {
            cell.store(session_route(key.session, simulation), Ordering::Release);
        }
    }

    /// The simulation that serves a session; `None` when the session is not (or no longer) placed.
    #[must_use]
    pub fn simulation_of(&self, key: SessionKey) -> Option<SimulationId> {
        let route = self.session_cell(key)?.load(Ordering::Acquire);
        (route != EMPTY && (route >> 32) as u32 == key.session.generation)
            .then_some(SimulationId(route as u8))
    }

    /// Moves a session from one simulation to another. `false` when `from` does not own it (any more).
    pub fn move_session(&self, key: SessionKey, from: SimulationId, to: SimulationId) -> bool {
        self.session_cell(key).is_some_and(|cell| {
            let (old, new) = (session_route(key.session, from), session_route(key.session, to));
            cell.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Forgets a session that ended. A newer session under the same index is left alone.
    pub fn remove_session(&self, key: SessionKey) {
        let (Some(cell), Some(simulation)) = (self.session_cell(key), self.simulation_of(key)) else {
            return;
        };
        let route = session_route(key.session, simulation);
        // Losing the exchange means that the index was given to a newer session meanwhile.
        let _ = cell.compare_exchange(route, EMPTY, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Enters an entity. An id that is entered is removed before it is entered again; only the simulation
    /// that owns the entity does either.
    ///
    /// # Errors
    /// [`DirectoryFull`] when both of its buckets are full.
    pub fn place_entity(&self, id: GlobalId, route: EntityRoute) -> Result<(), DirectoryFull> {
        if id.0 >= RESERVED {
            return Err(DirectoryFull);
        }
        for entry in self.entries(id) {
            let claimed =
                self.keys[entry].compare_exchange(EMPTY, RESERVED, Ordering::AcqRel, Ordering::Relaxed);
            if claimed.is_ok() {
                self.routes[entry].store(route.pack(), Ordering::Release);
                self.keys[entry].store(id.0, Ordering::Release);
                return Ok(());
            }
        }
        Err(DirectoryFull)
    }

    /// Where an entity is; `None` when it was never entered or has been removed.
    #[must_use]
    pub fn entity(&self, id: GlobalId) -> Option<EntityRoute> {
        self.find(id).and_then(|(_, route)| EntityRoute::unpack(route))
    }

    /// Moves an entity from one simulation to another, keeping its session. `false` when `from` does not
    /// own it (any more): of two movers, one wins.
    pub fn move_entity(&self, id: GlobalId, from: SimulationId, to: SimulationId) -> bool {
        let Some((entry, packed)) = self.find(id) else {
            return false;
        };
        let Some(route) = EntityRoute::unpack(packed).filter(|route| route.simulation == from) else {
            return false;
        };
        let moved = EntityRoute {
            simulation: to,
            ..route
        }
        .pack();
        self.routes[entry]
            .compare_exchange(packed, moved, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Removes an entity.
    pub fn remove_entity(&self, id: GlobalId) {
        if let Some((entry, _)) = self.find(id) {
            self.routes[entry].store(EMPTY, Ordering::Release);
            self.keys[entry].store(EMPTY, Ordering::Release);
        }
    }

    fn session_cell(&self, key: SessionKey) -> Option<&AtomicU64> {
        self.sessions
            .get(usize::from(key.worker))?
            .get(key.session.index as usize)
    }

    fn find(&self, id: GlobalId) -> Option<(usize, u64)> {
        self.entries(id).find_map(|entry| {
            if self.keys[entry].load(Ordering::Acquire) != id.0 {
                return None;
            }
            let route = self.routes[entry].load(Ordering::Acquire);
            // The entry may have been given to another entity between the two loads.
            (self.keys[entry].load(Ordering::Acquire) == id.0).then_some((entry, route))
        })
    }

    /// The entries in which `id` may be, in order.
    fn entries(&self, id: GlobalId) -> impl Iterator<Item = usize> {
        let mixed = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let buckets: [u64; CHOICES] = [
            (mixed >> 40) & self.bucket_mask,
            (mixed.rotate_left(29) ^ (mixed >> 7)) & self.bucket_mask,
        ];
        buckets.into_iter().flat_map(|bucket| {
            let first = bucket as usize * BUCKET_ENTRIES;
            first..first + BUCKET_ENTRIES
        })
    }
}

fn session_route(session: SessionId, simulation: SimulationId) -> u64 {
    u64::from(session.generation) << 32 | u64::from(simulation.0)
}

impl EntityRoute {
    fn pack(self) -> u64 {
        u64::from(self.session_index) << 16 | u64::from(self.worker) << 8 | u64::from(self.simulation.0)
    }

    fn unpack(packed: u64) -> Option<Self> {
        (packed != EMPTY).then_some(Self {
            simulation: SimulationId(packed as u8),
            worker: (packed >> 8) as u8,
            session_index: (packed >> 16) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn key(worker: u8, index: u32, generation: u32) -> SessionKey {
        SessionKey {
            worker,
            session: SessionId { index, generation },
        }
    }

    fn route(simulation: u8, session_index: u32) -> EntityRoute {
        EntityRoute {
            simulation: SimulationId(simulation),
            worker: 1,
            session_index,
        }
    }

    #[test]
    fn a_session_is_found_until_its_generation_is_over() {
        let directory = Directory::new(2, 8, 8);
        let (old, new) = (key(1, 3, 7), key(1, 3, 8));
        directory.place_session(old, SimulationId(0));
        assert_eq!(directory.simulation_of(old), Some(SimulationId(0)));
        directory.place_session(new, SimulationId(2));
        directory.remove_session(old);
        assert_eq!(
            (directory.simulation_of(old), directory.simulation_of(new)),
            (None, Some(SimulationId(2)))
        );
        assert!(directory.simulation_of(key(2, 0, 0)).is_none(), "no such worker");
    }

    #[test]
    fn a_session_moves_only_from_its_owner() {
        let directory = Directory::new(1, 8, 8);
        let key = key(0, 0, 1);
        directory.place_session(key, SimulationId(0));
        assert!(!directory.move_session(key, SimulationId(1), SimulationId(2)));
        assert!(directory.move_session(key, SimulationId(0), SimulationId(2)));
        assert_eq!(directory.simulation_of(key), Some(SimulationId(2)));
    }

    #[test]
    fn as_many_entities_as_promised_fit_and_are_found() {
        let directory = Directory::new(1, 1, 10_000);
        for base in [0u64, 1 << 40, 77 << 48] {
            (0..10_000).for_each(|id| {
                directory
                    .place_entity(GlobalId(base + id), route(0, id as u32))
                    .unwrap();
            });
            for id in 0..10_000 {
                assert_eq!(directory.entity(GlobalId(base + id)), Some(route(0, id as u32)));
            }
            (0..10_000).for_each(|id| directory.remove_entity(GlobalId(base + id)));
            assert_eq!(directory.entity(GlobalId(base)), None);
        }
    }

    #[test]
    fn a_full_directory_refuses() {
        let directory = Directory::new(1, 1, 1);
        let placed = (0..1_000)
            .filter(|&id| directory.place_entity(GlobalId(id), route(0, 0)).is_ok())
            .count();
        assert_eq!(placed, directory.keys.len());
        assert_eq!(
            directory.place_entity(GlobalId(u64::MAX), route(0, 0)),
            Err(DirectoryFull)
        );
    }

    #[test]
    fn of_many_movers_one_wins_and_readers_never_see_half_a_route() {
        let directory = Directory::new(1, 1, 16);
        let id = GlobalId(5);
        directory.place_entity(id, route(0, 42)).unwrap();
        let wins = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..10_000u32 {
                        let (from, to) = (
                            SimulationId((round % 4) as u8),
                            SimulationId(((round + 1) % 4) as u8),
                        );
                        if directory.move_entity(id, from, to) {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                        let seen = directory.entity(id).unwrap();
                        assert_eq!((seen.worker, seen.session_index), (1, 42));
                    }
                });
            }
        });
        let last = directory.entity(id).unwrap().simulation;
        assert_eq!(u32::from(last.0), wins.load(Ordering::Relaxed) % 4);
    }
}
