//! The process's directory as the simulation writes it: the simulation that runs a player's avatar, and the
//! session and the worker that own it.
//!
//! Guarantees that a route is removed with its player, with its avatar, when the player gets another avatar, and when
//! its session ends or is replaced.

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use throng_shared::protocol::ids::GlobalId;

use super::replicated::Replicated;
use crate::boundary::directory::Directory;

/// The directory with the routes of sessions and owned entities, for gameplay and for tools.
#[derive(Resource, Clone)]
pub struct Routes(pub Arc<Directory>);

/// Counts of the avatars' routes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounters {
    /// Routes that were entered.
    pub entered: u64,
    /// Routes that were removed.
    pub removed: u64,
    /// Avatars for which the directory was full. Each counts once for each player, however often it is tried.
    pub refused: u64,
}

/// The players whose routes are out of date, and the counters.
#[derive(Resource, Debug, Default)]
pub struct Routing {
    pub(super) stale: Vec<Entity>,
    pub(super) counters: RouteCounters,
}

impl Routing {
    /// Returns the counts of routes since the start.
    #[must_use]
    pub fn counters(&self) -> RouteCounters {
        self.counters
    }
}

/// On a player: the route of its avatar in the directory.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(super) struct Routed {
    pub(super) entered: Option<GlobalId>,
    /// The avatar for which the directory was full last.
    pub(super) refused: Option<GlobalId>,
}

impl Routed {
    /// Returns whether the player's route has to be updated, because its avatar is now `avatar`.
    #[inline]
    pub(super) fn is_stale(&self, avatar: Option<&Replicated>) -> bool {
        self.entered != avatar.and_then(routable)
    }
}

/// Returns the id by which an entity is routed. An entity without a slot is not sent to clients and has none.
#[inline]
pub(super) fn routable(entity: &Replicated) -> Option<GlobalId> {
    entity.slot().map(|_| entity.global())
}

/// Removes the route when a player loses its avatar, gets another one, or is despawned.
pub(super) fn forget_route(world: DeferredWorld, context: HookContext) {
    remove_route(world, context.entity);
}

/// Removes the route to a player's session.
pub(super) fn remove_route(mut world: DeferredWorld, player: Entity) {
    let routed = world.get_mut::<Routed>(player);
    let Some(old) = routed.and_then(|mut routed| routed.entered.take()) else {
        return;
    };
    if let Some(Routes(directory)) = world.get_resource::<Routes>() {
        directory.remove_entity(old);
    }
    if let Some(mut routing) = world.get_resource_mut::<Routing>() {
        routing.counters.removed += 1;
    }
}
