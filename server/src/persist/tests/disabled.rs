//! Disabled entities in checkpoints: they are in them, and are disabled in the restored world.

use bevy_app::App;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::ProtocolAppExt;

use super::*;
use crate::persist::PersistAppExt;
use crate::simulation::{Player, Slots};
use crate::tests::walkers::IDLE;

#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Mood(u8);

#[derive(Component, Serialize, Deserialize, Clone, Debug)]
struct Friend(#[entities] Entity);

/// A disabling component of the game, which is not persisted.
#[derive(Component)]
struct Prefab;

fn extend(app: &mut App) {
    app.world_mut().register_disabling_component::<Prefab>();
    app.replicate::<Mood>().persisted();
    app.persist::<Friend>();
}

fn restore(scripted: &ScriptedSimulation, bytes: &[u8]) -> ScriptedSimulation {
    let mut restored = ScriptedSimulation::with_script(IDLE, 1, scripted.script(), extend);
    restored.run(5);
    restored.set_script(scripted.script());
    load(&mut restored.app, bytes).unwrap();
    restored
}

fn find(scripted: &ScriptedSimulation, global: GlobalId) -> Entity {
    scripted.app.world().resource::<Slots>().find(global).unwrap()
}

#[test]
fn disabled_entities_are_disabled_in_the_restored_world_and_show_when_they_are_enabled() {
    let mut first = ScriptedSimulation::new(IDLE, 1, extend);
    first.run(3);
    let world = first.app.world_mut();
    let [long, fresh, enabled] = [1, 2, 3].map(|mood| {
        let place = Position(Vec2::new(f32::from(mood), 0.0));
        world.spawn((Replicated::default(), Mood(mood), place)).id()
    });
    let alone = world.spawn((Friend(long), Disabled)).id();
    world.entity_mut(long).insert((Disabled, Friend(alone)));
    world.entity_mut(enabled).insert(Disabled);
    first.run(100);
    let world = first.app.world_mut();
    // Since the last tick, one was disabled and one was enabled.
    world.entity_mut(fresh).insert(Disabled);
    world.entity_mut(enabled).remove::<Disabled>();
    let globals = [long, fresh, enabled].map(|entity| world.get::<Replicated>(entity).unwrap().global());
    let bytes = save(world).unwrap();
    let mut second = restore(&first, &bytes);

    let world = second.app.world();
    let entities = globals.map(|global| find(&second, global));
    let disabled = entities.map(|entity| world.entity(entity).contains::<Disabled>());
    assert_eq!(disabled, [true, true, false]);
    let friend = world.get::<Friend>(entities[0]).unwrap().0;
    assert!(world.entity(friend).contains::<Disabled>());
    assert_eq!(world.get::<Friend>(friend).unwrap().0, entities[0]);
    for tick in 0..80 {
        for (scripted, is_enabled) in [(&mut first, tick == 40), (&mut second, tick == 40)] {
            for &global in globals.iter().filter(|_| is_enabled) {
                let entity = find(scripted, global);
                scripted.app.world_mut().entity_mut(entity).remove::<Disabled>();
            }
        }
        let (expected, found) = (first.tick(), second.tick());
        assert_eq!(expected.checksum(), found.checksum(), "tick +{tick}");
        let shown = found
            .rows()
            .filter(|&(slot, _)| globals.contains(&found.identity(slot).global));
        assert_eq!(shown.count(), if tick < 40 { 1 } else { 3 }, "tick +{tick}");
    }
    let both = [&mut first, &mut second].map(|one| save(one.app.world_mut()).unwrap());
    assert!(both[0] == both[1]);
}

#[test]
fn an_entity_whose_disabling_component_is_not_persisted_is_enabled_in_the_restored_world() {
    let mut first = ScriptedSimulation::new(IDLE, 1, extend);
    let world = first.app.world_mut();
    let hidden = world.spawn((Replicated::default(), Mood(1), Prefab)).id();
    let global = world.get::<Replicated>(hidden).unwrap().global();
    first.run(3);
    let bytes = save(first.app.world_mut()).unwrap();
    let mut second = restore(&first, &bytes);
    let frame = second.tick();
    let shown = |frame: &Frame| {
        frame
            .rows()
            .any(|(slot, _)| frame.identity(slot).global == global)
    };
    assert!(shown(&frame) && !shown(&first.tick()));
}

#[test]
fn a_disabled_player_keeps_its_session_in_the_restored_world() {
    let (mut first, _) = saved(4, 60);
    let world = first.app.world_mut();
    let mut players = world.query_filtered::<Entity, With<Player>>();
    let player = players.iter(world).next().unwrap();
    let session = world.get::<Player>(player).unwrap().session;
    world.entity_mut(player).insert(Disabled);
    let bytes = save(world).unwrap();
    let mut second = ScriptedSimulation::with_script(CROWD, 4, first.script(), |_| {});
    load(&mut second.app, &bytes).unwrap();
    let world = second.app.world();
    let restored = world.resource::<Players>().get(session).unwrap();
    assert!(world.entity(restored).contains::<Disabled>());
    for tick in 0..40 {
        assert_eq!(first.tick().checksum(), second.tick().checksum(), "tick +{tick}");
    }
}
