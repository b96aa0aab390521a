//! The entities that a checkpoint holds, their order, and the references between them.
//!
//! A reference within a checkpoint is the index of an entity in the list. Players come first by their ids,
//! then replicated entities by their global ids, then all others in the order of their indices, which a restored world
//! keeps. So it is saved as the same bytes.

use bevy_ecs::entity::{EntityHashMap, EntityMapper};
use bevy_ecs::prelude::*;
use bevy_ecs::resource::IsResource;
use throng_shared::protocol::ids::GlobalId;

use super::registry::Persisted;
use crate::simulation::{Ghost, Player, Replicated, Watcher};

/// The number of ancestors of an entity that are searched for a ghost.
const ANCESTORS_MAX: usize = 1_024;

/// The key by which entities are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Player(u32),
    Replicated(u64),
    Other(u32),
}

/// Returns the entities of `world` that a checkpoint holds, in the order of the checkpoint.
///
/// Images of other simulations' entities and players are not among them, whatever components they have: the simulation
/// that has the original saves it, and sends its image again. What belongs to a ghost goes with it.
pub(super) fn held(world: &mut World, persisted: &Persisted) -> Vec<Entity> {
    let reasons: Vec<_> = persisted
        .app_types()
        .iter()
        .map(|persisted| persisted.register(world))
        .collect();
    let player = world.register_component::<Player>();
    let replicated = world.register_component::<Replicated>();
    let resource = world.register_component::<IsResource>();
    let images = [
        world.register_component::<Ghost>(),
        world.register_component::<Watcher>(),
    ];
    let child = world.register_component::<ChildOf>();
    let mut keys: Vec<(SortKey, Entity)> = Vec::new();
    for archetype in world.archetypes().iter() {
        let has = |id| archetype.contains(id);
        let held = has(player) || has(replicated) || reasons.iter().any(|&id| has(id));
        if !held || has(resource) || images.into_iter().any(has) {
            continue;
        }
        let may_belong_to_ghost = has(child) && !has(player) && !has(replicated);
        for entity in archetype.entities() {
            if !(may_belong_to_ghost && belongs_to_ghost(world, entity.id())) {
                keys.push((sort_key(world.entity(entity.id())), entity.id()));
            }
        }
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, entity)| entity).collect()
}

/// Returns whether an entity of the server alone is below a ghost in the hierarchy, with no replicated entity and no
/// player between them. Of more than [`ANCESTORS_MAX`] ancestors, the nearest count.
fn belongs_to_ghost(world: &World, entity: Entity) -> bool {
    let parent = |entity: &Entity| world.get::<ChildOf>(*entity).map(ChildOf::parent);
    let ancestors = std::iter::successors(parent(&entity), parent).take(ANCESTORS_MAX);
    let mut ancestors = ancestors.filter_map(|ancestor| world.get_entity(ancestor).ok());
    let first = ancestors.find(|ancestor| {
        ancestor.contains::<Ghost>() || ancestor.contains::<Player>() || ancestor.contains::<Replicated>()
    });
    first.is_some_and(|first| first.contains::<Ghost>())
}

fn sort_key(entity: EntityRef<'_>) -> SortKey {
    if let Some(player) = entity.get::<Player>() {
        return SortKey::Player(player.id.0);
    }
    match entity
        .get::<Replicated>()
        .filter(|entity| entity.global() != GlobalId::default())
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
