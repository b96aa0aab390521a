//! Frames equal the state of entities after every change by gameplay.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{ComponentId, GlobalId, PlayerId, SimulationId, Slot, Team, TeamId};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use super::Harness;
use crate::boundary::frame::Frame;
use crate::schedule::ServerSystems;
use crate::simulation::{Importance, Owner, Replicated, Seed, SimulationPlugin, Slots};

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hull(u16);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
struct Burning(u8);

fn protocol(app: &mut App) {
    app.replicate::<Hull>();
    app.replicate::<Burning>();
}

fn harness() -> Harness {
    Harness::new(
        SimulationPlugin {
            simulation: SimulationId(3),
            ..SimulationPlugin::default()
        },
        protocol,
    )
}

fn slot(harness: &Harness, entity: Entity) -> Slot {
    harness
        .app
        .world()
        .get::<Replicated>(entity)
        .unwrap()
        .slot()
        .unwrap()
}

fn cold<T: Clone + 'static>(frame: &Frame, slot: Slot, id: u8) -> Option<(T, u32)> {
    let cell = frame.cold(slot)?.cell(ComponentId(id))?;
    Some((cell.value.downcast_ref::<T>().unwrap().clone(), cell.changed.0))
}

#[test]
fn a_frame_shows_an_entitys_spawn_changes_and_despawn() {
    let mut harness = harness();
    let entity = harness
        .app
        .world_mut()
        .spawn((Replicated::default(), Position(Vec2::new(1.0, 2.0)), Hull(9)))
        .id();
    let first = harness.tick();
    let slot = slot(&harness, entity);
    assert_eq!(
        first.row(slot).map(|row| (row.pose.x, row.pose.y, row.changed)),
        Some((100, 200, Tick(1)))
    );
    assert_eq!(first.identity(slot).global, GlobalId(3 << 56 | 1));
    assert_eq!(cold::<Hull>(&first, slot, 0), Some((Hull(9), 1)));

    let second = harness.tick();
    assert_eq!(
        second.row(slot).map(|row| row.changed),
        Some(Tick(1)),
        "nothing changed"
    );

    let world = harness.app.world_mut();
    world.get_mut::<Hull>(entity).unwrap().0 = 8;
    world.entity_mut(entity).insert((Burning(1), Owner(PlayerId(5))));
    let third = harness.tick();
    assert_eq!(third.row(slot).map(|row| row.changed), Some(Tick(3)));
    assert_eq!(cold::<Hull>(&third, slot, 0), Some((Hull(8), 3)));
    assert_eq!(cold::<Burning>(&third, slot, 1), Some((Burning(1), 3)));
    assert_eq!(third.identity(slot).owner, PlayerId(5));
    assert_eq!(second.identity(slot).owner, PlayerId::NONE);

    harness.app.world_mut().entity_mut(entity).remove::<Hull>();
    let fourth = harness.tick();
    assert_eq!(cold::<Hull>(&fourth, slot, 0), None);
    assert_eq!(cold::<Burning>(&fourth, slot, 1), Some((Burning(1), 3)));
    assert_eq!(fourth.row(slot).map(|row| row.changed), Some(Tick(4)));

    harness.app.world_mut().despawn(entity);
    let fifth = harness.tick();
    assert!(fifth.row(slot).is_none() && fifth.cold(slot).is_none());
    assert_eq!(fifth.rows().count(), 0);
    assert!(fourth.row(slot).is_some(), "a published frame never changes");
}

#[test]
fn a_frame_has_components_from_before_an_entity_was_replicated() {
    let mut harness = harness();
    let entity = harness
        .app
        .world_mut()
        .spawn((Hull(4), Burning(2), Position(Vec2::X)))
        .id();
    harness.tick();
    harness.tick();
    harness
        .app
        .world_mut()
        .entity_mut(entity)
        .insert(Replicated::default());
    let frame = harness.tick();
    let slot = slot(&harness, entity);
    assert_eq!(
        (cold::<Hull>(&frame, slot, 0), cold::<Burning>(&frame, slot, 1)),
        (Some((Hull(4), 3)), Some((Burning(2), 3)))
    );
    assert_eq!(frame.row(slot).map(|row| row.pose.x), Some(100));
}

#[test]
fn a_frame_shows_that_parts_of_an_identity_were_removed() {
    let mut harness = harness();
    let identity = (Owner(PlayerId(7)), Team(TeamId(2)), Importance(5));
    let entity = harness
        .app
        .world_mut()
        .spawn((Replicated::default(), identity))
        .id();
    let frame = harness.tick();
    let row = slot(&harness, entity);
    let of = |frame: &Frame| {
        let identity = frame.identity(row);
        (identity.owner, identity.team, identity.importance)
    };
    assert_eq!(of(&frame), (PlayerId(7), TeamId(2), 5));
    let mut entity = harness.app.world_mut().entity_mut(entity);
    entity.remove::<(Owner, Team, Importance)>();
    let nothing = (PlayerId::NONE, TeamId::NONE, Importance::default().0);
    assert_eq!(of(&harness.tick()), nothing);
}

