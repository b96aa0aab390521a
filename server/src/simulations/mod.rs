//! Several simulations in one process: each a world of its own that owns a part of the plane.
//!
//! Owns the [partition](Partition) of the plane, the [exchange](Exchange) between the worlds, and what crosses
//! a border: entities and players that [migrate](crate::persist::Group) with everything that is persisted of
//! them, [effects](TellEntity) on entities wherever they are, [ghosts](Ghost) of what is near the border, and
//! watchers, through which a player is shown what it sees of its neighbours' parts. Spatial queries and looks into
//! the past reach across a border as far as ghosts do.
//!
//! Guarantees: the worlds are in lockstep by tick number, and what is sent in tick t arrives before tick t + 1,
//! applied in the order of the simulations and in each one's order of sending, whatever the threads do. Every
//! entity is in exactly one frame of every tick: its old owner's of tick t, its new owner's of tick t + 1. A
//! session stays on its net worker and goes on being heard through the link by which it came; every input
//! and message reaches the world that has the player, in the tick in which it would have without the others.
//! Refuses to migrate what has no place: entities of the server alone stay where they are.
//!
//! Gameplay that is to run on several simulations changes entities of its own world only, persists what is to
//! travel, says how [large](MapShape) its world is and what [ghosts](GhostAppExt) show, sends
//! [effects](TellEntity) for the rest, and keeps no list of entities beside the ECS. What it keeps in resources is
//! each simulation's own. Past frames, `Added` and `Changed` do not travel.
//!
//! What an entity refers to in another world is found there when it is replicated or a ghost, and is
//! [`Entity::PLACEHOLDER`](bevy_ecs::entity::Entity::PLACEHOLDER) otherwise.

mod balance;
mod border;
mod cross;
mod effects;
mod exchange;
mod map_shape;
mod partition;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;

use crate::input::{Inbox, drain_links};
use crate::schedule::ServerSystems;
use crate::simulation::{Ghost, Players, RemoteFrames};
use map_shape::GhostKinds;

pub use balance::{CellMove, next_move};
pub use cross::send_batch;
pub use effects::{
    BroadcastReceived, EFFECTS_MAX, EffectAppExt, EffectReceived, EffectRefused, EffectReturned, Effects,
    TellEntity,
};
pub use exchange::{Exchange, GhostImage, PeerMessage, SimulationGone, TickBatch, WatcherImage};
pub use map_shape::{GhostAppExt, JoinPlaces, MapShape, owns_position};
pub use partition::{CELLS_HALF, Cell, Partition, SIMULATIONS_MAX, SimulationSet};
pub use state::{Simulations, SimulationsConfig, SimulationsCounters};

/// Makes an app one of several simulations. Its `SimulationPlugin` has the same source as the exchange.
pub struct SimulationsPlugin {
    exchange: Mutex<Option<Exchange>>,
    partition: Partition,
    config: SimulationsConfig,
}

impl SimulationsPlugin {
    /// The simulation at this end of the exchange. All have the same partition and configuration.
    #[must_use]
    pub fn new(exchange: Exchange, partition: Partition, config: SimulationsConfig) -> Self {
        Self {
            exchange: Mutex::new(Some(exchange)),
            partition,
            config,
        }
    }
}

impl Plugin for SimulationsPlugin {
    fn build(&self, app: &mut App) {
        let exchange = self
            .exchange
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(exchange) = exchange else { return };
        let me = exchange.me();
        if self.partition.simulations() > 1 && self.config.ghost_reach > 0.0 {
            app.init_resource::<RemoteFrames>();
        }
        app.world_mut().register_disabling_component::<Ghost>();
        app.insert_resource(Players::of_simulation(me.0, self.partition.simulations()))
            .insert_resource(Inbox::routed())
            .init_resource::<Effects>()
            .init_resource::<GhostKinds>()
            .insert_resource(Simulations {
                me,
                partition: self.partition.clone(),
                config: self.config,
                exchange: Mutex::new(exchange),
                sessions: BTreeMap::new(),
                is_sent: false,
                outgoing: Vec::new(),
                received: Vec::new(),
                last_batch: None,
                departing: Vec::new(),
                ghosts: BTreeMap::new(),
                watchers: BTreeMap::new(),
                counters: SimulationsCounters::default(),
                joined: 0,
                underway: Vec::new(),
            })
            .add_systems(
                FixedUpdate,
                (
                    cross::collect
                        .after(effects::loop_back)
                        .in_set(ServerSystems::Exchange),
                    cross::fill_inbox
                        .before(drain_links)
                        .in_set(ServerSystems::Receive),
                    cross::dispatch.in_set(ServerSystems::Dispatch),
                ),
            );
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
            // The same everywhere.
            cells_moved: self.cells_moved.max(other.cells_moved),
        }
    }
}
