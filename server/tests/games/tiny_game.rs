//! The tiny game of the README, played in memory, as single player and over UDP.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use bevy_time::TimeUpdateStrategy;
use throng_local::{LocalGame, SinglePlayerPlugin};
use throng_server::process::{Game, NoSettings, Server, replay_game};
use throng_server::runner::Shutdown;

use super::*;

/// Limit on the time of any step over real sockets.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Resource, Default)]
struct ClinkCount(u32);

fn count_clinks(mut clinks: MessageReader<FromServer<Clink>>, mut count: ResMut<ClinkCount>) {
    count.0 += clinks.read().count() as u32;
}

fn counting_client(app: &mut App) {
    app.add_plugins(client)
        .init_resource::<ClinkCount>()
        .add_systems(Last, count_clinks);
}

/// Returns the coins in the purse of the world's own player, if it exists.
fn coins(world: &mut World) -> Option<u32> {
    let mut purse = world.query_filtered::<&Purse, With<Own>>();
    purse.single(world).ok().map(|purse| purse.0)
}

fn purses(world: &mut World) -> usize {
    world.query::<&Purse>().iter(world).count()
}

#[test]
fn coins_are_picked_up() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(200);
    let world = game.world(ada);
    let mut purse = world.query_filtered::<&Purse, With<Own>>();
    assert!(purse.single(world).unwrap().0 > 0);
}

#[test]
fn tiny_game_is_played_in_memory() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", counting_client);
    let bob = game.join("Bob", counting_client);
    game.run(400);
    for player in [ada, bob] {
        assert!(
            game.world(player).resource::<ClinkCount>().0 > 3,
            "a player did not receive the clinks of both"
        );
        assert_eq!(
            purses(game.world(player)),
            1,
            "the other player's purse is visible"
        );
    }
    let world = game.server();
    let left = world.query::<&Coin>().iter(world).count() as u32;
    let taken: u32 = world.query::<&Purse>().iter(world).map(|purse| purse.0).sum();
    assert!(taken > 3 && left + taken == 100, "{taken} of {left}");
    game.leave(bob);
    game.run(5);
    assert_eq!(purses(game.server()), 1);
    assert!(game.player(bob).is_none() && game.client(bob).ended().is_some());
}

#[test]
fn tiny_game_is_played_as_single_player() {
    let mut app = App::new();
    app.add_plugins((server, CountingClient, SinglePlayerPlugin::default()));
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    app.finish();
    (0..400).for_each(|_| app.update());
    assert!(coins(app.world_mut()).unwrap() > 3);
    assert!(app.world().resource::<ClinkCount>().0 > 3);
    assert_eq!(purses(app.world_mut()), 1);
}

/// The client without the protocol, which the server has registered already.
struct CountingClient;

impl Plugin for CountingClient {
    fn build(&self, app: &mut App) {
        app.init_resource::<ClinkCount>()
            .add_systems(Last, count_clinks)
            .add_systems(Update, seek);
    }
}

/// Starts a server of the game on free ports, with these flags. Returns its HTTP address, and what ends it.
fn start_server(flags: &[&str]) -> (SocketAddr, Shutdown, thread::JoinHandle<()>) {
    let ports = [
        "tiny",
        "--http",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
        "--workers",
        "1",
    ];
    let flags = ports.iter().chain(flags).map(OsString::from);
    let settings = NoSettings::settings_from(flags, []).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let running = thread::spawn(move || {
        let server = Server::start(&settings, server).unwrap();
        sender.send((server.http(), server.shutdown())).unwrap();
        server.run();
    });
    let (http, shutdown) = receiver.recv().unwrap();
    (http, shutdown, running)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real sockets need real time")]
fn tiny_game_is_played_over_udp() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("tiny.throng");
    let recorded = ["--record", recording.to_str().unwrap()];
    let (http, shutdown, running) = start_server(&recorded);
    let mut app = App::new();
    let settings = ClientSettings::new(&http.to_string(), "Ada");
    app.add_plugins((counting_client, ClientWorldPlugin { settings }));
    app.finish();
    let origin = Instant::now();
    while coins(app.world_mut()).unwrap_or_default() < 2 {
        assert!(origin.elapsed() < PATIENCE, "no coins over UDP");
        app.update();
        thread::sleep(Duration::from_millis(5));
    }
    assert!(app.world().resource::<ClinkCount>().0 > 0);
    let audit = ureq::get(format!("http://{http}/v1/audit?tick=1")).call();
    assert!(matches!(audit, Err(ureq::Error::StatusCode(404))), "{audit:?}");
    shutdown.request();
    running.join().unwrap();
    let replayed = replay_game(&recording, server).unwrap();
    assert!(replayed.contains("came out as recorded"), "{replayed}");
}

#[path = "tiny_game_page.rs"]
mod of_the_page;
#[path = "tiny_game_bots.rs"]
mod with_bots;

/// The README shows the tested file.
#[test]
fn tiny_game_is_the_one_in_the_readme() {
    let example = include_str!("../../examples/tiny_game.rs");
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("```rust\n{example}```")));
}

/// The tutorial shows a test that is one of this file.
#[test]
fn test_in_the_tutorial_is_one_of_these() {
    let tutorial = include_str!("../../../docs/gameplay.md");
    let (_, shown) = tutorial.split_once("```rust\n#[test]").unwrap();
    let (shown, rest) = shown.split_once("```").unwrap();
    // On the page nothing is imported for it.
    let test = format!("#[test]{}", shown.replace("throng_local::", ""));
    assert!(include_str!("tiny_game.rs").contains(&test), "{test}");
    assert!(
        !rest.contains("```rust\n"),
        "a block after the tutorial is not compiled"
    );
}

/// The steps of the tutorial add up to the tested file.
#[test]
fn tiny_game_is_what_the_tutorial_builds() {
    let example = include_str!("../../examples/tiny_game.rs");
    let tutorial = include_str!("../../../docs/gameplay.md");
    let blocks = tutorial
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let built: Vec<&str> = blocks.take_while(|block| !block.starts_with("#[test]")).collect();
    let game = example.split_once("\n\n").map(|(_, game)| game);
    let game = game
        .and_then(|game| game.split_once("\n#[cfg(test)]"))
        .map(|(game, _)| game);
    assert_eq!(Some(built.join("\n").as_str()), game);
}
