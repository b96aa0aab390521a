//! Bots of the tiny game over real sockets: they play on a bad line, and every reason not to play is said.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use throng_client::bots::BotsError;
use throng_client::link::LinkConditions;

use super::*;

/// Where avatars appear.
const BIRTHPLACE: Vec2 = Vec2::splat(-40.0);

/// Returns an address on which no program listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn bots_of_a_game_play_on_a_bad_line() {
    let (http, shutdown, running) = start_server(&[]);
    let moved = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&moved);
    let line = LinkConditions {
        loss: 0.05,
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        ..LinkConditions::PERFECT
    };
    let run = bots(bot, 6)
        .server(&http.to_string())
        .line(line)
        .seconds(3)
        .seed(7);
    let report = run.drive(move |app, number| {
        let seen = Arc::clone(&seen);
        let note = move |own: Query<&Position, With<Own>>| {
            if own.iter().any(|place| place.0.distance(BIRTHPLACE) > 0.5) {
                seen.lock().unwrap().insert(number);
            }
        };
        app.add_systems(Update, note);
    });
    let report = report.run().unwrap();
    shutdown.request();
    running.join().unwrap();
    assert_eq!(report.clients_connected, 6, "seed 7\n{report}");
    assert_eq!(
        (report.clients_refused, report.decode_errors),
        (0, 0),
        "seed 7\n{report}"
    );
    assert_eq!(
        moved.lock().unwrap().len(),
        6,
        "not all have moved, seed 7\n{report}"
    );
    assert!(
        report.snapshots_lost > 0.0 && report.visible_mean > 1.0,
        "seed 7\n{report}"
    );
    assert!(
        report.round_trip_ms_p50 > 0.0 && report.up_bytes_per_client_s > 0.0,
        "seed 7\n{report}"
    );
}

#[test]
fn bots_without_a_server_end_with_the_reason() {
    let server = closed_port();
    let run = bots(bot, 3)
        .server(&server)
        .join_within(Duration::from_millis(300));
    let error = run.run().unwrap_err().to_string();
    assert!(error.contains("none of 3 bots joined"), "{error}");
    assert!(
        error.contains(&server) && error.contains("no server listens there"),
        "{error}"
    );
    let run = bots(bot, 3).join_within(Duration::from_millis(300));
    let exit = run.main(["--server".to_owned(), server]);
    assert_eq!(exit, AppExit::from_code(3));
    let exit = bots(bot, 3).main(["--count=x".to_owned()]);
    assert_eq!(exit, AppExit::from_code(2));
}

#[test]
fn bots_that_a_full_server_refuses_are_in_the_table() {
    let (http, shutdown, running) = start_server(&["--max-clients", "2"]);
    let report = bots(bot, 5).server(&http.to_string()).seconds(1).run().unwrap();
    shutdown.request();
    running.join().unwrap();
    assert_eq!(
        (report.clients_connected, report.clients_refused),
        (2, 3),
        "{report}"
    );
    let drawn = report.to_string();
    assert!(drawn.contains("is full"), "{drawn}");
    assert!(!report.is_clean());
}

#[test]
fn bots_of_another_protocol_end_with_both_versions() {
    let (http, shutdown, running) = start_server(&[]);
    let mut game = App::new();
    game.add_plugins(protocol);
    let spoken = game.world().resource::<Protocol>().version().hash.to_string();
    let other = |app: &mut App| {
        app.input::<Stick>();
    };
    let mut bots_app = App::new();
    bots_app.add_plugins(other);
    let own = bots_app.world().resource::<Protocol>().version().hash.to_string();
    let run = bots(other, 40).server(&http.to_string());
    let error = run.run().unwrap_err();
    shutdown.request();
    running.join().unwrap();
    let words = error.to_string();
    assert!(words.contains(&own) && words.contains(&spoken), "{words}");
    assert!(
        matches!(error, BotsError::NoneJoined { count: 40, .. }),
        "{error:?}"
    );
    assert_ne!(own, spoken);
}

#[test]
fn bots_whose_sessions_end_are_in_the_table_with_the_reason() {
    let (http, shutdown, running) = start_server(&[]);
    let stop = move |app: &mut App, number: u32| {
        let mut frames = 0;
        let shutdown = shutdown.clone();
        let count = move |own: Query<(), With<Own>>, mut exit: MessageWriter<AppExit>| {
            frames += own.iter().count();
            match number {
                // Its own game ends this bot.
                0 if frames == 25 => {
                    exit.write(AppExit::Success);
                }
                1 if frames == 35 => shutdown.request(),
                _ => {}
            }
        };
        app.add_systems(Update, count);
    };
    let report = bots(bot, 3).server(&http.to_string()).seconds(3).drive(stop);
    let report = report.run().unwrap();
    running.join().unwrap();
    let drawn = report.to_string();
    assert_eq!(
        (report.clients_connected, report.sessions_ended),
        (3, 3),
        "{drawn}"
    );
    assert!(
        drawn.contains("AppExit") && drawn.contains("the server stops"),
        "{drawn}"
    );
}

#[test]
fn bots_whose_plugins_connect_are_refused() {
    let connected = |app: &mut App| {
        let settings = ClientSettings::new(&closed_port(), "Ada");
        app.add_plugins((bot, ClientWorldPlugin { settings }));
    };
    let error = bots(connected, 3).run().unwrap_err();
    assert!(error.to_string().contains("ClientWorldPlugin"), "{error}");
}
