//! Sends the replicated resources to players: all of them to a player that joins or returns, and each one to all
//! players when it has changed, or when an entity to which it refers became replicated.
//!
//! Each of several simulations sends its own resources to its own players. A player that migrates is sent
//! nothing, so gameplay has to keep the resources equal in all simulations.

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::registry::{Protocol, RegistryError, ResourceEntry};

use super::away::PlayerReturned;
use super::players::PlayerJoined;
use super::references::reference_of;
use super::tell::Outbox;
use crate::boundary::link::Audience;

/// The state of every replicated resource that players were sent last.
#[derive(Resource, Default)]
pub(super) struct ResourceWatches {
    watches: Vec<ResourceWatch>,
    joined: MessageCursor<PlayerJoined>,
    returned: MessageCursor<PlayerReturned>,
}

struct ResourceWatch {
    entry: ResourceEntry,
    /// The tick of the change that was sent last; `None` while the resource does not exist.
    sent: Option<ChangeTick>,
    /// The entities to which the resource refers, each with the reference that was sent for it.
    references: Vec<(Entity, Entity)>,
}

impl ResourceWatch {
    /// Returns whether the resource refers to an entity that has another global id than when it was sent.
    fn has_renamed(&self, world: &World) -> bool {
        self.references.iter().any(|&(entity, sent)| {
            let reference = reference_of(world, entity);
            // One that is gone is gone at clients too.
            reference != sent && reference != Entity::PLACEHOLDER
        })
    }

    /// Encodes the resource, and notes its references.
    fn encode(&mut self, world: &World, bytes: &mut Vec<u8>) -> Result<(), RegistryError> {
        let Self {
            entry, references, ..
        } = self;
        references.clear();
        let mut map = |entity| {
            let reference = reference_of(world, entity);
            if !references.contains(&(entity, reference)) {
                references.push((entity, reference));
            }
            reference
        };
        entry.encode(world, &mut map, bytes)
    }
}

/// Creates a watch for each registered resource. Runs once, when the registry is complete.
pub(super) fn watch_resources(world: &mut World) {
    let Some(protocol) = world.get_resource::<Protocol>() else {
        return;
    };
    let watch = |entry: &ResourceEntry| ResourceWatch {
        entry: entry.clone(),
        sent: None,
        references: Vec::new(),
    };
    let watches = protocol.resources().iter().map(watch).collect();
    world.resource_mut::<ResourceWatches>().watches = watches;
}

/// Adds the changed resources to the tick's messages, and all resources for players that joined or
/// returned in it.
pub(super) fn send_resources(world: &mut World) {
    world.resource_scope(|world, mut watches: Mut<ResourceWatches>| {
        let ResourceWatches {
            watches,
            joined,
            returned,
        } = &mut *watches;
        if watches.is_empty() {
            return;
        }
        let joined = joined.read(world.resource::<Messages<PlayerJoined>>());
        let returned = returned.read(world.resource::<Messages<PlayerReturned>>());
        // The sessions that know nothing yet.
        let fresh: Vec<_> = (joined.map(|joined| joined.player.session))
            .chain(returned.map(|returned| returned.player.session))
            .collect();
        for watch in watches {
            let changed = watch.entry.changed(world);
            let is_changed = std::mem::replace(&mut watch.sent, changed) != changed;
            let is_new = is_changed || watch.has_renamed(world);
            // A client assumes that a resource it was not sent does not exist.
            if !is_new && (fresh.is_empty() || changed.is_none()) {
                continue;
            }
            let mut bytes = Vec::new();
            let encoded = watch.encode(world, &mut bytes);
            let entry = &watch.entry;
            if let Some(fault) = entry.fault(&encoded, &bytes) {
                let resource = entry.name;
                tracing::error!(resource, "a resource is not replicated as it is: {fault}");
            }
            if encoded.is_err() {
                if !is_new {
                    continue;
                }
                // No older value stays at the clients.
                entry.encode_removal(&mut bytes);
            }
            let bytes = bytes::Bytes::from(bytes);
            let mut outbox = world.resource_mut::<Outbox>();
            if is_new {
                // Players that joined or returned in this tick are among all of the simulation's players.
                outbox.broadcast(Audience::Own, Channel::ReliableOrdered.id(), bytes);
            } else {
                for &session in &fresh {
                    outbox.message(session, Channel::ReliableOrdered, bytes.clone());
                }
            }
        }
    });
}