#[test]
fn a_slot_is_reused_only_after_its_rest_and_with_a_new_global_id() {
    let mut harness = harness();
    let first = harness
        .app
        .world_mut()
        .spawn((Replicated::default(), Hull(1)))
        .id();
    harness.tick();
    let slot_of_first = slot(&harness, first);
    harness.app.world_mut().despawn(first);
    for _ in 0..63 {
        assert!(harness.tick().row(slot_of_first).is_none());
        let other = harness
            .app
            .world_mut()
            .spawn((Replicated::default(), Hull(2)))
            .id();
        assert_ne!(slot(&harness, other), slot_of_first);
    }
    harness.tick();
    let second = harness
        .app
        .world_mut()
        .spawn((Replicated::default(), Hull(3)))
        .id();
    assert_eq!(slot(&harness, second), slot_of_first);
    let frame = harness.tick();
    assert_eq!(frame.row(slot_of_first).map(|row| row.changed), Some(frame.tick));
    assert_eq!(frame.identity(slot_of_first).global, GlobalId(3 << 56 | 65));
    assert_eq!(
        cold::<Hull>(&frame, slot_of_first, 0).map(|cell| cell.0),
        Some(Hull(3))
    );
}

#[test]
fn an_entity_that_is_replicated_again_has_a_new_slot() {
    let mut harness = harness();
    let entity = harness
        .app
        .world_mut()
        .spawn((Replicated::default(), Hull(1)))
        .id();
    harness.tick();
    let old = slot(&harness, entity);
    harness
        .app
        .world_mut()
        .entity_mut(entity)
        .insert(Replicated::default());
    let new = slot(&harness, entity);
    let frame = harness.tick();
    assert!(old != new && frame.row(old).is_none() && frame.row(new).is_some());
    assert_eq!(cold::<Hull>(&frame, new, 0).map(|cell| cell.0), Some(Hull(1)));
    harness.app.world_mut().entity_mut(entity).remove::<Replicated>();
    assert_eq!(harness.tick().rows().count(), 0);
    assert!(harness.app.world().resource::<Slots>().is_empty());
}

#[test]
fn an_entity_despawned_in_its_first_tick_is_in_no_frame() {
    let mut harness = harness();
    let world = harness.app.world_mut();
    let entity = world.spawn((Replicated::default(), Hull(1))).id();
    world.despawn(entity);
    assert_eq!(harness.tick().rows().count(), 0);
}

#[test]
fn frames_are_correct_while_tick_numbers_wrap_around() {
    let start = Tick(u32::MAX - 20);
    let mut harness = Harness::new(
        SimulationPlugin {
            start,
            ..SimulationPlugin::default()
        },
        protocol,
    );
    let entity = harness.app.world_mut().spawn(Replicated::default()).id();
    for n in 1..=100u32 {
        harness.app.world_mut().get_mut::<Position>(entity).unwrap().0.x = n as f32;
        let other = harness.app.world_mut().spawn(Replicated::default()).id();
        let frame = harness.tick();
        assert_eq!(frame.tick, start + n);
        let slot = slot(&harness, entity);
        assert_eq!(
            frame.row(slot).map(|row| (row.pose.x, row.changed)),
            Some((n as i32 * 100, frame.tick))
        );
        assert!(slot.0 < 256 && frame.chunks().len() == 1, "freed slots come back");
        harness.app.world_mut().despawn(other);
    }
    let history = &harness.app.world().resource::<crate::simulation::Frames>().0;
    assert!((0..64).all(|back| history.at(start + 100 - back).is_some()));
}

#[test]
fn entities_of_different_kinds_are_in_different_chunks() {
    let mut harness = harness();
    let world = harness.app.world_mut();
    let plain = world.spawn(Replicated::default()).id();
    let hull = world.spawn((Replicated::default(), Hull(1))).id();
    let burning = world.spawn((Replicated::default(), Burning(1))).id();
    let another = world.spawn((Replicated::default(), Hull(1))).id();
    let chunk = |entity| slot(&harness, entity).0 / 256;
    assert_eq!(
        [chunk(plain), chunk(hull), chunk(burning), chunk(another)],
        [0, 1, 2, 1]
    );
}

/// Moves, turns, spawns and despawns entities at random, and compares every frame with the ECS world entity
/// by entity.
#[test]
fn every_frame_equals_the_world() {
    fn change_at_random(
        mut commands: Commands,
        mut entities: Query<(Entity, &mut Position, &mut Velocity, &mut Heading)>,
        time: Res<crate::runner::TickTime>,
    ) {
        let mut random = Seed(1).of(GlobalId(1), time.tick);
        for (entity, mut position, mut velocity, mut heading) in &mut entities {
            match random.bits() % 16 {
                0..4 => position.0 += Vec2::splat(random.within(-3.0, 3.0)),
                4 => velocity.0.x += 1.0,
                5 => heading.0 += 1.0,
                6 => commands.entity(entity).despawn(),
                _ => {}
            }
        }
        for _ in 0..20 {
            let position = Vec2::new(random.within(-90.0, 90.0), random.within(-9.0, 9.0));
            commands.spawn((Replicated::default(), Position(position)));
        }
    }
    let mut harness = Harness::new(SimulationPlugin::default(), |app: &mut App| {
        app.add_systems(FixedUpdate, change_at_random.in_set(ServerSystems::Simulate));
    });
    for _ in 0..150 {
        let frame = harness.tick();
        let world = harness.app.world_mut();
        let mut all = world.query::<(&Replicated, &Position, &Velocity, &Heading)>();
        let mut expected: Vec<_> = all
            .iter(world)
            .map(|(replicated, position, velocity, heading)| {
                (
                    replicated.slot().unwrap(),
                    Pose::quantize(position, velocity, heading),
                    replicated.global(),
                )
            })
            .collect();
        expected.sort_by_key(|row| row.0);
        let rows: Vec<_> = frame
            .rows()
            .map(|(slot, row)| (slot, row.pose, frame.identity(slot).global))
            .collect();
        assert_eq!(rows, expected);
        let changed = frame.rows().filter(|(_, row)| row.changed == frame.tick).count();
        assert!(
            changed < rows.len() || frame.tick == Tick(1),
            "only changed rows have this tick"
        );
    }
}
