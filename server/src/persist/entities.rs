//! Which entities a checkpoint holds, in which order, and how they refer to each other.
//!
//! Within a checkpoint an entity is its place in the list. Players come first by their ids, then replicated
//! entities by their global ids, then all others in the order of the world that was saved, on which nothing
//! depends but their places.

use bevy_ecs::entity::{EntityHashMap, EntityMapper};
use bevy_ecs::prelude::*;
use bevy_ecs::resource::IsResource;

use super::registry::{Marker, Persisted};
use crate::simulation::{Player, Replicated};

/// Sorts entities into their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Player(u32),
    Replicated(u64),
    Other(u64),
}

/// The entities of `world` that a checkpoint holds, in their places.
pub(super) fn held(world: &mut World, persisted: &Persisted) -> Vec<Entity> {
    let reasons: Vec<_> = persisted
        .entries()
        .iter()
        .filter(|entry| entry.marker == Marker::App)
        .map(|entry| (entry.register)(world))
        .collect();
    let player = world.register_component::<Player>();
    let replicated = world.register_component::<Replicated>();
    let resource = world.register_component::<IsResource>();
    let mut places: Vec<(SortKey, Entity)> = Vec::new();
    for archetype in world.archetypes().iter() {
        let has = |id| archetype.contains(id);
        let held = has(player) || has(replicated) || reasons.iter().any(|&id| has(id));
        if !held || has(resource) {
            continue;
        }
        for entity in archetype.entities() {
            places.push((place(world.entity(entity.id())), entity.id()));
        }
    }
    places.sort_unstable();
    places.into_iter().map(|(_, entity)| entity).collect()
}

fn place(entity: EntityRef<'_>) -> SortKey {
    if let Some(player) = entity.get::<Player>() {
        return SortKey::Player(player.id.0);
    }
    match entity
        .get::<Replicated>()
        .filter(|entity| entity.slot().is_some())
    {
        Some(replicated) => SortKey::Replicated(replicated.global().0),
        None => SortKey::Other(entity.id().to_bits()),
    }
}

/// References of the world that is saved as places in the list.
pub(super) struct ToPlaces(EntityHashMap<u32>);

impl ToPlaces {
    pub(super) fn new(held: &[Entity]) -> Self {
        Self(held.iter().copied().zip(0..).collect())
    }
}

impl EntityMapper for ToPlaces {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let place = self.0.get(&source).copied();
        place
            .and_then(Entity::from_raw_u32)
            .unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}

/// Places in the list as references to the entities that were spawned for them.
pub(super) struct ToEntities(pub(super) Vec<Entity>);

impl EntityMapper for ToEntities {
    fn get_mapped(&mut self, source: Entity) -> Entity {
        let entity = self.0.get(source.index_u32() as usize);
        entity.copied().unwrap_or(Entity::PLACEHOLDER)
    }

    fn set_mapped(&mut self, _source: Entity, _target: Entity) {}
}
