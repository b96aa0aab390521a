//! Throng's benchmark scenes: worlds for bots, with nothing that a benchmark does not need.
//!
//! An ordinary plugin on the server's public API. Owns how entities move and which entity a joining client gets, and
//! the synthetic load of ticks.
//! [`protocol`] is shared with the bots.

mod burn;
mod movement;
mod ownership;
pub mod protocol;
mod scene;
mod size;
pub mod space;
#[cfg(test)]
mod tests;

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use throng_server::persist::PersistAppExt;
use throng_server::schedule::ServerSystems;
use throng_server::simulation::Seed;
use throng_server::simulations::{JoinPlaces, MapShape};

pub use burn::BurnPlugin;
pub use movement::Steering;
pub use scene::{RunningScene, Scene};
pub use size::{crowd_3d_side, crowd_side, hotspot_side};

use protocol::BenchProtocol;
use space::BenchProtocol3d;

/// Runs a benchmark scene on a server.
#[derive(Clone, Copy, Debug)]
pub struct ScenePlugin(pub Scene);

impl Plugin for ScenePlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(RunningScene {
            scene: self.0,
            side: self.0.side(),
        });
        if self.0.moves_in_space() {
            app.add_plugins(BenchProtocol3d);
        } else {
            app.add_plugins(BenchProtocol);
        }
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
            let moving = (joining, movement::steer_avatars, movement::move_entities).chain();
            app.add_systems(FixedUpdate, moving.in_set(ServerSystems::Simulate));
        } else if self.0.moves_in_space() {
            let moving = (joining, movement::steer_avatars, space::move_entities_3d).chain();
            app.add_systems(FixedUpdate, moving.in_set(ServerSystems::Simulate));
        } else {
            app.add_systems(FixedUpdate, joining.in_set(ServerSystems::Simulate));
        }
    }
}
