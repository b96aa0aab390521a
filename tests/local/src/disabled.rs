//! Disabled entities: clients do not see them, and see their present values when they are enabled again.

use bevy_app::{App, FixedMain, FixedUpdate};
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::world::{Own, WorldMirror};
use throng_server::prelude::*;
use throng_server::simulation::Slots;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::random::Random;

use super::fixtures::{global, lossy, seen, welcome};
use super::*;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plating(u16);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Burning;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AimedAt(#[entities] Entity);

/// A disabling component of the game.
#[derive(Component)]
struct Prefab;

fn protocol(app: &mut App) {
    app.replicate::<Plating>();
    app.replicate::<Burning>();
    app.replicate::<AimedAt>();
    app.replicate::<ChildOf>();
}

fn server(app: &mut App) {
    app.world_mut().register_disabling_component::<Prefab>();
    app.add_plugins(protocol)
        .add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
}

/// Returns what a client sees of an entity.
fn shown(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Option<(f32, Option<u16>, bool)> {
    let seen = seen(game, player, entity)?;
    Some(values(game.world(player), seen))
}

fn values(world: &World, entity: Entity) -> (f32, Option<u16>, bool) {
    (
        world.get::<Position>(entity).unwrap().0.x,
        world.get::<Plating>(entity).map(|hull| hull.0),
        world.get::<Burning>(entity).is_some(),
    )
}

#[test]
fn an_entity_that_is_disabled_changed_and_enabled_has_the_servers_values_at_clients() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let ship = game
        .server()
        .spawn((Replicated::default(), Plating(1), Burning))
        .id();
    game.run(3);
    assert_eq!(shown(&mut game, ada, ship), Some((0.0, Some(1), true)));
    let before = global(&mut game, ship);

    game.server().entity_mut(ship).insert(Disabled);
    game.run(3);
    assert_eq!(shown(&mut game, ada, ship), None, "a disabled entity is hidden");
    game.server().get_mut::<Plating>(ship).unwrap().0 = 2;
    game.server().get_mut::<Position>(ship).unwrap().0.x = 9.0;
    game.server().entity_mut(ship).remove::<Burning>();
    game.run(200);
    let bob = game.join("Bob", client);
    assert_eq!(shown(&mut game, bob, ship), None);

    game.server().entity_mut(ship).remove::<Disabled>();
    game.run(3);
    for player in [ada, bob] {
        assert_eq!(shown(&mut game, player, ship), Some((9.0, Some(2), false)));
    }
    assert_eq!(global(&mut game, ship), before, "it is the same entity");
    let found = game.server().resource::<Slots>().find(before);
    assert_eq!(found, Some(ship));
    game.server().get_mut::<Plating>(ship).unwrap().0 = 3;
    game.run(3);
    assert_eq!(shown(&mut game, ada, ship), Some((9.0, Some(3), false)));
}

#[test]
fn entities_that_are_spawned_disabled_or_disabled_by_a_component_of_the_game_are_hidden() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let early = game
        .server()
        .spawn((Replicated::default(), Plating(1), Disabled))
        .id();
    let late = game.server().spawn((Plating(2), Disabled)).id();
    let prefab = game
        .server()
        .spawn((Replicated::default(), Plating(3), Prefab))
        .id();
    game.run(2);
    game.server().entity_mut(late).insert(Replicated::default());
    game.run(3);
    for entity in [early, late, prefab] {
        assert_eq!(shown(&mut game, ada, entity), None);
        assert_eq!(game.server().get::<Replicated>(entity).unwrap().slot(), None);
    }
    game.server().entity_mut(early).remove::<Disabled>();
    game.server().entity_mut(late).remove::<Disabled>();
    game.server()
        .entity_mut(prefab)
        .insert(Disabled)
        .remove::<Prefab>();
    game.run(3);
    assert_eq!(shown(&mut game, ada, early), Some((0.0, Some(1), false)));
    assert_eq!(shown(&mut game, ada, late), Some((0.0, Some(2), false)));
    assert_eq!(shown(&mut game, ada, prefab), None, "one of two is left");
    game.server().entity_mut(prefab).remove::<Disabled>();
    game.run(3);
    assert_eq!(shown(&mut game, ada, prefab), Some((0.0, Some(3), false)));
}

#[test]
fn references_and_children_of_a_disabled_entity_are_as_those_of_one_out_of_view() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let parent = game.server().spawn(Replicated::default()).id();
    let child = (Replicated::default(), AimedAt(parent), ChildOf(parent));
    let child = game.server().spawn(child).id();
    game.run(3);
    let linked = |game: &mut LocalGame| {
        let (parent, child) = (seen(game, ada, parent), seen(game, ada, child).unwrap());
        let world = game.world(ada);
        let target = world.get::<AimedAt>(child).map(|target| target.0);
        (parent, target, world.get::<ChildOf>(child).map(ChildOf::parent))
    };
    let (there, target, above) = linked(&mut game);
    assert!(there.is_some() && target == there && above == there);
    for _ in 0..2 {
        game.server().entity_mut(parent).insert(Disabled);
        game.run(3);
        assert_eq!(linked(&mut game), (None, Some(Entity::PLACEHOLDER), None));
        game.server().entity_mut(parent).remove::<Disabled>();
        game.run(3);
        let (there, target, above) = linked(&mut game);
        assert!(there.is_some() && target == there && above == there);
    }
    // A reference that is written while its target is disabled leads to it later.
    game.server().entity_mut(parent).insert(Disabled);
    game.run(3);
    game.server().entity_mut(child).insert(AimedAt(parent));
    game.run(3);
    game.server().entity_mut(parent).remove::<Disabled>();
    game.run(3);
    let (there, target, _) = linked(&mut game);
    assert!(there.is_some() && target == there);
}

