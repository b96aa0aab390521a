//! The tests of docs/gameplay.md that a game has beside its first one: a key that is held, and bots over UDP.

use std::panic;

use super::*;

// The held key of the page begins here.
/// What is pressed now.
#[derive(Resource, Default)]
struct Held(Stick);

/// A system of the client, in `PreUpdate`, in `ClientSystems::Input`.
fn press(held: Res<Held>, protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
    Ok(next.set(&protocol, &held.0)?)
}

#[test]
fn an_avatar_moves_while_a_key_is_held() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", |app: &mut App| {
        app.add_plugins(protocol)
            .init_resource::<Held>()
            .add_systems(PreUpdate, press.in_set(ClientSystems::Input));
    });
    let x = |game: &mut LocalGame| {
        let world = game.world(ada);
        let mut own = world.query_filtered::<&Position, With<Own>>();
        own.single(world).unwrap().0.x
    };
    let before = x(&mut game);
    game.world(ada).insert_resource(Held(Stick(10, 0)));
    game.run(20);
    assert!(x(&mut game) > before + 5.0);
    game.world(ada).insert_resource(Held(Stick(0, 0)));
    game.run(5);
    let stopped = x(&mut game);
    game.run(20);
    assert_eq!(x(&mut game), stopped);
}
// The held key of the page ends here.

#[test]
#[ignore = "takes ten seconds of a machine that does little else"]
fn fifty_bots_play_over_udp() {
    let play = |http: SocketAddr| bots(bot, 50).server(&http.to_string()).seconds(10).run();
    let report = Server::local(server).unwrap().run_while(play).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(report.keeps_up(), "{report}");
}

#[test]
fn a_local_server_runs_as_long_as_what_plays_with_it() {
    let play = |http: SocketAddr| bots(bot, 3).server(&http.to_string()).seconds(1).run();
    let report = Server::local(server).unwrap().run_while(play).unwrap();
    assert_eq!(
        (report.clients_connected, report.decode_errors),
        (3, 0),
        "{report}"
    );
    let failed = Server::local(server).unwrap();
    let fail = || failed.run_while(|_| -> () { panic!("on purpose") });
    let failure = panic::catch_unwind(panic::AssertUnwindSafe(fail)).unwrap_err();
    assert_eq!(failure.downcast_ref(), Some(&"on purpose"));
}

#[test]
fn the_page_shows_a_held_key_and_fifty_bots_as_here() {
    let page = include_str!("../../../docs/gameplay.md");
    let file = include_str!("tiny_game_page.rs");
    let between = |begin: &str, end: &str| {
        let (_, rest) = file.split_once(begin).unwrap();
        rest.split_once(end).unwrap().0.trim()
    };
    for shown in [
        between(
            "// The held key of the page begins here.\n",
            "// The held key of the page ends",
        ),
        between("a machine that does little else\"]\n", "\n\n#[test]"),
    ] {
        assert!(page.contains(shown), "docs/gameplay.md does not show\n{shown}");
    }
}
