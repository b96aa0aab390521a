//! Real clients on real sockets: a client's world across a restart of the server, and a small swarm.

use std::thread;
use std::time::{Duration, Instant};

use bevy_app::App;
use bevy_ecs::prelude::*;
use clap::Parser;
use throng_client::connection::{ClientEvent, EndReason};
use throng_client::player::{ClientSettings, ConnectionStatus, PlayerEvent};
use throng_client::world::{ClientWorldPlugin, ConnectionEvent, Mirrored, Own};
use throng_scenes::protocol::{BenchProtocol, VIEW_RADIUS};
use throng_shared::protocol::hello::Goodbye;
use throng_shared::protocol::pose::Position;
use throng_tests::process::{ServerProcess, free_ports};
use throng_tests::swarm::{self, flags::SwarmFlags};

/// The most time that each wait may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names of the events that the client received.
#[derive(Resource, Default)]
struct EventLog(Vec<&'static str>);

fn log_events(mut events: MessageReader<ConnectionEvent>, mut log: ResMut<EventLog>) {
    for ConnectionEvent(event) in events.read() {
        log.0.push(match event {
            PlayerEvent::Joined { .. } => "joined",
            PlayerEvent::JoinFailed(_) => "join failed",
            PlayerEvent::Session(ClientEvent::Welcomed(_)) => "welcomed",
            PlayerEvent::Session(ClientEvent::Ended(EndReason::Goodbye(Goodbye::Shutdown))) => "shut down",
            PlayerEvent::Retrying { .. } => "retrying",
            _ => continue,
        });
    }
}

/// Updates the app until `done`.
#[expect(clippy::disallowed_methods, reason = "real processes need real time")]
fn run_until(app: &mut App, what: &str, mut done: impl FnMut(&mut World) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        app.update();
        if done(app.world_mut()) {
            return;
        }
        let events = &app.world().resource::<EventLog>().0;
        assert!(Instant::now() < deadline, "never {what}; received {events:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn seen(world: &mut World) -> usize {
    world.query::<&Mirrored>().iter(world).count()
}

fn plays(world: &mut World) -> bool {
    let owned = world.query_filtered::<&Position, With<Own>>().iter(world).count();
    owned == 1 && seen(world) == 50
}

#[test]
fn a_client_reconnects_and_mirrors_again_after_a_server_restart() {
    let (http, udp) = free_ports().unwrap();
    let flags = ["--scene", "hotspot", "--entities", "50", "--workers", "1"];
    let mut app = App::new();
    let mut settings = ClientSettings::new(&http.to_string(), "Ada");
    settings.reconnect.ceiling = Duration::from_millis(500);
    // No server listens yet. The client tries again by itself.
    app.add_plugins((BenchProtocol, ClientWorldPlugin { settings }))
        .init_resource::<EventLog>()
        .add_systems(bevy_app::Update, log_events);
    run_until(&mut app, "refused", |world| {
        world.resource::<EventLog>().0.contains(&"retrying")
    });
    let waits_for = |world: &World, words: &str| match world.resource::<ConnectionStatus>() {
        ConnectionStatus::Waiting { remaining, why, .. } => {
            why.contains(words) && *remaining <= Duration::from_millis(500)
        }
        _ => false,
    };
    run_until(&mut app, "waiting with a reason", |world| {
        waits_for(world, "no server listens there")
    });

    for round in 1..=2 {
        let server = ServerProcess::spawn(http, udp, &flags).unwrap();
        run_until(&mut app, "playing", plays);
        let world = app.world_mut();
        let far = world
            .query::<(&Position, &Mirrored)>()
            .iter(world)
            .filter(|(position, _)| position.0.length() > VIEW_RADIUS)
            .count();
        assert_eq!(far, 0, "poses are those of the scene");
        let before = world
            .query_filtered::<&Mirrored, With<Own>>()
            .single(world)
            .unwrap()
            .tick;
        run_until(&mut app, "moving on", |world| {
            let now = world
                .query_filtered::<&Mirrored, With<Own>>()
                .single(world)
                .unwrap()
                .tick;
            now.since(before) > 20
        });

        let (status, output) = server.stop().unwrap();
        assert!(status.success(), "{output}");
        run_until(&mut app, "shut down", |world| {
            let shutdowns = world
                .resource::<EventLog>()
                .0
                .iter()
                .filter(|what| **what == "shut down")
                .count();
            shutdowns == round && seen(world) == 0
        });
        run_until(&mut app, "waiting because the server stops", |world| {
            waits_for(world, "the server stops") || waits_for(world, "cannot reach")
        });
    }
    let events = &app.world().resource::<EventLog>().0;
    assert_eq!(
        events.iter().filter(|what| **what == "welcomed").count(),
        2,
        "{events:?}"
    );
}

#[test]
fn a_small_swarm_on_a_bad_line_loses_no_bot_and_decodes_no_wrong_value() {
    let flags = [
        "--scene",
        "crowd",
        "--entities",
        "100",
        "--visible",
        "40",
        "--workers",
        "2",
    ];
    let server = ServerProcess::start(&flags).unwrap();
    let http = server.http().to_string();
    let line = "--clients 60 --seconds 4 --loss 5% --latency 20 --jitter 10 --server";
    let flags = SwarmFlags::parse_from(
        ["swarm"]
            .into_iter()
            .chain(line.split(' '))
            .chain([http.as_str()]),
    );
    let report = swarm::run(&flags).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.clients_connected, 60);
    assert!(report.updates_per_client_s > 400.0, "{report:?}");
    assert!((15.0..60.0).contains(&report.snapshot_age_ms_p50), "{report:?}");
    server.stop().unwrap();
}