#[test]
fn player_of_a_disabled_avatar_sees_on_and_has_no_own_entity() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let player = game.player(ada).unwrap();
    let avatar = game.server().get::<Avatar>(player).unwrap().0;
    let room = Room(RoomId(7));
    game.server()
        .entity_mut(avatar)
        .insert((room, Position(Vec2::new(400.0, 0.0))));
    let near = (
        Replicated::default(),
        room,
        Position(Vec2::new(410.0, 0.0)),
        Plating(1),
    );
    let near = game.server().spawn(near).id();
    let owns = |game: &mut LocalGame| {
        let world = game.world(ada);
        world.query::<&Own>().iter(world).count()
    };
    game.run(3);
    assert_eq!((owns(&mut game), seen(&mut game, ada, near).is_some()), (1, true));
    game.server().entity_mut(avatar).insert(Disabled);
    game.server().get_mut::<Plating>(near).unwrap().0 = 2;
    game.run(3);
    assert_eq!(owns(&mut game), 0);
    assert_eq!(shown(&mut game, ada, near), Some((410.0, Some(2), false)));
    game.server().entity_mut(avatar).remove::<Disabled>();
    game.run(3);
    assert_eq!(owns(&mut game), 1);

    // A player that is disabled keeps its session and its view.
    game.server().entity_mut(player).insert(Disabled);
    game.server().get_mut::<Plating>(near).unwrap().0 = 3;
    game.server().get_mut::<Position>(avatar).unwrap().0.x = 405.0;
    game.run(40);
    assert_eq!(game.client(ada).ended(), None);
    assert_eq!(shown(&mut game, ada, near), Some((410.0, Some(3), false)));
    assert_eq!(shown(&mut game, ada, avatar).map(|shown| shown.0), Some(405.0));
    game.leave(ada);
    game.run(3);
    assert!(game.server().get_entity(player).is_err());
}

#[test]
fn clients_agree_with_the_server_however_entities_are_toggled_on_a_lossy_line() {
    for seed in 1..=3 {
        let mut game = LocalGame::new(server);
        let ada = game.join("Ada", client);
        game.set_line(ada, lossy(0.2));
        let mut chance = Random::new(seed);
        let ships: Vec<_> = (0..20)
            .map(|n| game.server().spawn((Replicated::default(), Plating(n))).id())
            .collect();
        for _ in 0..300 {
            for &ship in &ships {
                let mut ship = game.server().entity_mut(ship);
                match chance.below(24) {
                    0..4 => drop(ship.insert(Disabled)),
                    4..8 => drop(ship.remove::<Disabled>()),
                    8 => ship.get_mut::<Plating>().unwrap().0 += 100,
                    9 => drop(ship.insert(Burning)),
                    10 => drop(ship.remove::<Burning>()),
                    11 => drop(ship.insert(Position(Vec2::new(chance.below(40) as f32, 0.0)))),
                    12 => drop(ship.insert(Disabled).remove::<Disabled>()),
                    _ => {}
                }
            }
            game.run(1);
        }
        game.run(60);
        for &ship in &ships {
            let is_hidden = game.server().entity(ship).contains::<Disabled>();
            let expected = (!is_hidden).then(|| values(game.server(), ship));
            assert_eq!(shown(&mut game, ada, ship), expected, "seed {seed}, {ship}");
        }
    }
}

#[test]
fn a_disabled_entity_that_is_despawned_or_no_longer_replicated_leaves_nothing() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let [gone, plain] = [(); 2].map(|()| game.server().spawn((Replicated::default(), Plating(1))).id());
    let before = game.server().resource::<Slots>().len();
    game.run(3);
    let globals = [gone, plain].map(|entity| global(&mut game, entity));
    for entity in [gone, plain] {
        game.server().entity_mut(entity).insert(Disabled);
    }
    game.run(2);
    assert_eq!(game.server().resource::<Slots>().len(), before - 2);
    game.server().entity_mut(gone).despawn();
    game.server().entity_mut(plain).remove::<Replicated>();
    game.run(2);
    game.server().entity_mut(plain).remove::<Disabled>();
    game.run(2);
    assert_eq!(game.server().resource::<Slots>().len(), before - 2);
    for global in globals {
        assert_eq!(game.server().resource::<Slots>().find(global), None);
        assert_eq!(game.world(ada).resource::<WorldMirror>().find(global), None);
    }
    // Despawned with its component, in the tick in which it was disabled.
    let brief = game.server().spawn((Replicated::default(), Plating(1))).id();
    game.run(2);
    game.server().entity_mut(brief).insert(Disabled);
    game.server().entity_mut(brief).despawn();
    game.run(2);
    assert_eq!(game.server().resource::<Slots>().len(), before - 2);
}

#[test]
fn single_player_names_an_entity_that_was_spawned_disabled() {
    let mut app = App::new();
    app.add_plugins((protocol, SinglePlayerPlugin::default()));
    app.finish();
    let ship = app
        .world_mut()
        .spawn((Replicated::default(), Plating(1), Disabled))
        .id();
    let own = |app: &mut App| {
        app.world_mut()
            .query::<(&Plating, &GlobalId)>()
            .iter(app.world())
            .count()
    };
    (0..3).for_each(|_| app.world_mut().run_schedule(FixedMain));
    assert_eq!(own(&mut app), 0);
    app.world_mut().entity_mut(ship).remove::<Disabled>();
    (0..3).for_each(|_| app.world_mut().run_schedule(FixedMain));
    assert_eq!(own(&mut app), 1);
}

fn client(app: &mut App) {
    app.add_plugins(protocol);
}
