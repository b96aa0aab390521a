//! Recordings contain the game's content and its reloads.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bevy_app::App;
use skirmish_shared::input::PilotInput;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::frame::Checksum;
use throng_server::boundary::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use throng_server::record::{
    RecordPlugin, RecordingHeader, RecordingReader, ReplayError, Replayed, app_of, replay,
};
use throng_server::runner::{finish_plugins, tick_once};
use throng_server::simulation::{
    ContentFiles, ContentPlayback, ContentSource, Frames, SimulationPlugin, WorkerLinks,
};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::version::ProtocolHash;
use throng_shared::tick::Tick;

use super::TICK;
use crate::SkirmishPlugin;
use crate::content::{ReloadedRules, Rules, Sources};

/// Tick in which the content is reloaded.
const RELOAD_TICK: u32 = 60;
const TICKS: u32 = 120;

/// Returns the built-in content with one number changed.
fn content(file: usize, old: &str, new: &str) -> Rules {
    let mut sources = Sources::built_in();
    assert!(sources.0[file].contains(old));
    sources.0[file] = sources.0[file].replacen(old, new, 1);
    sources.rules().unwrap()
}

/// A file in memory.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn game(content: ContentSource) -> SkirmishPlugin {
    SkirmishPlugin {
        content,
        ..SkirmishPlugin::new(60, 60)
    }
}

fn header() -> RecordingHeader {
    let mut header = RecordingHeader {
        release: "0.0.0".to_owned(),
        protocol: ProtocolHash(0),
        game: "skirmish".to_owned(),
        settings: Vec::new(),
        seed: 3,
        tick_rate: 20,
        linger: Duration::from_secs(30),
        content: None,
    };
    let app = app_of(&header, game(ContentSource::BuiltIn));
    header.protocol = app.world().resource::<Protocol>().hash();
    header
}

/// Replays a recording on an app that `extend` adds to.
fn replayed(bytes: &[u8], extend: impl FnOnce(&mut App)) -> Result<Replayed, ReplayError> {
    let reader = RecordingReader::open(bytes).unwrap();
    let content = reader.header().content.clone();
    let content = content.map_or(ContentSource::BuiltIn, ContentSource::Texts);
    let mut app = app_of(reader.header(), game(content));
    extend(&mut app);
    replay(reader, app)
}

/// Records a game of one pilot at full thrust, with the content `exchange` from [`RELOAD_TICK`] on. Returns the
/// recording and the last checksum.
fn played(start: ContentSource, exchange: Option<Rules>) -> (Vec<u8>, Checksum) {
    let sink = Sink::default();
    let header = header();
    let mut app = app_of(&header, game(start));
    // This game is played live: it takes reloaded content, not a recording's.
    app.world_mut().remove_resource::<ContentPlayback>();
    app.add_plugins(RecordPlugin::new(sink.clone(), header));
    let (near, mut worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    app.insert_resource(WorkerLinks::new(vec![near]));
    finish_plugins(&mut app);
    let session = SessionId {
        index: 0,
        generation: 0,
    };
    let key = SessionKey { worker: 0, session };
    worker.announce(ToSimulation::Joined {
        key,
        client_id: 1,
        number: 1,
        name: PlayerName::new("Ada").unwrap(),
        kind: PeerKind::Throng,
        at: Duration::ZERO,
    });
    for tick in 1..=TICKS {
        if tick == RELOAD_TICK
            && let Some(rules) = exchange.clone()
        {
            app.world().resource::<ReloadedRules>().leave(rules);
        }
        act(&mut app, &mut worker, key, Tick(tick));
    }
    let checksum = app.world().resource::<Frames>().0.newest().unwrap().checksum();
    drop(app);
    let bytes = sink.0.lock().unwrap().clone();
    (bytes, checksum)
}

fn act(app: &mut App, worker: &mut WorkerLink, key: SessionKey, tick: Tick) {
    let input = PilotInput {
        thrust: 100,
        turn: 20,
        ..PilotInput::default()
    };
    let arrived_at = TICK * tick.0;
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
fn replay_repeats_a_content_reload() {
    let faster = content(1, "thrust: 34.0", "thrust: 52.0");
    let (bytes, exchanged) = played(ContentSource::BuiltIn, Some(faster));
    let (plain_bytes, plain) = played(ContentSource::BuiltIn, None);
    assert_ne!(exchanged, plain, "the reload does not change the game");
    let outcome = replayed(&bytes, |_| {}).unwrap();
    assert_eq!((outcome.ticks, outcome.exchanges), (TICKS, 1));
    let outcome = replayed(&plain_bytes, |_| {}).unwrap();
    assert_eq!((outcome.ticks, outcome.exchanges), (TICKS, 0));
}

#[test]
fn replay_starts_with_the_recorded_content() {
    let heavy = content(1, "mass: 12.0", "mass: 50.0");
    let start = ContentSource::Texts(heavy.files.0.to_vec());
    let (bytes, _) = played(start, None);
    assert_eq!(replayed(&bytes, |_| {}).unwrap().ticks, TICKS);
}

#[test]
fn replay_with_different_content_is_refused() {
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
fn game_uses_content_given_as_texts() {
    let heavy = content(1, "mass: 12.0", "mass: 50.0");
    let mut app = App::new();
    app.add_plugins((
        SimulationPlugin::default(),
        SkirmishPlugin {
            content: ContentSource::Texts(heavy.files.0.to_vec()),
            ..SkirmishPlugin::new(0, 0)
        },
    ));
    assert_eq!(app.world().resource::<Rules>().hash, heavy.hash);
    assert_eq!(*app.world().resource::<ContentFiles>(), heavy.files);
}
