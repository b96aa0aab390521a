//! The process's directory as the simulation writes it: which simulation runs a player's avatar, and which session
//! on which worker owns it.
//!
//! Guarantees that no route outlives its player, its avatar or their bond.

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use throng_shared::protocol::ids::GlobalId;

use super::replicated::Replicated;
use crate::boundary::directory::Directory;

/// Routes of sessions and owned entities, for gameplay and for tools.
#[derive(Resource, Clone)]
pub struct Routes(pub Arc<Directory>);

/// What became of the avatars' routes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounters {
    /// Routes entered.
    pub entered: u64,
    /// Routes removed.
    pub removed: u64,
    /// Avatars that found the directory full. Each counts once for each player, however often it is tried.
    pub refused: u64,
}

/// The players whose routes are not what they should be, and the counters.
#[derive(Resource, Debug, Default)]
pub struct Routing {
    pub(super) stale: Vec<Entity>,
    pub(super) counters: RouteCounters,
}

impl Routing {
    /// The counters.
    #[must_use]
    pub fn counters(&self) -> RouteCounters {
        self.counters
    }
}

/// What the directory knows of a player's avatar.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(super) struct Routed {
    pub(super) entered: Option<GlobalId>,
    /// The avatar that last found no room.
    pub(super) refused: Option<GlobalId>,
}

impl Routed {
    /// Whether the directory has to be told that the avatar is this entity now.
    #[inline]
    pub(super) fn is_stale(&self, avatar: Option<&Replicated>) -> bool {
        self.entered != avatar.and_then(routable)
    }
}

/// The id by which an entity is routed; one without a slot is not shown to anybody and has none.
#[inline]
pub(super) fn routable(entity: &Replicated) -> Option<GlobalId> {
    entity.slot().map(|_| entity.global())
}

/// Removes the route when a player loses its avatar, gets another one, or goes.
pub(super) fn forget_route(mut world: DeferredWorld, context: HookContext) {
    let routed = world.get_mut::<Routed>(context.entity);
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
