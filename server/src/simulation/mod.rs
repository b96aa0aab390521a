//! The engine's part of a simulation: replicated entities, players, what they see, and the frame.
//!
//! Owns the systems of `Index` and `Publish`, and the API of the engine for gameplay. Guarantees that the
//! next state is a function of the state, the ordered inputs and the seed: there is no clock, no order that
//! depends on a hash or a thread, and no order by Bevy's entity numbers. Refuses per-client output work,
//! which is the net workers'. Its cost grows with the number of changes.

mod admission;
mod away;
mod components;
mod content;
mod disabled;
mod disabling;
pub(crate) mod inputs;
mod interest;
mod links;
mod mistakes;
mod nearby;
mod parallel;
mod players;
mod poses_3d;
mod predicted;
mod publish;
mod random;
mod references;
mod remote_frames;
mod replicated;
mod resources;
pub(crate) mod resume;
mod rewind;
mod route_avatars;
pub(crate) mod routes;
mod rows;
mod sessions;
mod space;
mod tell;
#[cfg(test)]
mod tests;
mod watchers;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::common_conditions::not;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::boundary::frame::FrameWriter;
use crate::runner::TickTime;
use crate::schedule::{SchedulePlugin, ServerSystems};

pub(crate) use admission::{ClientRefused, JoinRule, ask, refuse};
pub use admission::{JoinAppExt, JoinRequest, Refusal};
pub use away::{Away, Linger, PlayerAway, PlayerReturned};
pub use content::{ContentFile, ContentFiles, ContentPlayback, ContentSource};
pub use inputs::REWIND_MAX;
pub(crate) use inputs::judge_view;
pub(crate) use inputs::{InputBuffer, Offer, TickInput};
pub use links::WorkerLinks;
pub use nearby::{Nearby, Neighbour};
pub use parallel::Parallel;
pub use players::{Avatar, Eye, Player, PlayerJoined, PlayerLeft, Players, Viewer};
pub use poses_3d::{EyeHeight, ViewHeight};
pub use predicted::Rounded;
pub use publish::Frames;
pub use random::{Random, Seed};
pub use remote_frames::{Ghost, RowLocation};
pub(crate) use remote_frames::{GhostEntry, RemoteFrames};
pub use replicated::{Importance, Owner, Replicated, Room, Slots};
pub use rewind::Rewind;
pub(crate) use routes::{Routes, Routing};
pub(crate) use rows::Rows;
pub(crate) use sessions::{NewSession, expire_away, join, leave, remove_player};
pub(crate) use space::{Areas, Space};
pub use tell::{MessageReceived, Outbox, Place, Tell};
pub use throng_shared::protocol::ids::Team;
pub(crate) use watchers::Watcher;

pub use crate::space::RoomId;

/// Adds the engine's part of a simulation, which publishes frames.
#[derive(Clone, Copy, Debug)]
pub struct SimulationPlugin {
    /// The number of this simulation in the process.
    pub simulation: SimulationId,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Number of threads for parallel systems. With 0 or 1 there are none besides the simulation's own.
    pub threads: usize,
    /// The number of the tick before the first one.
    pub start: Tick,
}

impl Default for SimulationPlugin {
    fn default() -> Self {
        Self {
            simulation: SimulationId(0),
            seed: 0,
            threads: 1,
            start: Tick(0),
        }
    }
}

impl Plugin for SimulationPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<SchedulePlugin>() {
            app.add_plugins(SchedulePlugin);
        }
        let parallel = Parallel::new(self.threads).unwrap_or_else(|error| {
            tracing::warn!(%error, threads = self.threads, "no thread pool; the simulation runs on one thread");
            Parallel::default()
        });
        app.insert_resource(Slots::new(self.simulation))
            .insert_resource(Rows(FrameWriter::new(self.simulation)))
            .insert_resource(Seed(self.seed))
            .insert_resource(parallel)
            .init_resource::<Protocol>()
            .init_resource::<Space>()
            .init_resource::<Areas>()
            .init_resource::<Players>()
            .init_resource::<Linger>()
            .init_resource::<Frames>()
            .init_resource::<Outbox>()
            .init_resource::<Routing>()
            .init_resource::<WorkerLinks>()
            .init_resource::<components::ComponentWatches>()
            .init_resource::<resources::ResourceWatches>()
            .add_message::<PlayerJoined>()
            .add_message::<PlayerLeft>()
            .add_message::<PlayerAway>()
            .add_message::<PlayerReturned>()
            .add_message::<MessageReceived>()
            .add_message::<ClientRefused>();
        app.world_mut().resource_mut::<TickTime>().tick = self.start;
        mistakes::watch(app);
        replicated::observe_teams(app.world_mut());
        app.world_mut()
            .register_component_hooks::<Player>()
            .on_remove(sessions::end_despawned);
        app.add_systems(
            FixedUpdate,
            (
                (
                    players::complete_players,
                    disabled::sync_disabled,
                    predicted::round_predicted,
                    rows::sync_rows,
                    rows::sync_poses.run_if(not(poses_3d::is_3d)),
                    poses_3d::sync_poses_3d.run_if(poses_3d::is_3d),
                    components::sync_components,
                    rows::update_cells,
                    interest::update_eyes,
                    poses_3d::update_eye_heights.run_if(poses_3d::is_3d),
                    route_avatars::enter_avatars,
                    interest::update_areas_of_interest,
                    interest::build_areas,
                )
                    .chain()
                    .in_set(ServerSystems::Index),
                (
                    publish::publish_frame,
                    resources::send_resources,
                    tell::resolve_messages,
                    publish::hand_over,
                    sessions::end_kicked,
                )
                    .chain()
                    .in_set(ServerSystems::Publish),
            ),
        );
    }

    fn finish(&self, app: &mut App) {
        poses_3d::finish(app.world_mut());
        replicated::register_kinds(app.world_mut());
        components::watch_components(app.world_mut());
        resources::watch_resources(app.world_mut());
        disabled::watch_disabling(app.world_mut());
        mistakes::finish(app.world_mut());
    }
}
