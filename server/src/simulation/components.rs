//! Updates the cold rows from the registered components: those that changed, those that were removed, all that an
//! entity had when it became replicated, and those that refer to an entity which got another global id.
//!
//! The components are known only through the registry, whose scans find the changes. The first values of each are checked
//! here, once for all clients, so that a type that cannot be sent is logged before a client joins.

use std::cell::RefCell;

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::entity::EntityHashSet;
use bevy_ecs::lifecycle::RemovedComponentEntity;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use bevy_ecs::world::FilteredEntityRef;
use throng_shared::protocol::ids::{ComponentId, GlobalId, Slot};
use throng_shared::protocol::registry::{CHECKED_VALUES, ChangeScan, ComponentEntry, Protocol};

use super::references::{ReadReferences, UnresolvedReferences};
use super::replicated::{Replicated, Slots};
use super::rows::Rows;
use crate::boundary::frame::ColdValue;
use crate::runner::TickTime;

/// The watches: one for every registered component.
#[derive(Resource, Default)]
pub(super) struct ComponentWatches {
    watches: Vec<ComponentWatch>,
    pub(super) since: ChangeTick,
    /// The components of which few values were seen: a bit for each id. The next value is checked.
    unchecked: u64,
    found: Vec<(Slot, ComponentId, Option<ColdValue>)>,
    pub(super) unresolved: UnresolvedReferences,
}

struct ComponentWatch {
    entry: ComponentEntry,
    component: WorldComponentId,
    scan: Box<dyn ChangeScan>,
    removed: MessageCursor<RemovedComponentEntity>,
    /// Values that are still checked.
    checks_left: u8,
}

impl ComponentWatch {
    /// Checks one of the first values of the component, and logs what is wrong with it. Returns whether the next value is
    /// to be checked.
    fn check(&mut self, value: &ColdValue, entity: GlobalId) -> bool {
        if let Some(fault) = self.entry.check(&**value) {
            let component = self.entry.name;
            tracing::error!(component, %entity, "a component is not replicated as it is: {fault}");
        }
        self.checks_left = self.checks_left.saturating_sub(1);
        self.checks_left > 0
    }
}

/// Creates a watch for each registered component. Runs once, when the registry is complete.
pub(super) fn watch_components(world: &mut World) {
    let Some(protocol) = world.get_resource::<Protocol>().cloned() else {
        return;
    };
    let watch = |entry: &ComponentEntry| ComponentWatch {
        entry: entry.clone(),
        component: entry.register(world),
        scan: entry.changes(),
        removed: MessageCursor::default(),
        checks_left: CHECKED_VALUES,
    };
    let watches: Vec<_> = protocol.components().iter().map(watch).collect();
    let mut all = world.resource_mut::<ComponentWatches>();
    all.unchecked = watches.iter().fold(0, |bits, watch| bits | watch.entry.id.bit());
    all.watches = watches;
}

/// Writes every changed component into the cold row of its entity.
pub(super) fn sync_components(world: &mut World) {
    world.resource_scope(|world, mut watches: Mut<ComponentWatches>| {
        let watches = &mut *watches;
        let renamed = take_renamed(world, &watches.unresolved);
        if watches.watches.is_empty() {
            return;
        }
        watches.scan_changes(world);
        watches.read_fresh(world);
        watches.read_referring(world, &renamed);
        // The tick is incremented, so that whatever runs next writes a newer tick than this one.
        watches.since = world.increment_change_tick();
        watches.write(world);
    });
}

/// Takes the entities that lost their global id since the last tick and still exist. They may have another one. None if no
/// component can refer to them.
fn take_renamed(world: &mut World, unresolved: &UnresolvedReferences) -> EntityHashSet {
    if world.resource::<Slots>().discarded.is_empty() {
        return EntityHashSet::default();
    }
    let mut discarded = std::mem::take(&mut world.resource_mut::<Slots>().discarded);
    let exists = |&entity: &Entity| !unresolved.has_no_references() && world.get_entity(entity).is_ok();
    let renamed = discarded.drain(..).filter(exists).collect();
    // The vector is put back, so that its memory is kept.
    world.resource_mut::<Slots>().discarded = discarded;
    renamed
}

fn slot_of(world: &World, entity: Entity) -> Option<Slot> {
    world.get::<Replicated>(entity).and_then(Replicated::slot)
}

