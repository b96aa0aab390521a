//! References in components and resources: they lead to the entities to which they lead at the server, in whatever order
//! these become replicated.

use bevy_app::{App, FixedUpdate, Last};
use bevy_ecs::entity::MapEntities;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::world::{TellServer, WorldMirror};
use throng_server::prelude::*;
use throng_shared::random::Random;

use super::fixtures::{lossy, welcome};
use super::*;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Target(#[entities] Entity);

/// A component with several references, in sparse storage.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
struct Squad(#[entities] Vec<Entity>);

/// A resource that refers to entities.
#[derive(Resource, MapEntities, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Leaders {
    round: u32,
    #[entities]
    first: Entity,
    #[entities]
    others: Vec<Entity>,
}

/// A resource without references.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Round(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, MapEntities)]
struct Order(#[entities] Entity);

/// The entities in the orders that the server received.
#[derive(Resource, Default)]
struct Orders(Vec<Entity>);

/// The number of frames in which a client's components with references changed.
#[derive(Resource, Default)]
struct Changes(u32);

fn protocol(app: &mut App) {
    app.replicate::<Target>();
    app.replicate::<Squad>();
    app.replicate::<ChildOf>();
    app.replicate_resource::<Round>();
    app.replicate_resource::<Leaders>();
    app.message_with_entities::<Order>(Channel::ReliableOrdered);
}

fn server(app: &mut App) {
    app.add_plugins(protocol).init_resource::<Orders>();
    let systems = (welcome, receive_orders);
    app.add_systems(FixedUpdate, systems.in_set(ServerSystems::Simulate));
}

fn client(app: &mut App) {
    app.add_plugins(protocol).init_resource::<Changes>();
    app.add_systems(Last, count_changes);
}

fn receive_orders(mut received: MessageReader<FromPlayer<Order>>, mut orders: ResMut<Orders>) {
    orders.0.extend(received.read().map(|order| order.message.0));
}

fn count_changes(targets: Query<(), Changed<Target>>, mut changes: ResMut<Changes>) {
    changes.0 += u32::from(!targets.is_empty());
}

/// Returns the client's entity for one of the server; the placeholder if it is not in view.
fn seen(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Entity {
    let replicated = game.server().get::<Replicated>(entity);
    let global = replicated.map(Replicated::global).unwrap_or_default();
    let found = game.world(player).resource::<WorldMirror>().find(global);
    found.unwrap_or(Entity::PLACEHOLDER)
}

/// Returns what a client reads in the `Target` of an entity.
fn target(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Entity {
    let seen = seen(game, player, entity);
    game.world(player).get::<Target>(seen).unwrap().0
}

fn squad(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Vec<Entity> {
    let seen = seen(game, player, entity);
    game.world(player).get::<Squad>(seen).unwrap().0.clone()
}

fn parent(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Option<Entity> {
    let seen = seen(game, player, entity);
    game.world(player).get::<ChildOf>(seen).map(ChildOf::parent)
}

fn leaders(game: &mut LocalGame, player: LocalPlayer) -> (u32, Vec<Entity>) {
    let leaders = game.world(player).resource::<Leaders>();
    let all = std::iter::once(leaders.first).chain(leaders.others.iter().copied());
    (leaders.round, all.collect())
}

#[test]
fn a_reference_to_an_entity_that_becomes_replicated_later_leads_to_it() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let late = game.server().spawn(Position::default()).id();
    let holder = game.server().spawn((Replicated::default(), Target(late))).id();
    let child = game.server().spawn((Replicated::default(), ChildOf(late))).id();
    game.run(5);
    assert_eq!(target(&mut game, ada, holder), Entity::PLACEHOLDER);
    assert_eq!(parent(&mut game, ada, child), None);
    game.server().entity_mut(late).insert(Replicated::default());
    game.run(20);
    let bob = game.join("Bob", client);
    game.run(3);
    for player in [ada, bob] {
        let theirs = seen(&mut game, player, late);
        assert_ne!(theirs, Entity::PLACEHOLDER);
        assert_eq!(target(&mut game, player, holder), theirs, "{player:?}");
        assert_eq!(parent(&mut game, player, child), Some(theirs), "{player:?}");
    }
    // Nothing is sent again after that.
    let changes = game.world(ada).resource::<Changes>().0;
    game.server().spawn(Replicated::default());
    game.run(5);
    assert_eq!(game.world(ada).resource::<Changes>().0, changes);
}

#[test]
fn references_of_one_component_are_resolved_one_after_the_other() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let late = [0; 3].map(|_| game.server().spawn(Position::default()).id());
    let holder = game.server().spawn(Squad(late.to_vec())).id();
    game.run(2);
    game.server().entity_mut(holder).insert(Replicated::default());
    game.run(3);
    assert_eq!(squad(&mut game, ada, holder), [Entity::PLACEHOLDER; 3]);
    for known in 1..=3 {
        let entity = late[known - 1];
        game.server().entity_mut(entity).insert(Replicated::default());
        game.run(3);
        let theirs = late.map(|entity| seen(&mut game, ada, entity));
        assert_eq!(squad(&mut game, ada, holder), theirs);
        let unknown = theirs.iter().filter(|&&entity| entity == Entity::PLACEHOLDER);
        assert_eq!(unknown.count(), 3 - known);
    }
}

#[test]
fn a_reference_that_was_replaced_is_not_sent_again() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let [late, other] = [0; 2].map(|_| game.server().spawn(Position::default()).id());
    let holder = game.server().spawn((Replicated::default(), Target(late))).id();
    game.run(3);
    game.server().get_mut::<Target>(holder).unwrap().0 = other;
    game.run(3);
    let changes = game.world(ada).resource::<Changes>().0;
    game.server().entity_mut(late).insert(Replicated::default());
    game.run(5);
    assert_eq!(game.world(ada).resource::<Changes>().0, changes);
    assert_eq!(target(&mut game, ada, holder), Entity::PLACEHOLDER);
    game.server().entity_mut(other).insert(Replicated::default());
    game.run(3);
    assert_eq!(target(&mut game, ada, holder), seen(&mut game, ada, other));
    // A holder and a target that are gone leave nothing behind.
    let last = game.server().spawn(Position::default()).id();
    game.server().get_mut::<Target>(holder).unwrap().0 = last;
    game.run(2);
    game.server().despawn(holder);
    game.run(2);
    game.server().entity_mut(last).insert(Replicated::default());
    game.run(2);
}

#[test]
fn references_lead_to_an_entity_whose_replication_was_ended_and_begun_again() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let there = game.server().spawn(Replicated::default()).id();
    let holder = (Replicated::default(), Target(there), ChildOf(there));
    let holder = game.server().spawn(holder).id();
    let (round, first) = (1, there);
    let others = Vec::new();
    game.server().insert_resource(Leaders { round, first, others });
    game.run(3);
    for pause in [0, 4] {
        let before = game.server().get::<Replicated>(there).unwrap().global();
        game.server().entity_mut(there).remove::<Replicated>();
        game.run(pause);
        if pause > 0 {
            assert_eq!(target(&mut game, ada, holder), Entity::PLACEHOLDER);
            assert_eq!(leaders(&mut game, ada).1, [Entity::PLACEHOLDER]);
        }
        game.server().entity_mut(there).insert(Replicated::default());
        game.run(4);
        let after = game.server().get::<Replicated>(there).unwrap().global();
        assert_ne!(before, after, "clients see a new entity");
        let bob = game.join("Bob", client);
        game.run(2);
        for player in [ada, bob] {
            let theirs = seen(&mut game, player, there);
            assert_ne!(theirs, Entity::PLACEHOLDER);
            assert_eq!(target(&mut game, player, holder), theirs, "pause {pause}");
            assert_eq!(parent(&mut game, player, holder), Some(theirs), "pause {pause}");
            assert_eq!(leaders(&mut game, player).1, [theirs], "pause {pause}");
        }
    }
}

#[test]
fn references_lead_to_entities_that_become_replicated_while_they_are_disabled() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let late = game.server().spawn((Position::default(), Disabled)).id();
    let holder = game.server().spawn((Replicated::default(), Target(late))).id();
    // This one is disabled while its target becomes replicated.
    let asleep = game.server().spawn((Replicated::default(), Target(late))).id();
    game.run(3);
    game.server().entity_mut(asleep).insert(Disabled);
    game.run(3);
    game.server().entity_mut(late).insert(Replicated::default());
    game.run(3);
    assert_eq!(target(&mut game, ada, holder), Entity::PLACEHOLDER);
    game.server().entity_mut(late).remove::<Disabled>();
    game.server().entity_mut(asleep).remove::<Disabled>();
    game.run(3);
    let theirs = seen(&mut game, ada, late);
    assert_ne!(theirs, Entity::PLACEHOLDER);
    assert_eq!(target(&mut game, ada, holder), theirs);
    assert_eq!(target(&mut game, ada, asleep), theirs);
}

#[test]
fn references_in_resources_lead_to_the_clients_entities() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let world = game.server();
    let late = world.spawn(Position::default()).id();
    let near = world.spawn(Replicated::default()).id();
    let far = (Replicated::default(), Position(Vec2::new(500.0, 0.0)));
    let far = world.spawn(far).id();
    world.insert_resource(Round(1));
    world.insert_resource(Leaders {
        round: 1,
        first: late,
        others: vec![near, far, Entity::PLACEHOLDER],
    });
    game.run(5);
    let none = Entity::PLACEHOLDER;
    let theirs = seen(&mut game, ada, near);
    assert_eq!(leaders(&mut game, ada), (1, vec![none, theirs, none, none]));
    game.server().entity_mut(late).insert(Replicated::default());
    game.server().get_mut::<Position>(far).unwrap().0.x = 10.0;
    game.run(5);
    let bob = game.join("Bob", client);
    game.run(3);
    for player in [ada, bob] {
        let theirs = [late, near, far].map(|entity| seen(&mut game, player, entity));
        assert!(!theirs.contains(&none), "{theirs:?}");
        let [late, near, far] = theirs;
        assert_eq!(leaders(&mut game, player), (1, vec![late, near, far, none]));
    }
    // An entity that leaves the view, and one that is gone.
    game.server().get_mut::<Position>(far).unwrap().0.x = 500.0;
    game.server().despawn(near);
    game.run(5);
    let theirs = seen(&mut game, ada, late);
    assert_eq!(leaders(&mut game, ada), (1, vec![theirs, none, none, none]));
    game.server().resource_mut::<Leaders>().round = 2;
    game.run(3);
    assert_eq!(leaders(&mut game, ada), (2, vec![theirs, none, none, none]));
    game.server().remove_resource::<Leaders>();
    game.run(3);
    assert!(game.world(ada).get_resource::<Leaders>().is_none());
    assert_eq!(game.world(ada).get_resource(), Some(&Round(1)));
}

