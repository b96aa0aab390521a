//! Ownership: which client owns which entity of a scene.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bevy_ecs::entity::MapEntities;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use glam::{Quat, Vec2, Vec3};
use serde::{Deserialize, Serialize};
use throng_server::boundary::link::PeerKind;
use throng_server::simulation::{
    Avatar, Owner, Player, PlayerJoined, PlayerLeft, Random, Replicated, Seed, Viewer,
};
use throng_server::simulations::{Simulations, owns_position};
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::protocol::pose::{Heading, Position};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d};
use throng_shared::tick::Tick;

use crate::movement::Steering;
use crate::protocol::VIEW_RADIUS;
use crate::scene::RunningScene;

/// Marks an entity that no client owns, which can be given to one. Migrates with the entity.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[component(storage = "SparseSet", on_add = enter_pool, on_remove = leave_pool)]
pub(super) struct Unowned;

/// Number of entities that this simulation has spawned, or left to other simulations to spawn.
#[derive(Resource, MapEntities, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct SpawnCount(u64);

/// The entities that can be given to clients, by global id. Derived from [`Unowned`]. It also holds stale entries, at
/// most as many as valid ones plus [`STALE_MAX`].
#[derive(Resource, Debug, Default)]
pub(super) struct Pool {
    unowned: usize,
    fresh: Vec<Entity>,
    ready: BinaryHeap<Reverse<(GlobalId, Entity)>>,
}

/// Limit on entries that were given away or are gone, beyond the number of unowned entities.
const STALE_MAX: usize = 1_024;

fn enter_pool(mut world: DeferredWorld, context: HookContext) {
    let Some(mut pool) = world.get_resource_mut::<Pool>() else {
        return;
    };
    pool.unowned += 1;
    pool.fresh.push(context.entity);
    if pool.fresh.len() > pool.unowned * 2 + STALE_MAX {
        let mut fresh = std::mem::take(&mut pool.fresh);
        fresh.retain(|&entity| world.get::<Unowned>(entity).is_some());
        if let Some(mut pool) = world.get_resource_mut::<Pool>() {
            pool.fresh = fresh;
        }
    }
}

fn leave_pool(mut world: DeferredWorld, _: HookContext) {
    if let Some(mut pool) = world.get_resource_mut::<Pool>() {
        pool.unowned -= 1;
    }
}

impl Pool {
    /// Removes and returns the unowned entity with the lowest global id.
    fn pop(&mut self, unowned: &Query<&Replicated, With<Unowned>>) -> Option<Entity> {
        for entity in self.fresh.drain(..) {
            if let Ok(replicated) = unowned.get(entity) {
                self.ready.push(Reverse((replicated.global(), entity)));
            }
        }
        if self.ready.len() > self.unowned * 2 + STALE_MAX {
            self.ready
                .retain(|Reverse((_, entity))| unowned.contains(*entity));
        }
        while let Some(Reverse((global, entity))) = self.ready.pop() {
            // Since then it may have been given away or have migrated to another simulation.
            if unowned
                .get(entity)
                .is_ok_and(|replicated| replicated.global() == global)
            {
                return Some(entity);
            }
        }
        None
    }
}

/// Spawns the scene's entities, scattered evenly; each simulation spawns those within its own part of the map.
pub(super) fn spawn_entities(
    mut commands: Commands,
    mut spawn_count: ResMut<SpawnCount>,
    world: Res<RunningScene>,
    seed: Res<Seed>,
    simulations: Option<Res<Simulations>>,
) {
    for _ in 0..world.scene.entities() {
        spawn_count.0 += 1;
        if owns_position(
            simulations.as_deref(),
            spawn_place(spawn_count.0, world.side, *seed),
        ) {
            spawn(&mut commands, spawn_count.0, &world, *seed).insert(Unowned);
        }
    }
}

/// Takes back the entities of players who left.
pub(super) fn release_avatars(
    mut left: MessageReader<PlayerLeft>,
    mut commands: Commands,
    mut steerings: Query<&mut Steering>,
) {
    for avatar in left.read().filter_map(|left| left.avatar) {
        if let Ok(mut steering) = steerings.get_mut(avatar) {
            *steering = Steering::default();
        }
        commands.entity(avatar).insert((Owner(PlayerId::NONE), Unowned));
    }
}

/// Gives every new player an entity of its own, and a view.
pub(super) fn give_avatars(
    mut joined: MessageReader<PlayerJoined>,
    mut commands: Commands,
    mut spawn_count: ResMut<SpawnCount>,
    mut pool: ResMut<Pool>,
    unowned: Query<&Replicated, With<Unowned>>,
    players: Query<&Player>,
    world: Res<RunningScene>,
    seed: Res<Seed>,
) {
    for joined in joined.read() {
        // A session can end in the tick in which it began, and a stock renet peer does not play.
        if joined.player.kind != PeerKind::Throng || !players.contains(joined.entity) {
            continue;
        }
        let avatar = pool.pop(&unowned).unwrap_or_else(|| {
            spawn_count.0 += 1;
            spawn(&mut commands, spawn_count.0, &world, *seed).id()
        });
        commands
            .entity(avatar)
            .remove::<Unowned>()
            .insert(Owner(joined.player.id));
        commands
            .entity(joined.entity)
            .insert((Avatar(avatar), Viewer { radius: VIEW_RADIUS }));
    }
}

/// Returns the position where the n-th entity is spawned, from 1.
pub(super) fn spawn_place(number: u64, side: f32, seed: Seed) -> Vec2 {
    scatter(&mut random_of(number, seed), side)
}

fn random_of(number: u64, seed: Seed) -> Random {
    // Tick 0 never runs, so no other system uses these random numbers.
    seed.of(GlobalId(number), Tick(0))
}

fn scatter(random: &mut Random, side: f32) -> Vec2 {
    let edge = side * 0.5;
    Vec2::new(random.within(-edge, edge), random.within(-edge, edge))
}

fn spawn<'a>(
    commands: &'a mut Commands,
    number: u64,
    world: &RunningScene,
    seed: Seed,
) -> EntityCommands<'a> {
    let mut random = random_of(number, seed);
    let position = scatter(&mut random, world.side);
    let heading = random.within(-std::f32::consts::PI, std::f32::consts::PI);
    let still = (Replicated::default(), Position(position), Heading(heading));
    if world.scene.moves_in_space() {
        let (edge, ground) = (world.side * 0.5, position);
        let position = Vec3::new(ground.x, random.within(-edge, edge), ground.y);
        let half = Vec3::new(
            random.within(-1.0, 1.0),
            random.within(-1.0, 1.0),
            random.within(-1.0, 1.0),
        );
        let rotation = Quat::from_xyzw(half.x, half.y, half.z, 0.5).normalize();
        commands.spawn((
            still,
            Position3d(position),
            Rotation3d(rotation),
            Steering::default(),
        ))
    } else if world.scene.moves() {
        commands.spawn((still, Steering::default()))
    } else {
        commands.spawn(still)
    }
}