impl ComponentWatches {
    /// Finds the components that were removed, added or changed.
    fn scan_changes(&mut self, world: &World) {
        let (found, unresolved) = (&mut self.found, &mut self.unresolved);
        let read = RefCell::<ReadReferences>::default();
        let mut travel = |entity| read.borrow_mut().map(world, entity, |_| false);
        for (index, watch) in self.watches.iter_mut().enumerate() {
            let id = watch.entry.id;
            if let Some(removed) = world.removed_components().get(watch.component) {
                for entity in watch
                    .removed
                    .read(removed)
                    .map(|removed| Entity::from(removed.clone()))
                {
                    // Despawned entities have no slot. A component that was inserted again is found below.
                    found.extend(slot_of(world, entity).map(|slot| (slot, id, None)));
                }
            }
            watch
                .scan
                .scan(world, self.since, &mut travel, &mut |entity, value| {
                    match slot_of(world, entity) {
                        Some(slot) => {
                            found.push((slot, id, Some(value)));
                            unresolved.note(world, entity, index, &mut read.borrow_mut());
                        }
                        // All of its components are read when it becomes replicated.
                        None => *read.borrow_mut() = ReadReferences::default(),
                    }
                });
        }
    }

    /// Reads all components of the entities that got a row in this tick.
    fn read_fresh(&mut self, world: &World) {
        let read = RefCell::<ReadReferences>::default();
        let mut travel = |entity| read.borrow_mut().map(world, entity, |_| false);
        let slots = world.resource::<Slots>();
        for &slot in &slots.fresh {
            let Some(entity) = slots
                .entity(slot)
                .and_then(|entity| world.get_entity(entity).ok())
            else {
                continue;
            };
            let filtered = FilteredEntityRef::from(entity);
            for (index, watch) in self.watches.iter().enumerate() {
                let Some(value) = watch.entry.read(&filtered, &mut travel) else {
                    continue;
                };
                self.found.push((slot, watch.entry.id, Some(value)));
                self.unresolved
                    .note(world, entity.id(), index, &mut read.borrow_mut());
            }
        }
    }

    /// Reads the components again that refer to an entity which became replicated in this tick, or which lost its global
    /// id.
    fn read_referring(&mut self, world: &World, renamed: &EntityHashSet) {
        let slots = world.resource::<Slots>();
        let fresh = slots.fresh.iter().filter_map(|&slot| slots.entity(slot));
        if !renamed.is_empty() || self.unresolved.has_overflowed() && !slots.fresh.is_empty() {
            return self.read_all_referring(world, &fresh.chain(renamed.iter().copied()).collect());
        }
        if self.unresolved.is_empty() {
            return;
        }
        let read = RefCell::<ReadReferences>::default();
        for target in fresh {
            let mut travel = |entity| read.borrow_mut().map(world, entity, |entity| entity == target);
            for (holder, components) in self.unresolved.take(target) {
                let (Some(slot), Ok(entity)) = (slot_of(world, holder), world.get_entity(holder)) else {
                    continue;
                };
                let filtered = FilteredEntityRef::from(entity);
                let noted = |&(index, _): &(usize, &ComponentWatch)| components & 1 << index != 0;
                for (index, watch) in self.watches.iter().enumerate().filter(noted) {
                    let value = watch.entry.read(&filtered, &mut travel);
                    if self.unresolved.note(world, holder, index, &mut read.borrow_mut()) {
                        self.found.push((slot, watch.entry.id, value));
                    }
                }
            }
        }
    }

    /// Reads every component that may refer to entities, and finds those that refer to one of `targets`.
    fn read_all_referring(&mut self, world: &World, targets: &EntityHashSet) {
        let (found, unresolved) = (&mut self.found, &mut self.unresolved);
        unresolved.clear();
        // No change is older than that: ages are calculated by wrapping differences.
        let ever = ChangeTick::new(world.read_change_tick().get().wrapping_add(1));
        let read = RefCell::<ReadReferences>::default();
        let mut travel = |entity| {
            read.borrow_mut()
                .map(world, entity, |entity| targets.contains(&entity))
        };
        for (index, watch) in self.watches.iter_mut().enumerate() {
            if !unresolved.has_references(index) {
                continue;
            }
            let id = watch.entry.id;
            watch.scan.scan(world, ever, &mut travel, &mut |entity, value| {
                let Some(slot) = slot_of(world, entity) else {
                    return *read.borrow_mut() = ReadReferences::default();
                };
                if unresolved.note(world, entity, index, &mut read.borrow_mut()) {
                    found.push((slot, id, Some(value)));
                }
            });
        }
    }

    /// Writes what was found into the rows.
    fn write(&mut self, world: &mut World) {
        let tick = world.resource::<TickTime>().tick;
        let mut rows = world.resource_mut::<Rows>();
        for (slot, id, value) in self.found.drain(..) {
            if rows.0.row(slot).is_some() {
                if self.unchecked & id.bit() != 0
                    && let Some(value) = &value
                    && !self.watches[usize::from(id.0)].check(value, rows.0.identity(slot).global)
                {
                    self.unchecked &= !id.bit();
                }
                rows.0.set_component(slot, id, value, tick);
            }
        }
    }
}
