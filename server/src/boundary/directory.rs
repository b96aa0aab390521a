//! The routing tables: session -> simulation, and entity -> (simulation, net worker and session).
//!
//! Owns two tables of atomics, allocated once and shared by every worker and every simulation. Guarantees
//! that each look-up is a bounded number of loads without a lock, that a reader never sees a part of a route, and
//! that a migration is one atomic exchange which only the current owner can win. The tables never grow: at the
//! bound an entity is not entered, and the caller gets an error.
//!
//! Global ids are never reused. A key that is the same before and after its value was read therefore proves that
//! the value belongs to that key.

use std::sync::atomic::{AtomicU64, Ordering};

use throng_shared::hash::GOLDEN;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId};

use super::link::SessionKey;

/// Entries in one bucket: their keys fill one cache line of 64 bytes.
const BUCKET_ENTRIES: usize = 8;
/// Number of buckets in which a key may be. The table has four times the room needed, so in practice both are never
/// full.
const CHOICES: usize = 2;
/// Value of a cell without a key or route. Global id `u64::MAX` is therefore refused.
const EMPTY: u64 = u64::MAX;
/// Key of an entry that is being written. This global id is refused, too.
const RESERVED: u64 = u64::MAX - 1;

/// Error: the directory is full, or the id is one of the two reserved values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entity directory has no room")]
pub struct DirectoryFull;

/// The simulation that runs an entity and the session that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityRoute {
    /// The simulation that owns the entity.
    pub simulation: SimulationId,
    /// Index of the net worker that serves the owning session.
    pub worker: u8,
    /// Index of the owning session on that worker.
    pub session_index: u32,
}

/// The routing tables of one process.
pub struct Directory {
    /// By worker and session index: the session's generation in the high 32 bits, the simulation in the low byte.
    sessions: Vec<Box<[AtomicU64]>>,
    keys: Box<[AtomicU64]>,
    routes: Box<[AtomicU64]>,
    bucket_mask: u64,
}

impl Directory {
    /// Creates tables for `workers` workers with up to `sessions_max` sessions each, and for up to `entities_max`
    /// entities in total.
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

    /// Routes a session to a simulation and replaces the earlier route of its index.
    pub fn place_session(&self, key: SessionKey, simulation: SimulationId) {
        if let Some(cell) = self.session_cell(key) {
            cell.store(session_route(key.session, simulation), Ordering::Release);
        }
    }

    /// Returns the simulation that serves a session, or `None` when the session has no route (any more).
    #[must_use]
    pub fn simulation_of(&self, key: SessionKey) -> Option<SimulationId> {
        let route = self.session_cell(key)?.load(Ordering::Acquire);
        (route != EMPTY && (route >> 32) as u32 == key.session.generation)
            .then_some(SimulationId(route as u8))
    }

    /// Moves a session from one simulation to another. Returns `false` when `from` does not serve it (any more).
    pub fn move_session(&self, key: SessionKey, from: SimulationId, to: SimulationId) -> bool {
        self.session_cell(key).is_some_and(|cell| {
            let (old, new) = (session_route(key.session, from), session_route(key.session, to));
            cell.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Removes the route of a session that ended. The route of a newer session with the same index is kept.
    pub fn remove_session(&self, key: SessionKey) {
        let (Some(cell), Some(simulation)) = (self.session_cell(key), self.simulation_of(key)) else {
            return;
        };
        let route = session_route(key.session, simulation);
        // The exchange fails when a newer session has taken the index in the meantime.
        let _ = cell.compare_exchange(route, EMPTY, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Enters the route of an entity. The caller removes an id before it enters it again. Only the simulation that
    /// owns the entity enters and removes it.
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

    /// Returns the route of an entity, or `None` when it was never entered or has been removed.
    #[must_use]
    pub fn entity(&self, id: GlobalId) -> Option<EntityRoute> {
        self.find(id).and_then(|(_, route)| EntityRoute::unpack(route))
    }

    /// Moves an entity from one simulation to another and keeps its session. Returns `false` when `from` does not
    /// own it (any more): of two concurrent moves, one succeeds.
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

    /// Removes the route of an entity; does nothing when there is none.
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
            // Another entity may have taken the entry between the two loads. Ids are not reused, so an unchanged
            // key means that it has not.
            (self.keys[entry].load(Ordering::Acquire) == id.0).then_some((entry, route))
        })
    }

    /// Returns the indices of the entries in which `id` may be, in the order in which they are tried.
    fn entries(&self, id: GlobalId) -> impl Iterator<Item = usize> {
        // Fibonacci hashing mixes the id into the high bits.
        // Two different selections of bits give two buckets that are nearly independent of each other.
        let mixed = id.0.wrapping_mul(GOLDEN);
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
    fn a_session_is_found_until_a_newer_generation_replaces_it() {
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
    fn entities_max_entities_fit_and_are_found() {
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
    fn one_of_many_concurrent_moves_wins_and_a_route_is_never_torn() {
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
