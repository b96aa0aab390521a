//! Finding the entities whose component changed, for component types that only the registry knows.
//!
//! Reads change ticks column by column, so that an entity that did not change costs a fraction of a
//! nanosecond; looks at sparse components one by one.

use std::sync::Arc;

use bevy_ecs::change_detection::Tick;
use bevy_ecs::prelude::{Component, DetectChanges, Entity, Ref, World};
use bevy_ecs::query::QueryState;

use super::AnyValue;
use super::references::{MapReferences, References};

/// Entities whose change ticks are tested together.
const BLOCK: usize = 64;

/// Finds what changed in one component of one world. Made by
/// [`ComponentEntry::changes`](super::ComponentEntry::changes).
pub trait ChangeScan: Send + Sync {
    /// Calls `visit` with a copy of the component of every entity in which it was added or changed after
    /// `since`, a change tick of this world that is not older than Bevy keeps. References in the copies are
    /// replaced as `map` says.
    fn scan(
        &mut self,
        world: &World,
        since: Tick,
        map: &mut MapReferences<'_>,
        visit: &mut dyn FnMut(Entity, Arc<AnyValue>),
    );
}

/// The scan of `T`; made when it first sees the world.
pub(super) struct Scan<T: Component>(Option<QueryState<(Entity, Ref<'static, T>)>>);

impl<T: Component> Default for Scan<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Component + Clone> ChangeScan for Scan<T> {
    fn scan(
        &mut self,
        world: &World,
        since: Tick,
        map: &mut MapReferences<'_>,
        visit: &mut dyn FnMut(Entity, Arc<AnyValue>),
    ) {
        if self.0.is_none() {
            self.0 = QueryState::try_new(world);
        }
        // No entity has ever had a component that the world does not know.
        let Some(query) = &mut self.0 else { return };
        let now = world.read_change_tick().get();
        let age = now.wrapping_sub(since.get());
        let newer = |tick: &Tick| now.wrapping_sub(tick.get()) < age;
        let mut copy = |component: &T| {
            let mut copy = component.clone();
            T::map_entities(&mut copy, &mut References(&mut *map));
            Arc::new(copy)
        };
        let Ok(tables) = query.contiguous_iter(world) else {
            for (entity, component) in query.iter(world) {
                if newer(&component.last_changed()) {
                    visit(entity, copy(&component));
                }
            }
            return;
        };
        for (entities, components) in tables {
            let ticks = components.changed_ticks_slice();
            let components = components.into_inner();
            for (block, ticks) in ticks.chunks(BLOCK).enumerate() {
                if !ticks.iter().fold(false, |any, tick| any | newer(tick)) {
                    continue;
                }
                for (at, _) in ticks.iter().enumerate().filter(|(_, tick)| newer(tick)) {
                    let at = block * BLOCK + at;
                    visit(entities[at], copy(&components[at]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Component, Clone, Debug, PartialEq)]
    struct Table(u32);

    #[derive(Component, Clone, Debug, PartialEq)]
    #[component(storage = "SparseSet")]
    struct Sparse(u32);

    fn changed<T: Component + Clone>(scan: &mut Scan<T>, world: &World, since: Tick) -> BTreeMap<Entity, T> {
        let mut found = BTreeMap::new();
        scan.scan(world, since, &mut |entity| entity, &mut |entity, value| {
            let value: &T = value.downcast_ref().unwrap();
            assert!(found.insert(entity, value.clone()).is_none());
        });
        found
    }

    #[test]
    fn finds_exactly_what_was_added_or_changed() {
        let mut world = World::new();
        let (mut table, mut sparse) = (Scan::<Table>::default(), Scan::<Sparse>::default());
        let start = world.increment_change_tick();
        assert!(changed(&mut table, &world, start).is_empty(), "not known yet");
        let entities: Vec<_> = (0..300)
            .map(|n| world.spawn((Table(n), Sparse(n))).id())
            .collect();
        assert_eq!(changed(&mut table, &world, start).len(), 300);
        assert_eq!(changed(&mut sparse, &world, start).len(), 300);

        let since = world.increment_change_tick();
        for &at in &[0usize, 63, 64, 299] {
            world.get_mut::<Table>(entities[at]).unwrap().0 = 1_000;
            world.get_mut::<Sparse>(entities[at]).unwrap().0 = 1_000;
        }
        let late = world.spawn(Table(7)).id();
        let found = changed(&mut table, &world, since);
        assert_eq!(found.len(), 5);
        assert_eq!(
            (found.get(&late), found.get(&entities[63])),
            (Some(&Table(7)), Some(&Table(1_000)))
        );
        assert_eq!(changed(&mut sparse, &world, since).len(), 4);
        let since = world.increment_change_tick();
        assert!(changed(&mut table, &world, since).is_empty());
    }
}
