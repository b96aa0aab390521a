//! Updates the cold rows from the registered components: those that changed, those that were removed, and all
//! that an entity had when it became replicated.
//!
//! The components are known only through the registry, whose scans find the changes. The first values of each are checked
//! here, once for all clients, so that a type that cannot be sent is logged before a client joins.

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::lifecycle::RemovedComponentEntity;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use bevy_ecs::world::FilteredEntityRef;
use throng_shared::protocol::ids::{ComponentId, GlobalId, Slot};
use throng_shared::protocol::registry::{CHECKED_VALUES, ChangeScan, ComponentEntry, Protocol, reference};

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
        let ComponentWatches {
            watches,
            since,
            unchecked,
            found,
        } = &mut *watches;
        if watches.is_empty() {
            return;
        }
        let slot_of = |entity| world.get::<Replicated>(entity).and_then(Replicated::slot);
        let mut travel = |entity| reference_of(world, entity);
        for watch in watches.iter_mut() {
            let id = watch.entry.id;
            if let Some(removed) = world.removed_components().get(watch.component) {
                for entity in watch
                    .removed
                    .read(removed)
                    .map(|removed| Entity::from(removed.clone()))
                {
                    // Despawned entities have no slot. A component that was inserted again is found below.
                    found.extend(slot_of(entity).map(|slot| (slot, id, None)));
                }
            }
            watch.scan.scan(world, *since, &mut travel, &mut |entity, value| {
                found.extend(slot_of(entity).map(|slot| (slot, id, Some(value))));
            });
        }
        let slots = world.resource::<Slots>();
        for &slot in &slots.fresh {
            let Some(entity) = slots
                .entity(slot)
                .and_then(|entity| world.get_entity(entity).ok())
            else {
                continue;
            };
            let entity = FilteredEntityRef::from(entity);
            let values = watches
                .iter()
                .filter_map(|watch| Some((watch.entry.id, watch.entry.read(&entity, &mut travel)?)));
            found.extend(values.map(|(id, value)| (slot, id, Some(value))));
        }
        // The tick is incremented, so that whatever runs next writes a newer tick than this one.
        *since = world.increment_change_tick();
        let tick = world.resource::<TickTime>().tick;
        let mut rows = world.resource_mut::<Rows>();
        for (slot, id, value) in found.drain(..) {
            if rows.0.row(slot).is_some() {
                if *unchecked & id.bit() != 0
                    && let Some(value) = &value
                    && !watches[usize::from(id.0)].check(value, rows.0.identity(slot).global)
                {
                    *unchecked &= !id.bit();
                }
                rows.0.set_component(slot, id, value, tick);
            }
        }
    });
}

/// Returns the reference that stands for an entity in a value that is sent. An entity that is not replicated
/// becomes [`Entity::PLACEHOLDER`].
pub(super) fn reference_of(world: &World, entity: Entity) -> Entity {
    let replicated = world.get::<Replicated>(entity);
    replicated.map_or(Entity::PLACEHOLDER, |replicated| reference(replicated.global()))
}
