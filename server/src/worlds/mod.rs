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
//! travel, says how [large](WorldShape) its world is and what [ghosts](GhostAppExt) show, sends
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
mod partition;
mod shape;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;

use crate::input::{Inbox, drain_links};
use crate::schedule::ServerSystems;
use crate::simulation::{Abroad, Ghost, Players};
use shape::GhostKinds;

pub use balance::{CellMove, next_move};
pub use cross::post;
pub use effects::{
    EFFECTS_MAX, EffectAppExt, EffectReceived, EffectRefused, EffectReturned, Effects, NewsHeard, TellEntity,
};
pub use exchange::{Exchange, GhostImage, Letter, PeerGone, Post, WatcherImage};
pub use partition::{CELLS_HALF, Cell, Partition, SIMULATIONS_MAX, SourceSet};
pub use shape::{GhostAppExt, JoinPlaces, WorldShape, is_home};
pub use state::{Worlds, WorldsConfig, WorldsCounters};

/// Makes an app one of several simulations. Its `SimulationPlugin` has the same source as the exchange.
pub struct WorldsPlugin {
    exchange: Mutex<Option<Exchange>>,
    partition: Partition,
    config: WorldsConfig,
}

impl WorldsPlugin {
    /// The simulation at this end of the exchange. All have the same partition and configuration.
    #[must_use]
    pub fn new(exchange: Exchange, partition: Partition, config: WorldsConfig) -> Self {
        Self {
            exchange: Mutex::new(Some(exchange)),
            partition,
            config,
        }
    }
}

impl Plugin for WorldsPlugin {
    fn build(&self, app: &mut App) {
        let exchange = self
            .exchange
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(exchange) = exchange else { return };
        let me = exchange.me();
        if self.partition.simulations() > 1 && self.config.ghost_reach > 0.0 {
            app.init_resource::<Abroad>();
        }
        app.world_mut().register_disabling_component::<Ghost>();
        app.insert_resource(Players::of_simulation(me.0, self.partition.simulations()))
            .insert_resource(Inbox::routed())
            .init_resource::<Effects>()
            .init_resource::<GhostKinds>()
            .insert_resource(Worlds {
                me,
                partition: self.partition.clone(),
                config: self.config,
                exchange: Mutex::new(exchange),
                sessions: BTreeMap::new(),
                is_posted: false,
                outgoing: Vec::new(),
                received: Vec::new(),
                last_post: None,
                departing: Vec::new(),
                ghosts: BTreeMap::new(),
                watchers: BTreeMap::new(),
                counters: WorldsCounters::default(),
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
