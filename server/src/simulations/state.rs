//! The state of one simulation among several: its partition, ghosts, watchers, sessions and counters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::tick::Tick;

use super::exchange::{Exchange, PeerMessage, TickBatch};
use super::partition::Partition;
use crate::boundary::link::SessionKey;
use crate::runner::TickTime;
use crate::simulation::{ClientRefused, PlayerLeft};
use crate::space::RoomId;

/// How simulations share the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationsConfig {
    /// The distance beyond the border up to which an entity keeps its owner, in units.
    pub margin: f32,
    /// The distance from the border up to which entities are sent to the other simulation as ghosts, in
    /// units.
    pub ghost_reach: f32,
    /// Ticks between two reports of loads, by which cells are balanced; 0 never moves a cell.
    pub balance_ticks: u32,
}

impl Default for SimulationsConfig {
    fn default() -> Self {
        Self {
            margin: 1.0,
            ghost_reach: 10.0,
            balance_ticks: 64,
        }
    }
}

/// The state of one simulation among several.
#[derive(Resource, Debug)]
pub struct Simulations {
    pub(super) me: SimulationId,
    pub(super) partition: Partition,
    pub(super) config: SimulationsConfig,
    /// In a mutex because resources have to be `Sync`; exclusive access does not lock it.
    pub(super) exchange: Mutex<Exchange>,
    /// The simulation that has the player, for every session of the process.
    pub(super) sessions: BTreeMap<SessionKey, SimulationId>,
    /// The simulation that has the client's player, for every player of the process, away or not. The same in all
    /// simulations.
    pub(super) clients: BTreeMap<u64, SimulationId>,
    /// The players of this simulation that left since the others were told.
    pub(super) left: MessageCursor<PlayerLeft>,
    /// The clients that this simulation refused since the others were told.
    pub(super) refused: MessageCursor<ClientRefused>,
    pub(super) is_sent: bool,
    pub(super) outgoing: Vec<PeerMessage>,
    /// The batches of this tick, until the inbox is filled from them.
    pub(super) received: Vec<Arc<TickBatch>>,
    /// The simulation's own batch of the last tick. Which of the batch's effects were applied is known before the next
    /// tick.
    pub(super) last_batch: Option<Arc<TickBatch>>,
    /// Entities that migrated and are despawned when the next tick begins.
    pub(super) departing: Vec<Entity>,
    pub(super) ghosts: BTreeMap<GlobalId, KnownGhost>,
    /// By session: the watcher's entity, and the last tick in which its simulation sent it.
    pub(super) watchers: BTreeMap<SessionKey, (Entity, Tick)>,
    pub(super) counters: SimulationsCounters,
    /// Number of clients that joined the process, on workers of any simulation.
    pub(super) joined: u64,
    /// The times that the entities which arrived before this tick spent between two simulations.
    pub(super) underway: Vec<Duration>,
}

/// A ghost that this simulation has.
#[derive(Debug)]
pub(super) struct KnownGhost {
    pub(super) entity: Entity,
    /// The last tick in which its simulation sent it.
    pub(super) last_seen: Tick,
    pub(super) room: RoomId,
    pub(super) values: Vec<(u8, Vec<u8>)>,
}

/// Counts of what crossed this simulation's borders since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulationsCounters {
    /// Replicated entities that migrated to other simulations.
    pub emigrated: u64,
    /// Replicated entities that migrated to this simulation.
    pub immigrated: u64,
    /// Players that migrated to this simulation with their avatars.
    pub players_came: u64,
    /// Effects that this simulation applied.
    pub effects_applied: u64,
    /// Entities that could not be packed or unpacked; each is logged.
    pub failed: u64,
    /// Cells that changed their owner, in the whole process.
    pub cells_moved: u64,
}

impl Simulations {
    /// Returns this simulation's end of the exchange. Exclusive access takes no lock.
    pub(super) fn exchange(&mut self) -> &mut Exchange {
        self.exchange.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the id of this simulation.
    #[must_use]
    pub fn me(&self) -> SimulationId {
        self.me
    }

    /// Returns the partition, which is the same in all simulations.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Returns the number of ghosts that this simulation has.
    #[must_use]
    pub fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    /// Returns the number of players of other simulations that see a part of this one.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Returns the times that the groups of entities which arrived before this tick spent between two
    /// simulations.
    #[must_use]
    pub fn underway(&self) -> &[Duration] {
        &self.underway
    }

    /// Returns the counts of what crossed this simulation's borders.
    #[must_use]
    pub fn counters(&self) -> SimulationsCounters {
        self.counters
    }

    /// Returns whether the simulations report their loads after this tick.
    pub(super) fn reports_loads(&self, world: &World) -> bool {
        let every = self.config.balance_ticks;
        every > 0 && world.resource::<TickTime>().is_due(every, 0)
    }
}

impl SimulationsCounters {
    /// Adds another simulation's, for a sum over the process.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            emigrated: self.emigrated + other.emigrated,
            immigrated: self.immigrated + other.immigrated,
            players_came: self.players_came + other.players_came,
            effects_applied: self.effects_applied + other.effects_applied,
            failed: self.failed + other.failed,
            // Not added: every simulation counts the moves of the whole process.
            cells_moved: self.cells_moved.max(other.cells_moved),
        }
    }
}
