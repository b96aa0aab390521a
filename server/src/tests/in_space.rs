//! Lifts the entities of a world on the plane into space, for tests of checkpoints, recordings and migration.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::IntoSystemSet;
use glam::{Quat, Vec3};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{Player, PlayerJoined, Replicated, Seed, ViewHeight};

/// Makes the world one in three dimensions: after `moving`, each entity rises or sinks and turns over.
pub(crate) fn lift_after<M>(app: &mut App, moving: impl IntoSystemSet<M>) {
    app.poses_3d(Quanta3d::default());
    let systems = (lift.after(moving), widen_views.after(lift));
    app.add_systems(FixedUpdate, systems.in_set(ServerSystems::Simulate));
}

/// Returns by how much an entity rises in a tick, and turns.
pub(crate) fn motion(seed: Seed, global: GlobalId, tick: Tick) -> (f32, Quat) {
    let mut chance = seed.of(global, tick + 1_000_000);
    let mut number = || chance.within(-0.1, 0.1);
    let rise = number();
    let turn = Quat::from_xyzw(number(), number(), number(), 1.0).normalize();
    (rise, turn)
}

/// Makes the views of every second player cylinders, once when they join.
fn widen_views(mut joined: MessageReader<PlayerJoined>, players: Query<&Player>, mut commands: Commands) {
    for joined in joined.read() {
        if joined.player.id.0.is_multiple_of(2) && players.contains(joined.entity) {
            commands.entity(joined.entity).insert(ViewHeight(30.0));
        }
    }
}

pub(crate) fn lift(
    mut bodies: Query<(
        &Replicated,
        &Position,
        &Velocity,
        &mut Position3d,
        &mut Velocity3d,
        &mut Rotation3d,
    )>,
    (seed, time): (Res<Seed>, Res<TickTime>),
) {
    for (replicated, ground, across, mut position, mut velocity, mut rotation) in &mut bodies {
        let (rise, turn) = motion(*seed, replicated.global(), time.tick);
        position.0 = Vec3::new(ground.0.x, position.0.y + rise, ground.0.y);
        velocity.0 = Vec3::new(across.0.x, rise / time.length.as_secs_f32(), across.0.y);
        rotation.0 = (turn * rotation.0).normalize();
    }
}
