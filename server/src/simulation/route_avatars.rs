//! Enters the players' avatars into the process's directory.
//!
//! Guarantees that after `Index` the directory has the avatar of every player that has one. Writes atomics
//! and never waits. Nothing here is read back into the state, so that the simulation stays deterministic.
//! Refuses to evict entries: if the directory is full, an avatar is counted, simulated and replicated like
//! any other, tried again in every tick, and not found in the directory until then.

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;

use super::players::{Avatar, Player};
use super::replicated::{Replicated, Slots};
use super::routes::{Routed, Routes, Routing, routable};
use crate::boundary::directory::EntityRoute;

/// Removes and enters routes for the players whose routes are out of date.
pub(super) fn enter_avatars(
    mut routing: ResMut<Routing>,
    mut players: Query<(&Player, &Avatar, &mut Routed), Allow<Disabled>>,
    avatars: Query<&Replicated>,
    slots: Res<Slots>,
    routes: Option<Res<Routes>>,
) {
    let Routing { stale, counters } = &mut *routing;
    if let Some(Routes(directory)) = routes.as_deref() {
        // All removals come first, because an entity may pass from one player to another within a tick.
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
            // If several players have one avatar, one of them has the route. When it leaves, the next one
            // gets it.
            let Some(id) = id.filter(|&id| directory.entity(id).is_none()) else {
                continue;
            };
            let route = EntityRoute {
                simulation: slots.simulation(),
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
