//! Rounds the entities that clients predict to what clients are sent.
//!
//! A client goes on from the values that it was sent, so the server does too: at the beginning of `Index`, after gameplay,
//! each component that the protocol lists as predicted is rounded on the avatars of players and on [`Rounded`] entities.
//! Guarantees that no other entity, and no game without such a component, is changed or costs anything.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::registry::Protocol;

use super::players::{Avatar, Player};

/// Marks an entity that clients predict although it is no player's avatar, such as a ball. Its predicted components
/// ([`ProtocolAppExt::predicted`](throng_shared::protocol::registry::ProtocolAppExt::predicted)) are rounded at the end of
/// every tick to the values that clients are sent. Avatars are rounded without it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounded;

/// Rounds the predicted components of avatars and marked entities.
pub(super) fn round_predicted(
    world: &mut World,
    avatars: &mut QueryState<&Avatar, With<Player>>,
    marked: &mut QueryState<Entity, With<Rounded>>,
    mut targets: Local<Vec<Entity>>,
) {
    if world.resource::<Protocol>().predicted().is_empty() {
        return;
    }
    targets.clear();
    targets.extend(avatars.iter(world).map(|avatar| avatar.0));
    targets.extend(marked.iter(world));
    world.resource_scope(|world, protocol: Mut<Protocol>| {
        for &target in targets.iter() {
            // The avatar may be despawned.
            let Ok(mut entity) = world.get_entity_mut(target) else {
                continue;
            };
            for predicted in protocol.predicted() {
                predicted.round_in(&mut entity);
            }
        }
    });
}
