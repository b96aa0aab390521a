//! The tiny game of the README, played in memory and over UDP.

use std::ffi::OsString;
use std::thread;
use std::time::Instant;

use bevy_time::TimeUpdateStrategy;
use throng_local::{LocalGame, SinglePlayerPlugin};
use throng_server::process::{Game, NoSettings, Server, replay_game};
use throng_server::runner::Shutdown;

use super::*;

/// How long anything may take over real sockets.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Resource, Default)]
struct Heard(u32);

fn hear(mut clinks: MessageReader<FromServer<Clink>>, mut heard: ResMut<Heard>) {
    heard.0 += clinks.read().count() as u32;
}

fn listening_client(app: &mut App) {
    app.add_plugins(client)
        .init_resource::<Heard>()
        .add_systems(Last, hear);
}

/// Coins in the purse of the world's own player, if it is there.
fn coins(world: &mut World) -> Option<u32> {
    let mut purse = world.query_filtered::<&Purse, With<Own>>();
    purse.single(world).ok().map(|purse| purse.0)
}

fn purses(world: &mut World) -> usize {
    world.query::<&Purse>().iter(world).count()
}

#[test]
fn is_played_in_memory() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", listening_client);
    let bob = game.join("Bob", listening_client);
    game.run(400);
    for player in [ada, bob] {
        assert!(game.world(player).resource::<Heard>().0 > 3, "both hear both");
        assert_eq!(purses(game.world(player)), 1, "another's purse is not seen");
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
fn is_played_alone() {
    let mut app = App::new();
    app.add_plugins((server, Listening, SinglePlayerPlugin::default()));
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    app.finish();
    (0..400).for_each(|_| app.update());
    assert!(coins(app.world_mut()).unwrap() > 3);
    assert!(app.world().resource::<Heard>().0 > 3);
    assert_eq!(purses(app.world_mut()), 1);
}

/// The client without the protocol, which the server has registered already.
struct Listening;

impl Plugin for Listening {
    fn build(&self, app: &mut App) {
        app.init_resource::<Heard>()
            .add_systems(Last, hear)
            .add_systems(Update, seek);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real sockets need real time")]
fn is_played_over_udp() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("tiny.throng");
    let flags = [
        "tiny",
        "--http",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
        "--workers",
        "1",
        "--record",
        recording.to_str().unwrap(),
    ];
    let settings = NoSettings::settings_from(flags.map(OsString::from), []).unwrap();
    let (say, hear) = std::sync::mpsc::channel();
    let running = thread::spawn(move || {
        let server = Server::start(&settings, server).unwrap();
        say.send((server.http(), server.shutdown())).unwrap();
        server.run();
    });
    let (http, shutdown): (_, Shutdown) = hear.recv().unwrap();
    let mut app = App::new();
    let settings = ClientSettings::new(&http.to_string(), "Ada");
    app.add_plugins((listening_client, ClientWorldPlugin { settings }));
    app.finish();
    let origin = Instant::now();
    while coins(app.world_mut()).unwrap_or_default() < 2 {
        assert!(origin.elapsed() < PATIENCE, "no coins over UDP");
        app.update();
        thread::sleep(Duration::from_millis(5));
    }
    assert!(app.world().resource::<Heard>().0 > 0);
    let audit = ureq::get(format!("http://{http}/v1/audit?tick=1")).call();
    assert!(matches!(audit, Err(ureq::Error::StatusCode(404))), "{audit:?}");
    shutdown.request();
    running.join().unwrap();
    let replayed = replay_game(&recording, server).unwrap();
    assert!(replayed.contains("came out as recorded"), "{replayed}");
}

/// What the documentation shows is what is tested here.
#[test]
fn is_the_game_of_the_readme() {
    let example = include_str!("../../examples/tiny_game.rs");
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("```rust\n{example}```")));
}

/// Whoever follows the tutorial ends up with this file.
#[test]
fn is_what_the_tutorial_builds() {
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
