//! Finds the entities whose component changed, for component types that only the registry knows.
//!
//! Reads change ticks column by column, so that an entity that did not change costs a fraction of a
//! nanosecond. Reads components in sparse storage one by one.

use std::sync::Arc;

use bevy_ecs::change_detection::Tick;
use bevy_ecs::prelude::{Component, DetectChanges, Entity, Ref, World};
use bevy_ecs::query::QueryState;

use super::references::{MapReferences, References};
use super::value::AnyValue;

/// Entities whose change ticks are tested together.
const BLOCK: usize = 64;

/// Finds the changes of one component in one world. Made by
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

/// The scan of `T`; its query is made when it first sees the world.
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
        // Without a query the world does not know the component, so no entity has ever had it.
        let Some(query) = &mut self.0 else { return };
        let now = world.read_change_tick().get();
        let age = now.wrapping_sub(since.get());
        // Compares ages, not ticks: wrapping differences stay right when the counter wraps around.
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
                // Without an early exit the compiler tests several ticks with one instruction.
                if !ticks.iter().fold(false, |any, tick| any | newer(tick)) {
                    continue;
                }
                for (index, _) in ticks.iter().enumerate().filter(|(_, tick)| newer(tick)) {
                    let index = block * BLOCK + index;
                    visit(entities[index], copy(&components[index]));
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
    fn a_scan_finds_exactly_the_added_and_changed_components() {
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
        for &index in &[0usize, 63, 64, 299] {
            world.get_mut::<Table>(entities[index]).unwrap().0 = 1_000;
            world.get_mut::<Sparse>(entities[index]).unwrap().0 = 1_000;
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
