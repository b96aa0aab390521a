//! Which components disable an entity in this world, and which entities got or lost one.
//!
//! Owns the lists only. [`disabled`](super::disabled) follows them.

use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::prelude::*;

/// The disabling components of the world, and the entities that got or lost one since the last tick.
#[derive(Debug, Default)]
pub(super) struct Disabling {
    pub(super) components: Vec<WorldComponentId>,
    /// In the order of the changes. An entity may be here several times, and may be despawned. Its size is bounded by
    /// what gameplay does in one tick.
    pub(super) toggled: Vec<Entity>,
}

impl Disabling {
    /// Returns whether an entity is disabled.
    pub(super) fn disables(&self, entity: EntityRef<'_>) -> bool {
        self.components.iter().any(|&id| entity.contains_id(id))
    }

    /// Returns the same components without changed entities, for a world that is replaced.
    pub(super) fn restart(&self) -> Self {
        Self {
            components: self.components.clone(),
            toggled: Vec::new(),
        }
    }
}
