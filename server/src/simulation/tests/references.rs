//! References in the components of rows are the present global ids of the entities.

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{ComponentId, GlobalId, SimulationId, Slot};
use throng_shared::protocol::registry::{ProtocolAppExt, reference};

use super::Harness;
use crate::boundary::frame::Frame;
use crate::simulation::components::ComponentWatches;
use crate::simulation::references::UnresolvedReferences;
use crate::simulation::{Ghost, Replicated, RowLocation, SimulationPlugin};

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Aim(#[entities] Entity);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mood(u8);

fn protocol(app: &mut App) {
    app.replicate::<Mood>();
    app.replicate::<Aim>();
}

/// Returns the reference in the row of `holder`, and the tick of its last change.
fn aim(harness: &Harness, frame: &Frame, holder: Entity) -> (Entity, u32) {
    let world = harness.app.world();
    let slot = world.get::<Replicated>(holder).unwrap().slot().unwrap();
    let cell = frame.cold(slot).unwrap().cell(ComponentId(1)).unwrap();
    (cell.value.downcast_ref::<Aim>().unwrap().0, cell.changed.0)
}

fn sent(harness: &Harness, entity: Entity) -> Entity {
    reference(harness.app.world().get::<Replicated>(entity).unwrap().global())
}

#[test]
fn a_reference_to_a_ghost_is_the_global_id_of_the_original() {
    let mut harness = Harness::new(SimulationPlugin::default(), protocol);
    let world = harness.app.world_mut();
    let ghost = Ghost(RowLocation {
        simulation: SimulationId(1),
        slot: Slot(3),
    });
    let global = GlobalId(1 << 56 | 9);
    let ghost = world.spawn((ghost, global)).id();
    // A component of this ghost requires `Replicated`, which has no global id there.
    let other = Ghost(RowLocation {
        simulation: SimulationId(1),
        slot: Slot(4),
    });
    let other = world
        .spawn((other, GlobalId(1 << 56 | 10), Replicated::default()))
        .id();
    let holders = [ghost, other].map(|ghost| world.spawn((Replicated::default(), Aim(ghost))).id());
    let frame = harness.tick();
    assert_eq!(aim(&harness, &frame, holders[0]), (reference(global), 1));
    let (value, _) = aim(&harness, &frame, holders[1]);
    assert_eq!(value, reference(GlobalId(1 << 56 | 10)));
}

#[test]
fn beyond_the_bound_references_are_resolved_as_well() {
    for max in [2, 5, 40, 1_000] {
        let mut harness = Harness::new(SimulationPlugin::default(), protocol);
        let world = harness.app.world_mut();
        world.resource_mut::<ComponentWatches>().unresolved = UnresolvedReferences::with_max(max);
        let targets: Vec<_> = (0..20).map(|_| world.spawn_empty().id()).collect();
        let spawn = |&target: &Entity| world.spawn((Replicated::default(), Mood(1), Aim(target))).id();
        let holders: Vec<_> = targets.iter().chain(&targets).map(spawn).collect();
        harness.tick();
        for (n, &target) in targets.iter().enumerate() {
            harness
                .app
                .world_mut()
                .entity_mut(target)
                .insert(Replicated::default());
            let tick = harness.next().0;
            let frame = harness.tick();
            let sent = sent(&harness, target);
            for holder in [holders[n], holders[n + 20]] {
                assert_eq!(
                    aim(&harness, &frame, holder),
                    (sent, tick),
                    "max {max}, target {n}"
                );
            }
            if let Some(next) = holders.get(n + 1).filter(|_| n + 1 < 20) {
                assert_eq!(aim(&harness, &frame, *next), (Entity::PLACEHOLDER, 1));
            }
        }
        let watches = harness.app.world().resource::<ComponentWatches>();
        assert!(watches.unresolved.is_empty() && !watches.unresolved.has_overflowed());
    }
}

#[test]
fn references_of_despawned_entities_are_forgotten() {
    let mut harness = Harness::new(SimulationPlugin::default(), protocol);
    harness
        .app
        .world_mut()
        .resource_mut::<ComponentWatches>()
        .unresolved = UnresolvedReferences::with_max(100);
    for _ in 0..50 {
        let world = harness.app.world_mut();
        let holders: Vec<_> = (0..10)
            .map(|_| {
                let target = world.spawn_empty().id();
                (world.spawn((Replicated::default(), Aim(target))).id(), target)
            })
            .collect();
        harness.tick();
        for (n, (holder, target)) in holders.into_iter().enumerate() {
            let gone = if n % 2 == 0 { holder } else { target };
            harness.app.world_mut().despawn(gone);
        }
        let watches = harness.app.world().resource::<ComponentWatches>();
        assert!(!watches.unresolved.has_overflowed());
    }
}
