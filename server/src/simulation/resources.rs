//! Tells players the replicated resources: all of them to who joins, each to everybody when it changed.
//!
//! Of several simulations each tells its own players its own resources; a player who crosses a border is told
//! nothing. So it is gameplay's to keep them the same in all.

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::registry::{Protocol, ResourceEntry};

use super::players::PlayerJoined;
use super::tell::Outbox;
use crate::boundary::link::Audience;

/// What players were last told.
#[derive(Resource, Default)]
pub(super) struct ResourceWatches {
    watches: Vec<ResourceWatch>,
    joined: MessageCursor<PlayerJoined>,
}

struct ResourceWatch {
    entry: ResourceEntry,
    /// When it had last changed; `None` while it was not there.
    sent: Option<ChangeTick>,
}

/// Sets up the watches. Runs once, when the registry is complete.
pub(super) fn watch_resources(world: &mut World) {
    let Some(protocol) = world.get_resource::<Protocol>() else {
        return;
    };
    let watch = |entry: &ResourceEntry| ResourceWatch {
        entry: entry.clone(),
        sent: None,
    };
    let watches = protocol.resources().iter().map(watch).collect();
    world.resource_mut::<ResourceWatches>().watches = watches;
}

/// Adds to the tick's messages what players have to be told of the resources.
pub(super) fn tell_resources(world: &mut World) {
    world.resource_scope(|world, mut watches: Mut<ResourceWatches>| {
        let ResourceWatches { watches, joined } = &mut *watches;
        if watches.is_empty() {
            return;
        }
        let joined: Vec<_> = joined
            .read(world.resource::<Messages<PlayerJoined>>())
            .map(|joined| joined.player.session)
            .collect();
        for ResourceWatch { entry, sent } in watches {
            let changed = entry.changed(world);
            let is_new = std::mem::replace(sent, changed) != changed;
            // Who joins knows that there is nothing.
            if !is_new && (joined.is_empty() || changed.is_none()) {
                continue;
            }
            let mut bytes = Vec::new();
            if let Err(error) = entry.encode(world, &mut bytes) {
                tracing::error!(%error, name = entry.name, "a resource cannot be replicated");
                continue;
            }
            let bytes = bytes::Bytes::from(bytes);
            let mut outbox = world.resource_mut::<Outbox>();
            if is_new {
                // Those who joined in this tick are among all.
                outbox.broadcast(Audience::Own, Channel::ReliableOrdered.id(), bytes);
            } else {
                for &session in &joined {
                    outbox.message(session, Channel::ReliableOrdered, bytes.clone());
                }
            }
        }
    });
}
