//! A recording holds the game's content and its exchanges.

use bevy_app::App;
use skirmish_shared::input::PilotInput;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use std::time::Duration;

use super::{Sink, header, replayed};
use crate::boundary::claims::PlayerName;
use crate::boundary::frame::Checksum;
use crate::boundary::link::{PeerKind, SessionKey, ToSimulation, WorkerLink};
use crate::record::{RecordPlugin, ReplayError};
use crate::runner::tick_once;
use crate::scenes::Scene;
use crate::scenes::rehearsal;
use crate::simulation::{ContentFiles, ContentSource, Frames};
use crate::skirmish::SkirmishPlugin;
use crate::skirmish::content::{Delivery, Rules, Sources};

const WORLD: Scene = Scene::Skirmish {
    drones: 60,
    asteroids: 60,
};
/// When the content is exchanged, and for how long it is played.
const WHEN: u32 = 60;
const TICKS: u32 = 120;

/// The built-in content with one number changed.
fn content(file: usize, old: &str, new: &str) -> Rules {
    let mut sources = Sources::built_in();
    assert!(sources.0[file].contains(old));
    sources.0[file] = sources.0[file].replacen(old, new, 1);
    sources.rules().unwrap()
}

/// One pilot at full thrust; `exchange` is the content from [`WHEN`] on. Answers what was recorded and the last
/// checksum.
fn played(start: ContentSource, exchange: Option<Rules>) -> (Vec<u8>, Checksum) {
    let sink = Sink::default();
    let recording = RecordPlugin::new(sink.clone(), header(WORLD, 3, |_| {}));
    let (mut app, mut worker) = rehearsal::app_with(WORLD, 3, start, |app: &mut App| {
        app.add_plugins(recording);
    });
    let session = SessionId {
        index: 0,
        generation: 0,
    };
    let key = SessionKey { worker: 0, session };
    worker.announce(ToSimulation::Joined {
        key,
        client_id: 1,
        name: PlayerName::new("Ada").unwrap(),
        kind: PeerKind::Throng,
        at: Duration::ZERO,
    });
    for tick in 1..=TICKS {
        if tick == WHEN
            && let Some(rules) = exchange.clone()
        {
            app.world().resource::<Delivery>().leave(rules);
        }
        act(&mut app, &mut worker, key, Tick(tick));
    }
    let checksum = app.world().resource::<Frames>().0.newest().unwrap().checksum();
    drop(app);
    (sink.bytes(), checksum)
}

fn act(app: &mut App, worker: &mut WorkerLink, key: SessionKey, tick: Tick) {
    let input = PilotInput {
        thrust: 100,
        turn: 20,
        ..PilotInput::default()
    };
    let arrived_at = Duration::from_millis(50) * tick.0;
    let bytes = app.world().resource::<Protocol>().encode_input(&input).unwrap();
    worker.input(ToSimulation::Input {
        key,
        tick,
        view: None,
        arrived_at,
        bytes,
    });
    tick_once(app, arrived_at);
    while worker.frame().is_some() {}
    while worker.pop().is_some() {}
}

#[test]
fn an_exchange_of_content_in_the_middle_is_replayed() {
    let faster = content(1, "thrust: 34.0", "thrust: 52.0");
    let (bytes, exchanged) = played(ContentSource::BuiltIn, Some(faster));
    let (plain_bytes, plain) = played(ContentSource::BuiltIn, None);
    assert_ne!(exchanged, plain, "the exchange changes how the world goes on");
    let outcome = replayed(&bytes, |_| {}).unwrap();
    assert_eq!((outcome.ticks, outcome.exchanges), (TICKS, 1));
    let outcome = replayed(&plain_bytes, |_| {}).unwrap();
    assert_eq!((outcome.ticks, outcome.exchanges), (TICKS, 0));
}

#[test]
fn the_content_at_the_start_is_the_recordings_and_not_the_servers() {
    let heavy = content(1, "mass: 12.0", "mass: 50.0");
    let start = ContentSource::Texts(heavy.files.0.to_vec());
    let (bytes, _) = played(start, None);
    assert_eq!(replayed(&bytes, |_| {}).unwrap().ticks, TICKS);
}

#[test]
fn what_the_content_does_not_hold_is_said_and_not_played() {
    let (bytes, _) = played(ContentSource::BuiltIn, None);
    let other = content(0, "ore: 60.0", "ore: 61.0");
    let outcome = replayed(&bytes, |app| {
        app.insert_resource::<ContentFiles>(other.files.clone());
    });
    assert!(
        matches!(outcome, Err(ReplayError::Content(Tick(0)))),
        "{outcome:?}"
    );
}

#[test]
fn a_game_with_its_own_content_is_built_from_texts() {
    let heavy = content(1, "mass: 12.0", "mass: 50.0");
    let mut app = App::new();
    app.add_plugins((
        crate::simulation::SimulationPlugin::default(),
        SkirmishPlugin {
            content: ContentSource::Texts(heavy.files.0.to_vec()),
            ..SkirmishPlugin::new(0, 0)
        },
    ));
    assert_eq!(app.world().resource::<Rules>().hash, heavy.hash);
    assert_eq!(*app.world().resource::<ContentFiles>(), heavy.files);
}
