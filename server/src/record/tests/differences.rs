//! A divergence names the tick, the entity and the component that differ.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use super::{Sink, recorded, replayed};
use crate::record::{DifferenceKind, Divergence, ReplayError};
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{Owner, Replicated};
use crate::tests::walkers::IDLE;

#[derive(Component, Serialize, Deserialize, Clone)]
struct Ore(u32);

#[derive(Component, Serialize, Deserialize, Clone)]
struct Fuel(u32);

/// The change that makes tick [`SLIP_TICK`] of the replay differ.
#[derive(Resource, Clone, Copy)]
struct Slip(fn(&mut World));

const SLIP_TICK: Tick = Tick(40);
/// The entity that was spawned fifth.
const SLIP_ENTITY: GlobalId = GlobalId(5);

/// Adds a game of entities with two components. All of them change now and then, and one is spawned and one
/// despawned every ten ticks.
fn game(app: &mut App) {
    app.replicate::<Ore>();
    app.replicate::<Fuel>();
    app.add_systems(FixedUpdate, live.in_set(ServerSystems::Simulate));
}

fn live(world: &mut World) {
    let tick = world.resource::<TickTime>().tick;
    if tick == Tick(1) || tick.0.is_multiple_of(10) {
        for n in 0..if tick == Tick(1) { 20 } else { 1 } {
            world.spawn((Replicated::default(), Ore(n), Fuel(n)));
        }
    }
    let mut all = world.query::<(&Replicated, &mut Ore, &mut Position)>();
    for (replicated, mut ore, mut position) in all.iter_mut(world) {
        if (replicated.global().0 + u64::from(tick.0)).is_multiple_of(5) {
            ore.0 += 1;
            position.0.x += 1.0;
        }
    }
    if tick.0 % 10 == 5 {
        let oldest = find(world, GlobalId(u64::from(tick.0 / 10) + 10));
        world.despawn(oldest);
    }
    if tick == SLIP_TICK
        && let Some(&Slip(slip)) = world.get_resource::<Slip>()
    {
        slip(world);
    }
}

fn find(world: &mut World, global: GlobalId) -> Entity {
    let mut all = world.query::<(Entity, &Replicated)>();
    let mut found = all
        .iter(world)
        .filter(|(_, replicated)| replicated.global() == global);
    found.next().map(|(entity, _)| entity).unwrap()
}

fn slip<T: Component<Mutability = bevy_ecs::component::Mutable>>(
    world: &mut World,
    how: impl FnOnce(&mut T),
) {
    let entity = find(world, SLIP_ENTITY);
    how(&mut world.get_mut::<T>(entity).unwrap());
}

/// A change of the replay, the entity that it changes, and the expected difference.
type Case = (fn(&mut World), GlobalId, DifferenceKind);

/// Replays a recording of the game once for every case, and checks the difference.
fn assert_named(cases: impl IntoIterator<Item = Case>) {
    let sink = Sink::default();
    recorded(IDLE, 1, game, sink.clone()).run(100);
    let bytes = sink.bytes();
    assert_eq!(replayed(&bytes, game).unwrap().ticks, 100);
    for (number, (slip, entity, what)) in cases.into_iter().enumerate() {
        let outcome = replayed(&bytes, |app| {
            game(app);
            app.insert_resource(Slip(slip));
        });
        let expected = Divergence {
            tick: SLIP_TICK,
            entity: Some(entity),
            what,
        };
        match outcome {
            Err(ReplayError::Diverged(found)) => assert_eq!(found, expected, "case {number}"),
            other => panic!("case {number}: {other:?}"),
        }
    }
}

#[test]
fn a_divergence_names_the_first_component_that_differs() {
    let component = |name: &str| DifferenceKind::Component(name.to_owned());
    let cases: [Case; 6] = [
        (
            |world| slip::<Position>(world, |position| position.0 += Vec2::splat(0.01)),
            SLIP_ENTITY,
            component("Position"),
        ),
        (
            |world| slip::<Velocity>(world, |velocity| velocity.0.x = 3.0),
            SLIP_ENTITY,
            component("Velocity"),
        ),
        (
            |world| slip::<Heading>(world, |heading| heading.0 = 1.0),
            SLIP_ENTITY,
            component("Heading"),
        ),
        (
            |world| slip::<Ore>(world, |ore| ore.0 += 1),
            SLIP_ENTITY,
            component("throng_server::record::tests::differences::Ore"),
        ),
        (
            |world| slip::<Fuel>(world, |fuel| fuel.0 += 1),
            SLIP_ENTITY,
            component("throng_server::record::tests::differences::Fuel"),
        ),
        (
            |world| {
                let entity = find(world, SLIP_ENTITY);
                world.entity_mut(entity).insert(Owner(PlayerId(4)));
            },
            SLIP_ENTITY,
            component("identity (owner, team, importance)"),
        ),
    ];
    assert_named(cases);
}

#[test]
fn a_divergence_names_an_entity_only_the_replay_spawned_despawned_or_changed() {
    let cases: [Case; 3] = [
        (
            |world| {
                let entity = find(world, GlobalId(7));
                world.get_mut::<Fuel>(entity).unwrap().0 += 1;
            },
            GlobalId(7),
            DifferenceKind::Changed,
        ),
        (
            |world| {
                let entity = find(world, GlobalId(7));
                world.despawn(entity);
            },
            GlobalId(7),
            DifferenceKind::Despawned,
        ),
        (
            |world| {
                world.spawn(Replicated::default());
            },
            GlobalId(25),
            DifferenceKind::Spawned,
        ),
    ];
    assert_named(cases);
}

/// In these cases the recording has the change, and the replay does not.
#[test]
fn a_divergence_names_an_entity_only_the_recording_spawned_despawned_or_changed() {
    let cases: [(fn(&mut App), GlobalId, DifferenceKind); 3] = [
        (
            |app| {
                game(app);
                app.insert_resource(Slip(|world| {
                    let entity = find(world, GlobalId(7));
                    world.get_mut::<Fuel>(entity).unwrap().0 += 1;
                }));
            },
            GlobalId(7),
            DifferenceKind::Unchanged,
        ),
        (
            |app| {
                game(app);
                app.insert_resource(Slip(|world| {
                    let entity = find(world, GlobalId(7));
                    world.despawn(entity);
                }));
            },
            GlobalId(7),
            DifferenceKind::NotDespawned,
        ),
        (
            |app| {
                game(app);
                app.insert_resource(Slip(|world| {
                    world.spawn(Replicated::default());
                }));
            },
            GlobalId(25),
            DifferenceKind::NotSpawned,
        ),
    ];
    for (number, (recording, entity, what)) in cases.into_iter().enumerate() {
        let sink = Sink::default();
        recorded(IDLE, 1, recording, sink.clone()).run(60);
        let expected = Divergence {
            tick: SLIP_TICK,
            entity: Some(entity),
            what,
        };
        match replayed(&sink.bytes(), game) {
            Err(ReplayError::Diverged(found)) => {
                assert_eq!(found, expected, "case {number}");
                assert!(found.to_string().contains("tick 40"), "{found}");
            }
            other => panic!("case {number}: {other:?}"),
        }
    }
}

#[test]
fn another_protocol_is_refused() {
    let sink = Sink::default();
    recorded(IDLE, 1, game, sink.clone()).run(3);
    assert!(matches!(
        replayed(&sink.bytes(), |_| {}),
        Err(ReplayError::Protocol { .. })
    ));
}
