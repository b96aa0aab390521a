//! The gameplay API from end to end: calls of game code on one side, and their effect on the other.

use bevy_app::{App, FixedMain, FixedUpdate, Last, Update};
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::world::{NextInput, Own, TellServer};
use throng_server::boundary::link::ToSimulation;
use throng_server::input::InputCounters;
use throng_server::internals::Inbox;
use throng_server::prelude::*;

use super::fixtures::{avatar, say, seen, welcome};
use super::*;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Target(#[entities] Entity);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cloak(bool);

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weather(u8);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stick(i8);
impl PlayerInput for Stick {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chat(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, MapEntities)]
struct Point(#[entities] Entity);

/// Messages that arrived, in order.
#[derive(Resource, Default)]
struct ArrivedMessages {
    chats: Vec<u32>,
    points: Vec<Entity>,
}

fn protocol(app: &mut App) {
    app.replicate::<Target>();
    app.replicate::<ChildOf>();
    app.replicate::<Cloak>()
        .visible_to(|who: Witness, cloak: &Cloak| !cloak.0 || who.is_mate())
        .important(3);
    app.replicate_resource::<Weather>();
    app.input::<Stick>();
    app.message::<Chat>(Channel::ReliableOrdered);
    app.message_with_entities::<Point>(Channel::ReliableOrdered);
    app.init_resource::<ArrivedMessages>();
}

fn server(app: &mut App) {
    app.add_plugins(protocol).add_systems(
        FixedUpdate,
        (welcome, receive_from_players)
            .chain()
            .in_set(ServerSystems::Simulate),
    );
}

fn client(app: &mut App) {
    app.add_plugins(protocol).add_systems(Last, receive_from_server);
}

fn receive_from_players(
    mut chats: MessageReader<FromPlayer<Chat>>,
    mut points: MessageReader<FromPlayer<Point>>,
    mut arrived: ResMut<ArrivedMessages>,
) {
    arrived.chats.extend(chats.read().map(|from| from.message.0));
    arrived.points.extend(points.read().map(|from| from.message.0));
}

fn receive_from_server(
    mut chats: MessageReader<FromServer<Chat>>,
    mut points: MessageReader<FromServer<Point>>,
    mut arrived: ResMut<ArrivedMessages>,
) {
    arrived.chats.extend(chats.read().map(|chat| chat.0.0));
    arrived.points.extend(points.read().map(|point| point.0.0));
}

fn chats(world: &mut World) -> Vec<u32> {
    std::mem::take(&mut world.resource_mut::<ArrivedMessages>().chats)
}

/// Runs a system once on the server and lets its messages arrive.
fn say_and_wait<M>(game: &mut LocalGame, system: impl IntoSystem<(), (), M> + 'static) {
    say(game, system);
    game.run(4);
}

use bevy_ecs::system::RunSystemOnce;

#[test]
fn messages_reach_one_player_a_team_players_in_sight_or_all() {
    let mut game = LocalGame::new(server);
    let players = ["Ada", "Bob", "Cyd"].map(|name| game.join(name, client));
    for (n, &player) in players.iter().enumerate() {
        let (entity, avatar) = (game.player(player).unwrap(), avatar(&mut game, player));
        let team = Team(TeamId(1 + n as u8 / 2));
        game.server().entity_mut(entity).insert(team);
        game.server().get_mut::<Position>(avatar).unwrap().0.x = n as f32 * 40.0;
    }
    game.run(2);
    say_and_wait(&mut game, |players: Query<&Player>, mut tell: Tell| {
        let first = players
            .iter()
            .find(|player| player.name.as_str() == "Bob")
            .unwrap();
        tell.player(first, &Chat(1)).unwrap();
        tell.team(TeamId(1), &Chat(2)).unwrap();
        // The view radius is 50: Bob at 40 and Cyd at 80 see 85, Ada at 0 does not.
        tell.in_sight(Vec2::new(85.0, 0.0), &Chat(3)).unwrap();
        tell.in_sight(
            Place {
                position: Vec2::ZERO,
                room: RoomId(1),
                ..Place::default()
            },
            &Chat(9),
        )
        .unwrap();
        tell.all(&Chat(4)).unwrap();
        assert!(tell.all(&Stick(0)).is_err(), "not registered");
    });
    let received = players.map(|player| chats(game.world(player)));
    assert_eq!(received, [vec![2, 4], vec![1, 2, 3, 4], vec![3, 4]]);
    game.world(players[2])
        .run_system_once(|mut tell: TellServer| tell.send(&Chat(7)).unwrap())
        .unwrap();
    game.run(3);
    assert_eq!(chats(game.server()), [7]);
}

#[test]
fn entity_references_and_relationships_are_mapped_to_the_clients_entities() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let world = game.server();
    let parent = world
        .spawn((Replicated::default(), Position(Vec2::new(10.0, 0.0))))
        .id();
    let child = world
        .spawn((Replicated::default(), Target(parent), ChildOf(parent)))
        .id();
    game.run(3);
    let (theirs, their_child) = (seen(&mut game, ada, parent), seen(&mut game, ada, child).unwrap());
    let world = game.world(ada);
    assert_eq!(world.get::<Target>(their_child).map(|target| target.0), theirs);
    assert_eq!(world.get::<ChildOf>(their_child).map(ChildOf::parent), theirs);

    // Each side finds its own entity in a message.
    let to_server = move |mut tell: TellServer| tell.send(&Point(their_child)).unwrap();
    game.world(ada).run_system_once(to_server).unwrap();
    say_and_wait(&mut game, move |mut tell: Tell| tell.all(&Point(parent)).unwrap());
    assert_eq!(game.server().resource::<ArrivedMessages>().points, [child]);
    assert_eq!(
        game.world(ada).resource::<ArrivedMessages>().points,
        [theirs.unwrap()]
    );

    // The parent leaves the view and the child stays; then the component is removed.
    game.server().get_mut::<Position>(parent).unwrap().0.x = 500.0;
    game.run(4);
    assert_eq!(seen(&mut game, ada, parent), None);
    assert_eq!(seen(&mut game, ada, child), Some(their_child));
    let world = game.world(ada);
    assert_eq!(world.get::<ChildOf>(their_child), None);
    assert_eq!(
        world.get::<Target>(their_child),
        Some(&Target(Entity::PLACEHOLDER))
    );
    game.server().entity_mut(child).remove::<Target>();
    game.run(3);
    assert_eq!(game.world(ada).get::<Target>(their_child), None);
}

#[test]
fn custom_visibility_rule_hides_and_shows_a_component() {
    let mut game = LocalGame::new(server);
    let players = ["Ada", "Bob"].map(|name| game.join(name, client));
    let bob = game.player(players[1]).unwrap();
    game.server().entity_mut(bob).insert(Team(TeamId(2)));
    let spy = game
        .server()
        .spawn((Replicated::default(), Team(TeamId(2)), Cloak(false)))
        .id();
    let seen_by = |game: &mut LocalGame| {
        game.run(3);
        players.map(|player| {
            let spy = seen(game, player, spy).unwrap();
            game.world(player).get::<Cloak>(spy).map(|cloak| cloak.0)
        })
    };
    assert_eq!(seen_by(&mut game), [Some(false), Some(false)]);
    game.server().get_mut::<Cloak>(spy).unwrap().0 = true;
    assert_eq!(seen_by(&mut game), [None, Some(true)]);
    game.server().entity_mut(bob).insert(Team(TeamId(1)));
    assert_eq!(seen_by(&mut game), [None, None]);
    game.server().entity_mut(spy).insert(Team(TeamId(1)));
    assert_eq!(seen_by(&mut game), [None, Some(true)]);
}

#[test]
fn resources_are_sent_on_joining_and_on_every_change() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    assert!(game.world(ada).get_resource::<Weather>().is_none());
    game.server().insert_resource(Weather(1));
    game.run(3);
    let bob = game.join("Bob", client);
    game.run(3);
    for player in [ada, bob] {
        assert_eq!(game.world(player).get_resource(), Some(&Weather(1)));
    }
    game.server().resource_mut::<Weather>().0 = 2;
    game.run(3);
    assert_eq!(game.world(ada).get_resource(), Some(&Weather(2)));
    game.server().remove_resource::<Weather>();
    game.run(3);
    assert!(
        [ada, bob]
            .iter()
            .all(|&player| game.world(player).get_resource::<Weather>().is_none())
    );
}

