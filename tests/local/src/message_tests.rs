//! Many reliable messages at once, in both directions: what is accepted arrives, and the rest is refused.

use bevy_app::{App, FixedUpdate, Last};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use serde::{Deserialize, Serialize};
use throng_client::connection::EndReason;
use throng_client::link::LinkConditions;
use throng_client::world::TellServer;
use throng_server::prelude::*;
use throng_shared::protocol::hello::Goodbye;

use super::fixtures::{lossy, welcome};
use super::*;

/// A message with a number and a load of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Parcel(u32, Vec<u8>);

/// The same in the other reliable channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Leaflet(u32);

/// The numbers of the messages that arrived, in order.
#[derive(Resource, Default)]
struct Arrived {
    parcels: Vec<u32>,
    leaflets: Vec<u32>,
}

/// Number of parcels that a player is told when it joins.
#[derive(Resource)]
struct Greetings(u32);

fn protocol(app: &mut App) {
    app.message::<Parcel>(Channel::ReliableOrdered)
        .message::<Leaflet>(Channel::ReliableUnordered)
        .init_resource::<Arrived>();
}

fn server(greetings: u32) -> impl Fn(&mut App) + Send + Sync + 'static {
    move |app: &mut App| {
        app.add_plugins(protocol)
            .insert_resource(Greetings(greetings))
            .add_systems(
                FixedUpdate,
                (welcome, greet, receive_from_players).in_set(ServerSystems::Simulate),
            );
    }
}

fn client(app: &mut App) {
    app.add_plugins(protocol).add_systems(Last, receive_from_server);
}

/// Tells each player that joins as many parcels as the game greets with.
fn greet(mut joined: MessageReader<PlayerJoined>, greetings: Res<Greetings>, mut tell: Tell) {
    for joined in joined.read() {
        for number in 0..greetings.0 {
            tell.player(&joined.player, &Parcel(number, vec![7; 990]))
                .unwrap();
        }
    }
}

fn receive_from_players(
    mut parcels: MessageReader<FromPlayer<Parcel>>,
    mut leaflets: MessageReader<FromPlayer<Leaflet>>,
    mut arrived: ResMut<Arrived>,
) {
    arrived.parcels.extend(parcels.read().map(|from| from.message.0));
    arrived
        .leaflets
        .extend(leaflets.read().map(|from| from.message.0));
}

fn receive_from_server(mut parcels: MessageReader<FromServer<Parcel>>, mut arrived: ResMut<Arrived>) {
    arrived.parcels.extend(parcels.read().map(|parcel| parcel.0.0));
}

/// Sends parcels of `bytes` bytes from the client in one frame. Returns the numbers that were accepted.
fn send(game: &mut LocalGame, player: LocalPlayer, numbers: std::ops::Range<u32>, bytes: usize) -> Vec<u32> {
    let system = move |mut server: TellServer| {
        let accepts = |number: &u32| server.send(&Parcel(*number, vec![7; bytes])).is_ok();
        numbers.clone().filter(accepts).collect::<Vec<_>>()
    };
    game.world(player).run_system_once(system).unwrap()
}

#[test]
fn the_messages_that_a_client_may_send_arrive_and_the_others_are_refused() {
    for line in [LinkConditions::PERFECT, lossy(0.2)] {
        let mut game = LocalGame::new(server(0));
        let ada = game.join("Ada", client);
        game.set_line(ada, line);
        let mut accepted = send(&mut game, ada, 0..90, 990);
        assert!((50..90).contains(&accepted.len()), "{} of 90", accepted.len());
        accepted.extend(send(&mut game, ada, 90..95, 10));
        game.run(200);
        assert_eq!(game.server().resource::<Arrived>().parcels, accepted);
        // There is room again.
        accepted.extend(send(&mut game, ada, 95..100, 990));
        game.run(60);
        assert_eq!(accepted.iter().filter(|&&number| number >= 95).count(), 5);
        assert_eq!(game.server().resource::<Arrived>().parcels, accepted);
    }
}

#[test]
fn a_client_that_sends_too_much_in_every_frame_loses_nothing_that_was_accepted() {
    for line in [LinkConditions::PERFECT, lossy(0.2)] {
        let mut game = LocalGame::new(server(0));
        let ada = game.join("Ada", client);
        game.set_line(ada, line);
        let (mut accepted, mut leaflets) = (Vec::new(), Vec::new());
        for frame in 0..60 {
            accepted.extend(send(&mut game, ada, frame * 100..frame * 100 + 100, 300));
            let post = move |mut server: TellServer| server.send(&Leaflet(frame)).is_ok();
            if game.world(ada).run_system_once(post).unwrap() {
                leaflets.push(frame);
            }
            // The line is cut for a second.
            game.cut_off(ada, (20..40).contains(&frame));
            game.run(1);
        }
        assert!(
            accepted.len() > 300 && accepted.len() < 6_000,
            "{}",
            accepted.len()
        );
        game.run(300);
        assert_eq!(game.client(ada).ended(), None);
        let arrived = game.server().resource_mut::<Arrived>().into_inner();
        assert_eq!(arrived.parcels, accepted);
        arrived.leaflets.sort_unstable();
        assert_eq!(arrived.leaflets, leaflets);
    }
}

#[test]
fn a_client_joins_a_game_that_tells_it_much_at_once() {
    for greetings in [64, 240] {
        let mut game = LocalGame::new(server(greetings));
        let ada = game.join("Ada", client);
        game.set_line(ada, lossy(0.2));
        let bob = game.join("Bob", client);
        game.run(600);
        for player in [ada, bob] {
            assert_eq!(game.client(player).ended(), None);
            let arrived = &game.world(player).resource::<Arrived>().parcels;
            assert_eq!(*arrived, (0..greetings).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_client_is_told_that_more_waited_for_it_than_fits() {
    let mut game = LocalGame::new(server(0));
    let ada = game.join("Ada", client);
    let flood = |mut tell: Tell| (0..300).for_each(|n| tell.all(&Parcel(n, vec![7; 990])).unwrap());
    game.server().run_system_once(flood).unwrap();
    game.run(3);
    let reason = game.client(ada).ended();
    assert_eq!(reason, Some(EndReason::Goodbye(Goodbye::Overflow)));
    let words = reason.unwrap().to_string();
    assert!(words.contains("more reliable messages wait"), "{words}");
}

#[test]
fn many_messages_before_a_kick_arrive_before_the_end() {
    let mut game = LocalGame::new(server(0));
    let ada = game.join("Ada", client);
    game.set_line(ada, lossy(0.2));
    let kick = |players: Query<&Player>, mut tell: Tell| {
        for player in &players {
            (0..200).for_each(|n| tell.player(player, &Parcel(n, vec![7; 990])).unwrap());
            tell.kick(player, "no shouting");
        }
    };
    game.server().run_system_once(kick).unwrap();
    for _ in 0..800 {
        game.run(1);
        if game.client(ada).ended().is_some() {
            break;
        }
    }
    game.run(1);
    let ended = game.client(ada).ended();
    assert!(
        matches!(ended, Some(EndReason::Goodbye(Goodbye::Kicked(_)))),
        "{ended:?}"
    );
    let arrived = &game.world(ada).resource::<Arrived>().parcels;
    assert_eq!(*arrived, (0..200).collect::<Vec<_>>());
}
