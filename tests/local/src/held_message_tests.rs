//! Messages that name entities: a reliable one waits at the client until they are in view.

use bevy_app::{App, FixedUpdate, Last};
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::world::{Mirrored, WorldMirror};
use throng_server::prelude::*;
use throng_shared::protocol::ids::GlobalId;

use super::fixtures::{global, lossy, say, welcome};
use super::*;

/// A message in the ordered channel.
#[derive(Clone, Debug, Serialize, Deserialize, MapEntities)]
struct Born(u32, #[entities] Entity);

/// The same in the unordered channel.
#[derive(Clone, Debug, Serialize, Deserialize, MapEntities)]
struct Spotted(u32, #[entities] Entity);

/// A message in the ordered channel that names no entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chat(u32);

/// The same in the unordered channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ping(u32);

/// Whether the server spawns an entity in every tick and tells of it in the same system.
#[derive(Resource, Default)]
struct Spawns {
    is_on: bool,
    /// The entities by the number of their messages.
    entities: Vec<Entity>,
}

/// What arrived in a client's world, in order.
#[derive(Resource, Default)]
struct Arrived {
    /// The ordered channel: numbers, and for each named entity its global id.
    ordered: Vec<(u32, Option<GlobalId>)>,
    spotted: Vec<(u32, Option<GlobalId>)>,
    pings: Vec<u32>,
}

fn protocol(app: &mut App) {
    app.message_with_entities::<Born>(Channel::ReliableOrdered)
        .message_with_entities::<Spotted>(Channel::ReliableUnordered)
        .message::<Chat>(Channel::ReliableOrdered)
        .message::<Ping>(Channel::ReliableUnordered);
}

fn server(app: &mut App) {
    app.add_plugins(protocol).init_resource::<Spawns>();
    let systems = (welcome, spawn_and_tell);
    app.add_systems(FixedUpdate, systems.in_set(ServerSystems::Simulate));
}

fn client(app: &mut App) {
    app.add_plugins(protocol).init_resource::<Arrived>();
    app.add_systems(Last, receive);
}

fn spawn_and_tell(mut spawns: ResMut<Spawns>, mut commands: Commands, mut tell: Tell) -> Result {
    if !spawns.is_on {
        return Ok(());
    }
    // The command is applied after this system.
    let entity = commands.spawn(Replicated::default()).id();
    let number = spawns.entities.len() as u32;
    spawns.entities.push(entity);
    tell.all(&Born(number, entity))?;
    tell.all(&Spotted(number, entity))?;
    if let Some(old) = number.checked_sub(100) {
        commands.entity(spawns.entities[old as usize]).despawn();
    }
    Ok(())
}

fn receive(
    mut born: MessageReader<FromServer<Born>>,
    mut chats: MessageReader<FromServer<Chat>>,
    mut spotted: MessageReader<FromServer<Spotted>>,
    mut pings: MessageReader<FromServer<Ping>>,
    globals: Query<&GlobalId, With<Mirrored>>,
    mut arrived: ResMut<Arrived>,
) {
    let global = |entity| globals.get(entity).ok().copied();
    // Both types share a channel; in the tests one of them arrives per frame.
    let named = born.read().map(|FromServer(born)| (born.0, global(born.1)));
    arrived.ordered.extend(named);
    arrived.ordered.extend(chats.read().map(|chat| (chat.0.0, None)));
    let named = spotted
        .read()
        .map(|FromServer(spotted)| (spotted.0, global(spotted.1)));
    arrived.spotted.extend(named);
    arrived.pings.extend(pings.read().map(|ping| ping.0.0));
}

fn arrived(game: &mut LocalGame, player: LocalPlayer) -> &Arrived {
    game.world(player).resource::<Arrived>()
}

/// Spawns an entity out of every view.
fn spawn_far(game: &mut LocalGame) -> Entity {
    let far = Position(Vec2::new(900.0, 0.0));
    game.server().spawn((Replicated::default(), far)).id()
}

/// Starts a game with a player and an entity out of its view.
fn game_with_far_entity() -> (LocalGame, LocalPlayer, Entity) {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let far = spawn_far(&mut game);
    game.run(3);
    (game, ada, far)
}

#[test]
fn a_message_names_the_entity_that_is_spawned_in_the_same_tick_on_lossy_lines() {
    for (seed, loss) in [(1, 0.0), (2, 0.05), (3, 0.05), (4, 0.2), (5, 0.2)] {
        let config = LocalConfig {
            seed,
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, server);
        let ada = game.join("Ada", client);
        game.set_line(ada, lossy(loss));
        game.server().resource_mut::<Spawns>().is_on = true;
        game.run(300);
        let spawned = game.server().resource::<Spawns>().entities.clone();
        // The global ids follow the order of the spawns, the avatar's is the first.
        let expected: Vec<_> = (0..300u32)
            .map(|n| (n, Some(GlobalId(2 + u64::from(n)))))
            .collect();
        assert_eq!(spawned.len(), 300);
        game.server().resource_mut::<Spawns>().is_on = false;
        game.run(60);
        let arrived = game.world(ada).resource_mut::<Arrived>().into_inner();
        arrived.spotted.sort_unstable();
        for arrived in [&arrived.ordered, &arrived.spotted] {
            let numbers = arrived.iter().map(|&(number, _)| number);
            assert!(numbers.eq(0..300), "seed {seed}, loss {loss}: {arrived:?}");
            let mut others = arrived
                .iter()
                .zip(&expected)
                .filter(|(found, expected)| found != expected);
            // At 20 % an entity does not always enter within 20 ticks; then none is named, and never another.
            assert!(
                others.all(|(found, _)| found.1.is_none()),
                "seed {seed}, loss {loss}"
            );
            let unnamed = arrived.iter().filter(|(_, named)| named.is_none()).count();
            let max = if loss > 0.1 { 5 } else { 0 };
            assert!(
                unnamed <= max,
                "seed {seed}, loss {loss}: {unnamed} name no entity"
            );
        }
    }
}

#[test]
fn a_client_that_joins_receives_messages_about_entities_of_the_same_tick() {
    for seed in 1..=20 {
        let config = LocalConfig {
            seed,
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, |app: &mut App| {
            let greet = |mut joined: MessageReader<PlayerJoined>, mut commands: Commands, mut tell: Tell| {
                for joined in joined.read() {
                    let gift = commands.spawn(Replicated::default()).id();
                    tell.player(&joined.player, &Born(7, gift)).unwrap();
                }
            };
            app.add_plugins(server);
            app.add_systems(
                FixedUpdate,
                greet.after(spawn_and_tell).in_set(ServerSystems::Simulate),
            );
        });
        let ada = game.join("Ada", client);
        game.set_line(ada, lossy(0.2));
        game.run(60);
        let ordered = &arrived(&mut game, ada).ordered;
        assert!(matches!(ordered[..], [(7, Some(_))]), "seed {seed}: {ordered:?}");
    }
}

#[test]
fn a_message_about_an_entity_out_of_view_arrives_after_twenty_ticks_in_the_order_of_its_channel() {
    let (mut game, ada, far) = game_with_far_entity();
    say(&mut game, move |mut tell: Tell| {
        tell.all(&Born(1, far)).unwrap();
        tell.all(&Spotted(1, far)).unwrap();
        tell.all(&Chat(2)).unwrap();
        tell.all(&Ping(3)).unwrap();
    });
    game.run(19);
    let so_far = arrived(&mut game, ada);
    assert_eq!(so_far.pings, [3], "the unordered channel does not wait");
    assert!(so_far.ordered.is_empty() && so_far.spotted.is_empty());
    game.run(3);
    let so_far = arrived(&mut game, ada);
    assert_eq!(so_far.ordered, [(1, None), (2, None)]);
    assert_eq!(so_far.spotted, [(1, None)]);
    // It is not waited for again.
    say(&mut game, move |mut tell: Tell| tell.all(&Born(4, far)).unwrap());
    game.run(2);
    assert_eq!(arrived(&mut game, ada).ordered.last(), Some(&(4, None)));
    // Nor is one that is in view later and leaves.
    game.server().get_mut::<Position>(far).unwrap().0.x = 5.0;
    game.run(3);
    let id = global(&mut game, far);
    say(&mut game, move |mut tell: Tell| tell.all(&Born(5, far)).unwrap());
    game.run(2);
    assert_eq!(arrived(&mut game, ada).ordered.last(), Some(&(5, Some(id))));
    game.server().get_mut::<Position>(far).unwrap().0.x = 900.0;
    say(&mut game, move |mut tell: Tell| tell.all(&Born(6, far)).unwrap());
    game.run(2);
    assert_eq!(arrived(&mut game, ada).ordered.last(), Some(&(6, None)));
}

#[test]
fn a_message_about_an_entity_that_was_just_despawned_does_not_wait() {
    for loss in [0.0, 0.2] {
        let mut game = LocalGame::new(server);
        let ada = game.join("Ada", client);
        game.set_line(ada, lossy(loss));
        let gone = game.server().spawn(Replicated::default()).id();
        game.run(10);
        let id = global(&mut game, gone);
        assert!(game.world(ada).resource::<WorldMirror>().find(id).is_some());
        say(&mut game, move |mut tell: Tell| tell.all(&Born(1, gone)).unwrap());
        game.server().despawn(gone);
        game.run(12);
        let ordered = &arrived(&mut game, ada).ordered;
        assert!(matches!(ordered[..], [(1, _)]), "loss {loss}: {ordered:?}");
    }
}

#[test]
fn messages_do_not_wait_for_a_server_that_stands_still() {
    let (mut game, ada, far) = game_with_far_entity();
    say(&mut game, move |mut tell: Tell| {
        tell.all(&Born(1, far)).unwrap();
        tell.all(&Chat(2)).unwrap();
    });
    game.run(2);
    assert!(arrived(&mut game, ada).ordered.is_empty());
    game.stall(21);
    assert_eq!(arrived(&mut game, ada).ordered, [(1, None), (2, None)]);
}

#[test]
fn many_long_messages_that_wait_arrive_in_order() {
    /// A message with a name and a load.
    #[derive(Clone, Debug, Serialize, Deserialize, MapEntities)]
    struct Parcel(u32, #[entities] Entity, Vec<u8>);
    #[derive(Resource, Default)]
    struct Parcels(Vec<u32>);

    let protocol = |app: &mut App| {
        app.message_with_entities::<Parcel>(Channel::ReliableOrdered);
    };
    let mut game = LocalGame::new(move |app: &mut App| {
        app.add_plugins((server, protocol));
    });
    let ada = game.join("Ada", move |app: &mut App| {
        let receive = |mut parcels: MessageReader<FromServer<Parcel>>, mut all: ResMut<Parcels>| {
            all.0.extend(parcels.read().map(|parcel| parcel.0.0));
        };
        app.add_plugins((client, protocol)).init_resource::<Parcels>();
        app.add_systems(Last, receive);
    });
    for n in 0..240 {
        let far = spawn_far(&mut game);
        say(&mut game, move |mut tell: Tell| {
            tell.all(&Parcel(n, far, vec![7; 990])).unwrap();
        });
    }
    // They are paced: half of the bandwidth for 240 messages of 1,000 bytes.
    game.run(500);
    let parcels = &game.world(ada).resource::<Parcels>().0;
    assert_eq!(*parcels, (0..240).collect::<Vec<_>>());
    assert_eq!(game.client(ada).ended(), None);
}

#[test]
fn messages_that_wait_are_delivered_when_the_session_ends() {
    let (mut game, ada, far) = game_with_far_entity();
    say(&mut game, move |mut tell: Tell| {
        tell.all(&Born(1, far)).unwrap();
        tell.all(&Spotted(1, far)).unwrap();
    });
    game.run(2);
    let kick = |players: Query<&Player>, mut tell: Tell| {
        tell.all(&Chat(2)).unwrap();
        players.iter().for_each(|player| tell.kick(player, "enough"));
    };
    say(&mut game, kick);
    game.run(8);
    assert!(game.client(ada).ended().is_some());
    let arrived = arrived(&mut game, ada);
    assert_eq!(arrived.ordered, [(1, None), (2, None)]);
    assert_eq!(arrived.spotted, [(1, None)]);
}