#[test]
fn players_see_only_entities_of_their_own_room() {
    let mut game = LocalGame::new(server);
    let [ada, bob] = ["Ada", "Bob"].map(|name| game.join(name, client));
    let (hers, his) = (avatar(&mut game, ada), avatar(&mut game, bob));
    let things: Vec<_> = (0..100u16)
        .map(|n| {
            game.server()
                .spawn((Replicated::default(), Room(RoomId(n % 2))))
                .id()
        })
        .collect();
    game.run(5);
    let count = |game: &mut LocalGame, player| {
        things
            .iter()
            .filter(|&&thing| seen(game, player, thing).is_some())
            .count()
    };
    assert_eq!(count(&mut game, ada), 50);
    assert!(seen(&mut game, ada, his).is_some());
    game.server().entity_mut(his).insert(Room(RoomId(1)));
    game.run(5);
    assert_eq!((count(&mut game, ada), count(&mut game, bob)), (50, 50));
    assert!(seen(&mut game, ada, his).is_none() && seen(&mut game, bob, hers).is_none());
    assert!(seen(&mut game, bob, things[1]).is_some() && seen(&mut game, bob, things[0]).is_none());
    for &thing in &things {
        game.server().entity_mut(thing).insert(Room(RoomId(1)));
    }
    game.run(5);
    assert_eq!((count(&mut game, ada), count(&mut game, bob)), (0, 100));
    let near = |mut nearby: Nearby| {
        let room = RoomId(1);
        let place = |room| Place {
            position: Vec2::ZERO,
            room,
            ..Place::default()
        };
        assert_eq!(nearby.within(Vec2::ZERO, 1.0).count(), 1);
        assert_eq!(nearby.within(place(room), 1.0).count(), 101);
        assert_eq!(nearby.nearest(place(room), 7, f32::INFINITY).count(), 7);
        assert_eq!(nearby.nearest(place(RoomId(2)), 7, f32::INFINITY).count(), 0);
        assert_eq!(nearby.nearest(Vec2::ZERO, 7, f32::INFINITY).count(), 1);
    };
    game.server().run_system_once(near).unwrap();
}

