//! References to entities, as they are sent.
//!
//! Owns which components refer to entities that are not replicated, so that they are read again when these are. Guarantees
//! that a row holds the present global id of every entity that its components refer to. Refuses to remember more than
//! [`UNRESOLVED_MAX`] of them; beyond that, all components are read again in each tick in which an entity becomes
//! replicated. Costs nothing in a tick in which no component with such a reference is written and no entity becomes
//! replicated.

use bevy_ecs::entity::{EntityHashMap, EntityIndexMap};
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::registry::reference;

use super::remote_frames::Ghost;
use super::replicated::Replicated;

/// Pairs of entities that are remembered at most: one that refers to another, which is not replicated. Further ones are
/// found by reading all components, which is logged once.
const UNRESOLVED_MAX: usize = 1 << 20;
/// Pairs from which on those of despawned entities are looked for.
const CLEAN_FROM: usize = 1_024;

/// Returns the reference that stands for an entity in a value that is sent, also for a [`Ghost`]. An entity that is not
/// replicated becomes [`Entity::PLACEHOLDER`].
pub(super) fn reference_of(world: &World, entity: Entity) -> Entity {
    let global = |entity: EntityRef<'_>| {
        let own = entity.get::<Replicated>().map(Replicated::global);
        let global = match own {
            Some(global) if global != GlobalId::default() => own,
            // The global id of an original in another simulation.
            _ if entity.contains::<Ghost>() => entity.get::<GlobalId>().copied(),
            _ => None,
        };
        global.map_or(Entity::PLACEHOLDER, reference)
    };
    world.get_entity(entity).map_or(Entity::PLACEHOLDER, global)
}

/// The references in one value.
#[derive(Debug, Default)]
pub(super) struct ReadReferences {
    /// Whether there are any.
    has_any: bool,
    /// Whether one of them leads to an entity that was looked for.
    is_affected: bool,
    /// The entities that are not replicated.
    waiting: Vec<Entity>,
}

impl ReadReferences {
    /// Returns the reference that stands for `entity`, and notes it. `is_affected` says whether it is looked for.
    pub(super) fn map(
        &mut self,
        world: &World,
        entity: Entity,
        is_affected: impl FnOnce(Entity) -> bool,
    ) -> Entity {
        self.has_any = true;
        self.is_affected |= is_affected(entity);
        let reference = reference_of(world, entity);
        if reference == Entity::PLACEHOLDER && world.get_entity(entity).is_ok() {
            self.waiting.push(entity);
        }
        reference
    }
}

/// The components that refer to entities which are not replicated, by these entities.
#[derive(Debug)]
pub(super) struct UnresolvedReferences {
    /// For each entity, the entities that refer to it, each with a bit for each component. The holders are in the order
    /// in which they were noted.
    holders: EntityHashMap<EntityIndexMap<u64>>,
    pairs: usize,
    max: usize,
    clean_at: usize,
    /// The components of which a value had a reference: a bit for each index.
    with_references: u64,
    has_overflowed: bool,
    has_warned: bool,
}

impl Default for UnresolvedReferences {
    fn default() -> Self {
        Self::with_max(UNRESOLVED_MAX)
    }
}

impl UnresolvedReferences {
    pub(super) fn with_max(max: usize) -> Self {
        Self {
            holders: EntityHashMap::default(),
            pairs: 0,
            max,
            clean_at: CLEAN_FROM.min(max),
            with_references: 0,
            has_overflowed: false,
            has_warned: false,
        }
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Returns whether there are more than are remembered.
    pub(super) fn has_overflowed(&self) -> bool {
        self.has_overflowed
    }

    /// Returns whether no component had a reference yet.
    pub(super) fn has_no_references(&self) -> bool {
        self.with_references == 0
    }

    /// Returns whether a value of the component with this index had a reference.
    pub(super) fn has_references(&self, component: usize) -> bool {
        self.with_references & 1 << component != 0
    }

    /// Forgets all of them, before all components are read again.
    pub(super) fn clear(&mut self) {
        self.holders.clear();
        (self.pairs, self.has_overflowed) = (0, false);
        self.clean_at = CLEAN_FROM.min(self.max);
    }

    /// Remembers the references of the component with this index that lead to entities which are not replicated. Empties
    /// `read`, and returns whether it was affected.
    pub(super) fn note(
        &mut self,
        world: &World,
        holder: Entity,
        component: usize,
        read: &mut ReadReferences,
    ) -> bool {
        if !std::mem::take(&mut read.has_any) {
            return false;
        }
        self.with_references |= 1 << component;
        for target in read.waiting.drain(..) {
            if self.pairs >= self.clean_at {
                self.clean(world);
            }
            if self.has_overflowed {
                continue;
            }
            let components = self.holders.entry(target).or_default().entry(holder);
            let components = components.or_insert_with(|| {
                self.pairs += 1;
                0
            });
            *components |= 1 << component;
        }
        std::mem::take(&mut read.is_affected)
    }

    /// Removes and returns the entities that refer to `target`, each with the bits of their components.
    pub(super) fn take(&mut self, target: Entity) -> EntityIndexMap<u64> {
        let holders = self.holders.remove(&target).unwrap_or_default();
        self.pairs -= holders.len();
        holders
    }

    /// Forgets what refers to despawned entities and what despawned entities refer to, and notes whether there is no room.
    fn clean(&mut self, world: &World) {
        if self.has_overflowed {
            return;
        }
        let exists = |entity: Entity| world.get_entity(entity).is_ok();
        self.holders.retain(|&target, holders| {
            holders.retain(|&holder, _| exists(holder));
            exists(target) && !holders.is_empty()
        });
        self.pairs = self.holders.values().map(|holders| holders.len()).sum();
        self.has_overflowed = self.pairs >= self.max;
        // At most half of what is remembered is of despawned entities, and a search pays off.
        self.clean_at = (2 * self.pairs).clamp(CLEAN_FROM.min(self.max), self.max);
        if self.has_overflowed && !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                max = self.max,
                "so many components refer to entities that are not replicated that all components are read in each tick \
                 in which an entity becomes replicated"
            );
        }
    }
}
