//! Disabled entities: those with Bevy's [`Disabled`](bevy_ecs::entity_disabling::Disabled), or with another component
//! that the app registered as a disabling one.
//!
//! Owns the systems that follow what is disabled and enabled. Guarantees that after `Index` a disabled entity has no
//! row, so that it leaves all views, and that an enabled one has a row with its present values. It keeps its global id,
//! so that references to it lead to the same entity. Refuses to touch [ghosts](Ghost), which are never replicated.

use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::entity_disabling::DefaultQueryFilters;
use bevy_ecs::lifecycle::{Insert, Remove};
use bevy_ecs::observer::Observer;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use throng_shared::protocol::ids::GlobalId;

use super::disabling::Disabling;
use super::remote_frames::Ghost;
use super::replicated::{Replicated, Slots, kind_of};
use crate::runner::TickTime;

/// Watches the disabling components. Runs once, when the app is complete.
pub(super) fn watch_disabling(world: &mut World) {
    let ghost = world.register_component::<Ghost>();
    let Some(filters) = world.get_resource::<DefaultQueryFilters>() else {
        return;
    };
    let components: Vec<_> = filters.disabling_ids().filter(|&id| id != ghost).collect();
    if components.is_empty() {
        return;
    }
    world.spawn(Observer::new(note_inserted).with_components(components.iter().copied()));
    world.spawn(Observer::new(note_removed).with_components(components.iter().copied()));
    let is_disabling = |id: &WorldComponentId| components.contains(id);
    let archetypes = world.archetypes().iter();
    let present = archetypes.filter(|archetype| archetype.components().iter().any(is_disabling));
    let toggled = present.flat_map(|archetype| archetype.entities().iter().map(|entity| entity.id()));
    let toggled = toggled.collect();
    world.resource_mut::<Slots>().disabling = Disabling { components, toggled };
}

fn note_inserted(event: On<Insert>, mut slots: ResMut<Slots>) {
    slots.disabling.toggled.push(event.entity);
}

/// The entity still has the component, and may be about to be despawned, which `Index` finds out.
fn note_removed(event: On<Remove>, mut slots: ResMut<Slots>) {
    slots.disabling.toggled.push(event.entity);
}

/// Takes the slots of the entities that were disabled, and gives one to those that were enabled.
pub(super) fn sync_disabled(world: &mut World) {
    if world.resource::<Slots>().disabling.toggled.is_empty() {
        return;
    }
    let tick = world.resource::<TickTime>().tick;
    let mut toggled = std::mem::take(&mut world.resource_mut::<Slots>().disabling.toggled);
    for entity in toggled.drain(..) {
        let Ok(toggled) = world.get_entity(entity) else {
            continue;
        };
        let Some(replicated) = toggled.get::<Replicated>().copied() else {
            continue;
        };
        let is_disabled = world.resource::<Slots>().disabling.disables(toggled);
        let changed = match replicated.slot() {
            Some(slot) if is_disabled => world.resource_mut::<Slots>().hide(&replicated, slot, tick),
            None if !is_disabled && replicated.global() != GlobalId::default() => {
                let kind = kind_of(&mut DeferredWorld::from(&mut *world), entity);
                world.resource_mut::<Slots>().show(&replicated, kind, entity)
            }
            _ => continue,
        };
        if let Some(mut replicated) = world.get_mut::<Replicated>(entity) {
            *replicated = changed;
        }
    }
    // The vector is put back, so that its memory is kept.
    world.resource_mut::<Slots>().disabling.toggled = toggled;
}