#[test]
fn a_held_input_is_held_over_a_stall_and_current_inputs_follow() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let press = |game: &mut LocalGame, value| {
        let steer = move |protocol: Res<Protocol>, mut next: ResMut<NextInput>| {
            next.set(&protocol, &Stick(value)).unwrap();
        };
        game.world(ada).run_system_once(steer).unwrap();
    };
    press(&mut game, 5);
    game.run(20);
    let player = game.player(ada).unwrap();
    let active = |game: &mut LocalGame| {
        game.server()
            .get::<ActiveInput<Stick>>(player)
            .unwrap()
            .input
            .clone()
    };
    for ticks in [2, 40, 100, 300] {
        press(&mut game, 5);
        game.run(20);
        game.stall(ticks - 1);
        press(&mut game, 7);
        game.stall(1);
        for tick in 0..20 {
            game.run(1);
            let expected = if tick < 6 {
                vec![Stick(5), Stick(7)]
            } else {
                vec![Stick(7)]
            };
            assert!(expected.contains(&active(&mut game)), "tick {tick} after {ticks}");
        }
    }
}

#[test]
fn invalid_messages_are_refused_and_counted() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let player = game.player(ada).unwrap();
    let key = game.server().get::<Player>(player).unwrap().session;
    let protocol = game.server().resource::<Protocol>().clone();
    let mut chat = Vec::new();
    protocol.encode_message(&Chat(7), &mut chat).unwrap();
    let resource = protocol.resources()[0].id.0.to_le_bytes();
    let (ordered, unreliable) = (Channel::ReliableOrdered, Channel::Unreliable);
    let sent = [
        (ordered, chat.clone()),
        (unreliable, chat.clone()),
        (ordered, chat[..2].to_vec()),
        (ordered, resource.to_vec()),
        (ordered, vec![0xff, 0xff]),
        (ordered, Vec::new()),
    ];
    let messages = sent.map(|(channel, bytes)| ToSimulation::Message {
        key,
        channel: channel.id(),
        bytes: bytes.into(),
    });
    game.server().resource_mut::<Inbox>().extend(messages);
    game.run(1);
    assert_eq!(chats(game.server()), [7]);
    assert_eq!(game.server().resource::<InputCounters>().messages_refused, 5);
}

