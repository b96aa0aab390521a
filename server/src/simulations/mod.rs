//! Several simulations in one process. Each is an app of its own and owns a part of the plane.
//!
//! Owns the [partition](Partition) of the plane, the [exchange](Exchange) between the simulations, and
//! everything that crosses a border: entities and players that migrate with all
//! their persisted components, [effects](TellEntity) on entities and players in any simulation, [ghosts](Ghost) of
//! entities near the border, and watchers, by which a player is sent what it sees of the other simulations'
//! parts. Spatial queries and looks into the past reach across a border as far as ghosts do.
//!
//! Guarantees that the simulations are in lockstep by tick number: before every tick they agree on how many numbers
//! are skipped because one of them is late. What is sent in tick t arrives before tick
//! t + 1, and is applied in the order of the simulations and in each one's order of sending, on any number of
//! threads. Every entity is in exactly one frame of every tick: its old owner's of tick t, its new owner's of
//! tick t + 1. A session stays on its net worker and on the link by which it joined. Every input and message
//! reaches the simulation that has the player, in the same tick as with a single simulation. A client that joins again
//! reaches the simulation that has its player, away or not. Refuses to
//! migrate entities without a position: entities that only the server has stay in their simulation.
//!
//! Gameplay for several simulations changes entities of its own simulation only, persists the components that
//! are to migrate, declares the [size](MapShape) of its map and the [components of ghosts](GhostAppExt),
//! sends [effects](TellEntity) to all other entities, and keeps no list of entities beside the ECS. Its
//! resources belong to each simulation separately. Past frames, `Added` and `Changed` do not migrate.
//!
//! A reference of a migrated entity leads to the same entity in the new simulation, if that entity is a player or
//! replicated there or has a ghost there. Otherwise it becomes
//! [`Entity::PLACEHOLDER`](bevy_ecs::entity::Entity::PLACEHOLDER).

mod balance;
mod border;
mod cross;
mod effects;
mod exchange;
mod ingress;
mod map_shape;
mod partition;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;

use crate::input::{Inbox, drain_links};
use crate::schedule::ServerSystems;
use crate::simulation::{Ghost, Players, RemoteFrames};
use map_shape::GhostKinds;

pub use cross::send_batch;
pub use effects::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectRefused, EffectReturned, Effects,
    EffectsInTransit, TellEntity,
};
pub use exchange::{EffectTarget, Exchange};
pub use map_shape::{GhostAppExt, JoinPlaces, MapShape, owns_position};
pub use partition::{Cell, Partition};
pub use state::{Simulations, SimulationsConfig, SimulationsCounters};

/// Makes an app one of several simulations. Its `SimulationPlugin` has the same simulation id as the
/// exchange.
pub struct SimulationsPlugin {
    exchange: Mutex<Option<Exchange>>,
    partition: Partition,
    config: SimulationsConfig,
}

impl SimulationsPlugin {
    /// Creates the plugin for the simulation at this end of the exchange. All simulations have the same
    /// partition and configuration.
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
            .init_resource::<EffectsInTransit>()
            .init_resource::<GhostKinds>()
            .insert_resource(Simulations {
                me,
                partition: self.partition.clone(),
                config: self.config,
                exchange: Mutex::new(exchange),
                sessions: BTreeMap::new(),
                clients: BTreeMap::new(),
                left: MessageCursor::default(),
                refused: MessageCursor::default(),
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
                    ingress::fill_inbox
                        .before(drain_links)
                        .in_set(ServerSystems::Receive),
                    cross::dispatch.in_set(ServerSystems::Dispatch),
                ),
            );
    }
}
