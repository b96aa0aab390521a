//! The entities that a checkpoint holds, their order, and the references between them.
//!
//! A reference within a checkpoint is the index of an entity in the list. Players come first by their ids,
//! then replicated entities by their global ids, then all others in the order of their indices, which a restored world
//! keeps. So it is saved as the same bytes.

use bevy_ecs::entity::{EntityHashMap, EntityMapper};
use bevy_ecs::prelude::*;
use bevy_ecs::resource::IsResource;

use super::registry::Persisted;
use crate::simulation::{Player, Replicated};

/// The key by which entities are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Player(u32),
    Replicated(u64),
    Other(u32),
}

/// Returns the entities of `world` that a checkpoint holds, in the order of the checkpoint.
pub(super) fn held(world: &mut World, persisted: &Persisted) -> Vec<Entity> {
    let reasons: Vec<_> = persisted
        .app_types()
        .iter()
        .map(|persisted| persisted.register(world))
        .collect();
    let player = world.register_component::<Player>();
    let replicated = world.register_component::<Replicated>();
    let resource = world.register_component::<IsResource>();
    let mut keys: Vec<(SortKey, Entity)> = Vec::new();
    for archetype in world.archetypes().iter() {
        let has = |id| archetype.contains(id);
        let held = has(player) || has(replicated) || reasons.iter().any(|&id| has(id));
        if !held || has(resource) {
            continue;
        }
        for entity in archetype.entities() {
            keys.push((sort_key(world.entity(entity.id())), entity.id()));
        }
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, entity)| entity).collect()
}

fn sort_key(entity: EntityRef<'_>) -> SortKey {
    if let Some(player) = entity.get::<Player>() {
        return SortKey::Player(player.id.0);
    }
    match entity
        .get::<Replicated>()
        .filter(|entity| entity.slot().is_some())
    {
        Some(replicated) => SortKey::Replicated(replicated.global().0),
        None => SortKey::Other(entity.id().index_u32()),
    }
}

/// Maps references of the saved world to indices in the list.
pub(super) struct ToIndices(EntityHashMap<u32>);

impl ToIndices {
    pub(super) fn new(held: &[Entity]) -> Self {
        Self(held.iter().copied().zip(0..).collect())
    }
}

impl EntityMapper for ToIndices {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let index = self.0.get(&source).copied();
        index
            .and_then(Entity::from_raw_u32)
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Maps indices in the list to the entities that were spawned for them.
pub(super) struct ToEntities(pub(super) Vec<Entity>);

impl EntityMapper for ToEntities {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let entity = self.0.get(source.index_u32() as usize);
        entity.copied().unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}