#[test]
fn inputs_arrive_and_the_player_of_a_cut_off_client_is_away_and_then_leaves() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let steer =
        |protocol: Res<Protocol>, mut next: ResMut<NextInput>| next.set(&protocol, &Stick(5)).unwrap();
    game.world(ada).run_system_once(steer).unwrap();
    game.run(10);
    let player = game.player(ada).unwrap();
    assert_eq!(
        game.server().get::<ActiveInput<Stick>>(player).unwrap().input,
        Stick(5)
    );
    game.cut_off(ada, true);
    game.run(20 * 12);
    assert!(game.client(ada).ended().is_some() && game.server().get::<Away>(player).is_some());
    game.run(20 * 30);
    assert!(game.player(ada).is_none());
    let mut own = game.world(ada).query::<&Own>();
    assert_eq!(own.iter(game.world(ada)).count(), 0);
}

#[test]
#[should_panic(expected = "Eve is refused")]
fn client_with_another_protocol_is_refused() {
    LocalGame::new(server).join("Eve", |_: &mut App| {});
}

#[test]
fn single_player_runs_the_same_systems_in_one_world() {
    let mut app = App::new();
    app.add_plugins((server, SinglePlayerPlugin::default()))
        .add_systems(Update, |own: Query<&Own>, mut tell: TellServer| {
            own.iter().for_each(|_| tell.send(&Chat(1)).unwrap());
        })
        .add_systems(Last, receive_from_server);
    app.insert_resource(Weather(3));
    app.finish();
    let frame = |app: &mut App| {
        app.world_mut().run_schedule(FixedMain);
        app.world_mut().run_schedule(Update);
        app.world_mut().run_schedule(Last);
    };
    let steer =
        |protocol: Res<Protocol>, mut next: ResMut<NextInput>| next.set(&protocol, &Stick(5)).unwrap();
    app.world_mut().run_system_once(steer).unwrap();
    (0..3).for_each(|_| frame(&mut app));
    assert_eq!(
        chats(app.world_mut()),
        [1, 1],
        "the server has not received the messages"
    );
    let mut own = app.world_mut().query_filtered::<(Entity, &GlobalId), With<Own>>();
    let (avatar, &global) = own.single(app.world()).unwrap();
    assert_ne!(global, GlobalId(0));
    let say = move |mut tell: Tell| {
        tell.all(&Chat(2)).unwrap();
        tell.in_sight(Vec2::new(900.0, 0.0), &Chat(3)).unwrap();
        tell.all(&Point(avatar)).unwrap();
    };
    app.world_mut().run_system_once(say).unwrap();
    frame(&mut app);
    let received = app.world().resource::<ArrivedMessages>();
    assert!(received.chats.contains(&2) && !received.chats.contains(&3));
    assert_eq!(received.points, [avatar]);
    assert_eq!(app.world().resource::<Weather>(), &Weather(3));
    let mut inputs = app.world_mut().query::<&ActiveInput<Stick>>();
    assert_eq!(inputs.single(app.world()).unwrap().input, Stick(5));
    let kick =
        |players: Query<&Player>, mut tell: Tell| players.iter().for_each(|player| tell.kick(player, ""));
    app.world_mut().run_system_once(kick).unwrap();
    (0..3).for_each(|_| frame(&mut app));
    assert_eq!(app.world_mut().query::<&Player>().iter(app.world()).count(), 0);
}
