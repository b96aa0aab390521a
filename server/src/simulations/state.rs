//! One simulation's part in the whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::tick::Tick;

use super::exchange::{Exchange, PeerMessage, TickBatch};
use super::partition::Partition;
use crate::boundary::link::SessionKey;
use crate::space::RoomId;

/// How worlds share the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationsConfig {
    /// How far an entity goes beyond the border before it changes hands, in units.
    pub margin: f32,
    /// How far from a border entities are shown to the neighbour as ghosts, in units.
    pub ghost_reach: f32,
    /// Ticks between two looks at how even the load is; 0 never moves a cell.
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

/// One simulation's part in the whole.
#[derive(Resource, Debug)]
pub struct Simulations {
    pub(super) me: SimulationId,
    pub(super) partition: Partition,
    pub(super) config: SimulationsConfig,
    /// Behind a lock because resources are shared; exclusive access takes none.
    pub(super) exchange: Mutex<Exchange>,
    /// Where every session of the process is played.
    pub(super) sessions: BTreeMap<SessionKey, SimulationId>,
    pub(super) is_sent: bool,
    pub(super) outgoing: Vec<PeerMessage>,
    /// The posts of this tick, until the inbox is filled from them.
    pub(super) received: Vec<Arc<TickBatch>>,
    /// Its own post before this tick: what became of it is known before the next.
    pub(super) last_batch: Option<Arc<TickBatch>>,
    /// Entities that belong to others as soon as the next tick begins.
    pub(super) departing: Vec<Entity>,
    pub(super) ghosts: BTreeMap<GlobalId, KnownGhost>,
    /// With the tick in which its simulation last named each.
    pub(super) watchers: BTreeMap<SessionKey, (Entity, Tick)>,
    pub(super) counters: SimulationsCounters,
    /// Sessions that joined the process, wherever.
    pub(super) joined: u64,
    /// How long those were between two worlds who came before this tick.
    pub(super) underway: Vec<Duration>,
}

/// A ghost of this simulation.
#[derive(Debug)]
pub(super) struct KnownGhost {
    pub(super) entity: Entity,
    /// The tick in which its simulation last showed it.
    pub(super) last_seen: Tick,
    pub(super) room: RoomId,
    pub(super) values: Vec<(u8, Vec<u8>)>,
}

/// What crossed this simulation's borders since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulationsCounters {
    /// Replicated entities that left.
    pub emigrated: u64,
    /// Replicated entities that came.
    pub immigrated: u64,
    /// Players that came with them.
    pub players_came: u64,
    /// Effects that were applied here.
    pub effects_applied: u64,
    /// Entities that could not be packed or unpacked, which is logged.
    pub failed: u64,
    /// Cells that changed hands in the whole process.
    pub cells_moved: u64,
}

impl Simulations {
    /// This simulation.
    #[must_use]
    pub fn me(&self) -> SimulationId {
        self.me
    }

    /// Who owns what, the same in all simulations.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Copies of other simulations' entities that stand here.
    #[must_use]
    pub fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    /// Players of other simulations who see places of this one.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// How long those were between two worlds who came before this tick.
    #[must_use]
    pub fn underway(&self) -> &[Duration] {
        &self.underway
    }

    /// What crossed this simulation's borders.
    #[must_use]
    pub fn counters(&self) -> SimulationsCounters {
        self.counters
    }
}
