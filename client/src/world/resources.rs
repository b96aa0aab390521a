//! Replicated resources that refer to entities: they are written again when such an entity enters or leaves.
//!
//! Bounded by the registered resources, each of which is one message.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use bytes::Bytes;
use throng_shared::protocol::ids::{Channel, GlobalId, MessageId};
use throng_shared::protocol::registry::Protocol;

use super::mirror::WorldMirror;

/// The resources that refer to entities, by the messages that carry them.
#[derive(Resource, Debug, Default)]
pub(super) struct ResourceReferences(BTreeMap<MessageId, Referring>);

#[derive(Debug)]
struct Referring {
    channel: Channel,
    /// The message that carried it last.
    bytes: Bytes,
    found: FoundReferences,
}

/// The entities to which a resource refers, as they were found when it was written.
type FoundReferences = Vec<(GlobalId, Option<Entity>)>;

/// Finds the entities to which the resource in a message refers.
pub(super) fn find_references(mirror: &WorldMirror, protocol: &Protocol, message: &[u8]) -> FoundReferences {
    let globals = protocol.references_in(message).into_iter();
    globals.map(|global| (global, mirror.find(global))).collect()
}

impl ResourceReferences {
    /// Records the message that carried a resource, and the entities to which the resource refers.
    pub(super) fn note(&mut self, id: MessageId, (channel, bytes): (Channel, Bytes), found: FoundReferences) {
        if found.is_empty() {
            self.0.remove(&id);
        } else {
            self.0.insert(
                id,
                Referring {
                    channel,
                    bytes,
                    found,
                },
            );
        }
    }

    /// Returns the messages of the resources whose entities have entered or left since they were written.
    pub(super) fn outdated(&self, mirror: &WorldMirror) -> Vec<(Channel, Bytes)> {
        let is_outdated = |referring: &&Referring| {
            let mut found = referring.found.iter();
            found.any(|&(global, entity)| mirror.find(global) != entity)
        };
        let outdated = self.0.values().filter(is_outdated);
        outdated
            .map(|referring| (referring.channel, referring.bytes.clone()))
            .collect()
    }

    /// Removes all records, as when the session ends.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
