//! Enters the players' avatars into the process's directory: which simulation runs the entity, and which
//! session on which worker owns it.
//!
//! Guarantees that after `Index` the directory holds the avatar of every player that has one, and that no route
//! outlives its player, its avatar or their bond. Writes atomics and never waits; nothing here is read back
//! into the state, so the simulation stays deterministic. Refuses to make room: at the directory's bound an
//! avatar is counted, played and shown like any other, tried again in every tick, and not found there until
//! then.

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use throng_shared::protocol::ids::GlobalId;

use super::players::{Avatar, Player};
use super::replicated::{Replicated, Slots};
use crate::boundary::directory::{Directory, EntityRoute};

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
    counters: RouteCounters,
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
    entered: Option<GlobalId>,
    /// The avatar that last found no room.
    refused: Option<GlobalId>,
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
fn routable(entity: &Replicated) -> Option<GlobalId> {
    entity.slot().map(|_| entity.global())
}

/// Removes and enters routes, for the players that were found to need it.
pub(super) fn enter_avatars(
    mut routing: ResMut<Routing>,
    mut players: Query<(&Player, &Avatar, &mut Routed)>,
    avatars: Query<&Replicated>,
    slots: Res<Slots>,
    routes: Option<Res<Routes>>,
) {
    let Routing { stale, counters } = &mut *routing;
    if let Some(Routes(directory)) = routes.as_deref() {
        // All removals come first: an entity may pass from one player to another within a tick.
        for &player in stale.iter() {
            if let Ok((.., mut routed)) = players.get_mut(player)
                && let Some(old) = routed.entered.take()
            {
                directory.remove_entity(old);
                counters.removed += 1;
            }
        }
        for &player in stale.iter() {
            let Ok((player, avatar, mut routed)) = players.get_mut(player) else {
                continue;
            };
            let id = avatars.get(avatar.0).ok().and_then(routable);
            // Of several players with one avatar, one has the route; when it goes, the next gets it.
            let Some(id) = id.filter(|&id| directory.entity(id).is_none()) else {
                continue;
            };
            let route = EntityRoute {
                simulation: slots.source(),
                worker: player.session.worker,
                session_index: player.session.session.index,
            };
            if directory.place_entity(id, route).is_ok() {
                routed.entered = Some(id);
                counters.entered += 1;
            } else if routed.refused.replace(id) != Some(id) {
                counters.refused += 1;
            }
        }
    }
    stale.clear();
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
