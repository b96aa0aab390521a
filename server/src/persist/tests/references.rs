//! References to entities that are not replicated yet, in checkpoints.

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::registry::{Protocol, ProtocolAppExt, reference};

use super::*;
use crate::persist::PersistAppExt;
use crate::simulation::Slots;
use crate::tests::walkers::IDLE;

#[derive(Component, Serialize, Deserialize, Clone, Debug)]
struct Aim(#[entities] Entity);

/// On entities that are in a checkpoint without being replicated.
#[derive(Component, Serialize, Deserialize, Clone, Debug)]
struct Mark;

fn extend(app: &mut App) {
    app.replicate::<Aim>().persisted();
    app.persist::<Mark>();
}

/// Returns the reference in the row of an entity.
fn aim(scripted: &ScriptedSimulation, frame: &Frame, global: GlobalId) -> Entity {
    let world = scripted.app.world();
    let entity = world.resource::<Slots>().find(global).unwrap();
    let slot = world.get::<Replicated>(entity).unwrap().slot().unwrap();
    let id = world.resource::<Protocol>().component_of::<Aim>().unwrap().id;
    let cell = frame.cold(slot).unwrap().cell(id).unwrap();
    cell.value.downcast_ref::<Aim>().unwrap().0
}

#[test]
fn a_reference_in_a_restored_world_leads_to_an_entity_that_becomes_replicated_there() {
    let mut first = ScriptedSimulation::new(IDLE, 1, extend);
    first.run(3);
    let world = first.app.world_mut();
    let late = world.spawn(Mark).id();
    let early = world.spawn((Replicated::default(), Aim(late))).id();
    first.run(5);
    let world = first.app.world_mut();
    // This one has no row yet.
    let fresh = world.spawn((Replicated::default(), Aim(late))).id();
    let holders = [early, fresh].map(|entity| world.get::<Replicated>(entity).unwrap().global());
    let bytes = save(world).unwrap();
    let mut second = ScriptedSimulation::with_script(IDLE, 1, first.script(), extend);
    second.run(17);
    second.set_script(first.script());
    load(&mut second.app, &bytes).unwrap();
    for both in [&mut first, &mut second] {
        let frame = both.tick();
        assert_eq!(
            holders.map(|holder| aim(both, &frame, holder)),
            [Entity::PLACEHOLDER; 2]
        );
        let world = both.app.world_mut();
        let late = world
            .query_filtered::<Entity, With<Mark>>()
            .single(world)
            .unwrap();
        world.entity_mut(late).insert(Replicated::default());
        let sent = reference(world.get::<Replicated>(late).unwrap().global());
        let frame = both.tick();
        assert_eq!(holders.map(|holder| aim(both, &frame, holder)), [sent; 2]);
    }
    let (expected, found) = (first.tick(), second.tick());
    assert_eq!(expected.checksum(), found.checksum());
}
