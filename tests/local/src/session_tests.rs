//! What a game's two sides see at the end of a session: the last messages, the reason, and nothing of it afterwards.

use bevy_app::{App, FixedUpdate, Last};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use serde::{Deserialize, Serialize};
use throng_client::connection::EndReason;
use throng_client::link::LinkConditions;
use throng_client::world::{
    ClientClock, InputHistory, Mirrored, OutgoingMessages, RecentPackets, TellServer,
};
use throng_server::prelude::*;
use throng_shared::protocol::hello::Goodbye;
use throng_shared::protocol::kick_text::KickText;

use super::fixtures::{lossy, welcome};
use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chat(u32);

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weather(u8);

/// The chat messages that arrived, in order.
#[derive(Resource, Default)]
struct Heard(Vec<u32>);

fn protocol(app: &mut App) {
    app.message::<Chat>(Channel::ReliableOrdered);
    app.replicate_resource::<Weather>();
}

fn server(app: &mut App) {
    app.add_plugins(protocol)
        .insert_resource(Weather(3))
        .add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
}

fn client(app: &mut App) {
    app.add_plugins(protocol).init_resource::<Heard>().add_systems(
        Last,
        |mut chats: MessageReader<FromServer<Chat>>, mut heard: ResMut<Heard>| {
            heard.0.extend(chats.read().map(|chat| chat.0.0));
        },
    );
}

/// Ends the sessions of all players after two messages, in one tick.
fn end_all(despawns: bool) -> impl FnMut(Query<(Entity, &Player)>, Tell, Commands) {
    move |players, mut tell, mut commands| {
        for (entity, player) in &players {
            tell.player(player, &Chat(1)).unwrap();
            tell.all(&Chat(2)).unwrap();
            if despawns {
                commands.entity(entity).despawn();
            } else {
                tell.kick(player, "no shouting");
                tell.player(player, &Chat(3)).unwrap();
            }
        }
    }
}

#[test]
fn what_gameplay_tells_before_it_ends_a_session_arrives_before_the_end() {
    for (despawns, line) in [
        (false, LinkConditions::PERFECT),
        (true, LinkConditions::PERFECT),
        (false, lossy(0.2)),
    ] {
        let mut game = LocalGame::new(server);
        let ada = game.join("Ada", client);
        game.set_line(ada, line);
        game.server().run_system_once(end_all(despawns)).unwrap();
        // A second for messages that are lost, and some ticks.
        for _ in 0..30 {
            if game.client(ada).ended().is_some() {
                break;
            }
            game.run(1);
        }
        game.run(1);
        let goodbye = match despawns {
            true => Goodbye::Despawned,
            false => Goodbye::Kicked(KickText::new("no shouting")),
        };
        assert_eq!(game.client(ada).ended(), Some(EndReason::Goodbye(goodbye)));
        assert_eq!(
            game.world(ada).resource::<Heard>().0,
            [1, 2],
            "despawns: {despawns}"
        );
        let shown = game.client(ada).ended().unwrap().to_string();
        assert!(despawns || shown.ends_with(": no shouting"), "{shown}");
        assert!(game.player(ada).is_none());
    }
}

#[test]
fn nothing_of_a_session_is_left_in_the_clients_world_after_its_end() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(5);
    let world = game.world(ada);
    assert_eq!(world.resource::<Weather>(), &Weather(3));
    assert_eq!(world.query::<&Mirrored>().iter(world).count(), 1);
    assert!(world.resource::<InputHistory>().newest().is_some());
    game.server().run_system_once(end_all(false)).unwrap();
    game.run(6);
    assert!(game.client(ada).ended().is_some());
    let send = |mut server: TellServer| server.send(&Chat(9)).unwrap();
    (0..100).for_each(|_| game.world(ada).run_system_once(send).unwrap());
    game.run(1);
    let world = game.world(ada);
    assert!(!world.contains_resource::<Weather>(), "a replicated resource");
    assert_eq!(world.query::<&Mirrored>().iter(world).count(), 0);
    assert_eq!(world.resource::<InputHistory>().newest(), None);
    assert_eq!(world.resource::<RecentPackets>().own_known_at(), None);
    let clock = world.resource::<ClientClock>();
    assert_eq!(
        (clock.tick_length(), clock.shown(), clock.present()),
        (None, None, None)
    );
    let waiting = world.resource_mut::<OutgoingMessages>().take().count();
    assert_eq!(waiting, 0, "messages sent without a session");
}