#[test]
fn references_are_right_after_any_course_of_events() {
    for seed in 1..=6 {
        let mut random = Random::new(seed);
        let mut game = LocalGame::with_config(
            LocalConfig {
                seed,
                ..LocalConfig::default()
            },
            server,
        );
        let ada = game.join("Ada", client);
        let loss = [0.0, 0.05, 0.2][seed as usize % 3];
        game.set_line(ada, lossy(loss));
        let mut all: Vec<Entity> = (0..12)
            .map(|_| game.server().spawn(Position::default()).id())
            .collect();
        for _ in 0..120 {
            let index = random.bits() as usize % all.len();
            let (entity, other) = (all[index], all[random.bits() as usize % all.len()]);
            let world = game.server();
            match random.bits() % 9 {
                0..3 => drop(world.entity_mut(entity).insert(Target(other))),
                3..5 => drop(world.entity_mut(entity).insert(Replicated::default())),
                5 => drop(world.entity_mut(entity).remove::<Replicated>()),
                6 => drop(world.entity_mut(entity).insert(Disabled)),
                7 => drop(world.entity_mut(entity).remove::<Disabled>()),
                _ => {
                    world.despawn(entity);
                    all[index] = world.spawn(Position::default()).id();
                }
            }
            game.run(random.bits() as u32 % 3);
        }
        for &entity in &all {
            game.server()
                .entity_mut(entity)
                .insert_if_new(Replicated::default());
        }
        game.run(60);
        let bob = game.join("Bob", client);
        game.run(3);
        for player in [ada, bob] {
            let mut count = 0;
            for &entity in &all {
                let world = game.server();
                let referred = world.get::<Target>(entity).map(|target| target.0);
                let is_shown = !world.entity(entity).contains::<Disabled>();
                let Some(referred) = referred.filter(|_| is_shown) else {
                    continue;
                };
                let is_shown = |entity: EntityRef| !entity.contains::<Disabled>();
                let expected = match world.get_entity(referred).is_ok_and(is_shown) {
                    true => seen(&mut game, player, referred),
                    false => Entity::PLACEHOLDER,
                };
                count += u32::from(expected != Entity::PLACEHOLDER);
                assert_eq!(
                    target(&mut game, player, entity),
                    expected,
                    "seed {seed}, {player:?}"
                );
            }
            assert!(count > 0, "seed {seed}");
        }
    }
}

#[test]
fn a_message_to_the_server_about_an_entity_that_is_gone_names_none() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let [gone, hidden] = [0; 2].map(|_| game.server().spawn(Replicated::default()).id());
    game.run(3);
    let theirs = [gone, hidden].map(|entity| seen(&mut game, ada, entity));
    game.server().despawn(gone);
    game.server().entity_mut(hidden).remove::<Replicated>();
    // These get the numbers in Bevy of the one that is gone, and the next global ids.
    for _ in 0..50 {
        game.server().spawn(Replicated::default());
    }
    let order = move |mut server: TellServer| {
        theirs
            .iter()
            .for_each(|&entity| server.send(&Order(entity)).unwrap());
    };
    game.world(ada).run_system_once(order).unwrap();
    game.run(4);
    let orders = &game.server().resource::<Orders>().0;
    assert_eq!(*orders, [Entity::PLACEHOLDER; 2]);
}
