//! Throng's benchmark scenes: worlds for bots, with nothing that a benchmark does not need.
//!
//! An ordinary plugin on the server's public API. Owns how entities move and which entity a joining client gets.
//! [`protocol`] is shared with the bots.

mod movement;
mod ownership;
pub mod protocol;
mod size;
#[cfg(test)]
mod tests;

use std::fmt;

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use throng_server::persist::PersistAppExt;
use throng_server::process::Thousands;
use throng_server::schedule::ServerSystems;
use throng_server::simulation::Seed;
use throng_server::simulations::{JoinPlaces, MapShape};

pub use movement::Steering;
pub use size::{crowd_side, hotspot_side};

use protocol::BenchProtocol;

/// Approximate number of other entities in a client's view in the static scene.
const STATIC_VISIBLE: u32 = 50;

/// The kind and size of a benchmark scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// All entities move in every tick; a client sees `visible` others on average.
    Crowd {
        /// Number of entities at the start.
        entities: u32,
        /// Mean number of others in a client's view.
        visible: u32,
    },
    /// No entity moves, whatever the clients do.
    Static {
        /// Number of entities at the start.
        entities: u32,
    },
    /// All entities move in every tick, within one view.
    Hotspot {
        /// Number of entities at the start.
        entities: u32,
    },
    /// No entities, and clients get none: connections only.
    Idle,
}

impl Scene {
    /// Returns the number of entities at the start.
    #[must_use]
    pub const fn entities(self) -> u32 {
        match self {
            Self::Crowd { entities, .. } | Self::Static { entities } | Self::Hotspot { entities } => entities,
            Self::Idle => 0,
        }
    }

    /// Returns the side of the square world around the origin, in units.
    #[must_use]
    pub fn side(self) -> f32 {
        match self {
            Self::Crowd { entities, visible } => crowd_side(entities, visible),
            Self::Static { entities } => crowd_side(entities, STATIC_VISIBLE),
            Self::Hotspot { .. } | Self::Idle => hotspot_side(),
        }
    }

    const fn moves(self) -> bool {
        matches!(self, Self::Crowd { .. } | Self::Hotspot { .. })
    }
}

/// Names the scene and its size, for the start banner.
impl fmt::Display for Scene {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entities = Thousands(u64::from(self.entities()));
        match self {
            Self::Crowd { visible, .. } => {
                write!(out, "crowd: {entities} moving entities, a client sees {visible}")
            }
            Self::Static { .. } => write!(out, "static: {entities} resting entities"),
            Self::Hotspot { .. } => write!(out, "hotspot: {entities} moving entities, all in one view"),
            Self::Idle => out.write_str("idle: no entities"),
        }
    }
}

/// The running scene and the size of its world.
#[derive(Resource, Clone, Copy, Debug)]
pub struct RunningScene {
    /// The kind and size of the scene.
    pub scene: Scene,
    /// Side of the square world around the origin, in units.
    pub side: f32,
}

/// Runs a benchmark scene on a server.
#[derive(Clone, Copy, Debug)]
pub struct ScenePlugin(pub Scene);

impl Plugin for ScenePlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(RunningScene {
            scene: self.0,
            side: self.0.side(),
        })
        .add_plugins(BenchProtocol);
        if self.0 == Scene::Idle {
            return;
        }
        let (seed, side) = (app.world().get_resource::<Seed>().copied(), self.0.side());
        let seed = seed.unwrap_or(Seed(0));
        // In the order in which a single simulation assigns its entities.
        let join = move |n: u64| ownership::spawn_place(n + 1, side, seed);
        app.persist::<ownership::Unowned>()
            .persist::<ownership::SpawnCount>()
            .persist::<Steering>()
            .insert_resource(MapShape { side, sight: 0.0 })
            .insert_resource(JoinPlaces(Box::new(join)))
            .init_resource::<ownership::SpawnCount>()
            .init_resource::<ownership::Pool>()
            .add_systems(Startup, ownership::spawn_entities);
        let joining = (ownership::release_avatars, ownership::give_avatars).chain();
        if self.0.moves() {
            let moving = (joining, movement::steer_avatars, movement::roam).chain();
            app.add_systems(FixedUpdate, moving.in_set(ServerSystems::Simulate));
        } else {
            app.add_systems(FixedUpdate, joining.in_set(ServerSystems::Simulate));
        }
    }
}
