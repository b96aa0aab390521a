//! A replay equals the recording, differences are named, and damage is refused.

mod damage;
mod differences;
mod skips;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use throng_seeds::seeds;
use throng_shared::protocol::pose3d::Position3d;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::{
    End, ReadError, RecordPlugin, RecordingHeader, RecordingReader, ReplayError, Replayed, app_of, replay,
};
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{JoinAppExt, JoinRequest, Refusal};
use crate::tests::in_space::{lift, lift_after};
use crate::tests::scripted::{LINGER, ScriptedSimulation};
use crate::tests::walkers::{CROWD, Walkers, walk};

/// A file in memory that the recorder writes.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) fn header(world: Walkers, seed: u64, extend: fn(&mut App)) -> RecordingHeader {
    let mut header = RecordingHeader {
        release: "0.0.0".to_owned(),
        protocol: throng_shared::protocol::version::ProtocolHash(0),
        game: "walkers".to_owned(),
        settings: vec![("count".to_owned(), world.count.to_string())],
        seed,
        tick_rate: 20,
        linger: LINGER,
        content: None,
    };
    let mut app = app_of(&header, world);
    extend(&mut app);
    header.protocol = app.world().resource::<Protocol>().hash();
    header
}

/// Number of ticks that may wait for the writer. A scripted simulation ticks as fast as it can, even if the writer gets
/// little time to run.
const QUEUED: usize = 1_024;

/// Returns a scripted simulation that records into `sink`.
pub(super) fn recorded(
    world: Walkers,
    seed: u64,
    extend: fn(&mut App),
    sink: impl Write + Send + 'static,
) -> ScriptedSimulation {
    let header = header(world, seed, extend);
    ScriptedSimulation::new(world, seed, |app| {
        extend(app);
        app.add_plugins(RecordPlugin::new(sink, header).with_queue(QUEUED));
    })
}

/// Replays on an app that is extended by `extend`.
pub(super) fn replayed(bytes: &[u8], extend: impl FnOnce(&mut App)) -> Result<Replayed, ReplayError> {
    let ticks = 0;
    let reader = RecordingReader::open(bytes).map_err(|error| ReplayError::Recording { error, ticks })?;
    // The header of a damaged recording may say anything.
    let settings = reader.header().settings.first();
    let count = settings.and_then(|(_, count)| count.parse().ok());
    let count = count.unwrap_or(0).min(1_000);
    let mut app = app_of(reader.header(), Walkers { count, ..CROWD });
    extend(&mut app);
    replay(reader, app)
}

#[test]
fn a_replay_in_space_equals_the_recording_and_names_what_differs() {
    let in_space = |app: &mut App| lift_after(app, walk);
    let sink = Sink::default();
    let mut scripted = recorded(CROWD, 3, in_space, sink.clone());
    scripted.run(200);
    drop(scripted);
    let replayed_as = |extend: fn(&mut App)| replayed(&sink.bytes(), extend);
    let outcome = replayed_as(in_space).unwrap();
    assert_eq!(outcome.ticks, 200);
    let error = replayed_as(|app: &mut App| {
        lift_after(app, walk);
        app.add_systems(FixedUpdate, sink_once.after(lift).in_set(ServerSystems::Simulate));
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("tick 50: Position3d of entity"), "{error}");
}

fn sink_once(mut positions: Query<&mut Position3d>, time: Res<TickTime>) {
    if time.tick == Tick(50)
        && let Some(mut position) = positions.iter_mut().next()
    {
        position.0.y -= 1.0;
    }
}

#[test]
fn a_replay_of_a_recorded_crowd_equals_it() {
    for seed in seeds(1..=5, 2) {
        let sink = Sink::default();
        let mut scripted = recorded(CROWD, seed, |_| {}, sink.clone());
        scripted.run(300);
        drop(scripted);
        let outcome = replayed(&sink.bytes(), |_| {}).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((outcome.ticks, outcome.end), (300, End::Stopped), "seed {seed}");
        assert!(outcome.events > 2_000, "seed {seed}: {} events", outcome.events);
    }
}

fn refuse_odd(InRef(request): InRef<JoinRequest>) -> Result<(), Refusal> {
    match request.client_id % 2 {
        0 => Ok(()),
        _ => Err(Refusal::new("an odd client")),
    }
}

#[test]
fn a_refusal_is_replayed_as_it_was_decided() {
    let sink = Sink::default();
    let extend: fn(&mut App) = |app| {
        app.may_join(refuse_odd);
    };
    let mut scripted = recorded(CROWD, 1, extend, sink.clone());
    scripted.run(200);
    drop(scripted);
    // The rule of the replaying program decides otherwise, as one would that reads a list of the day.
    let decide_otherwise = |_: InRef<JoinRequest>| -> Result<(), Refusal> { panic!("a replay does not ask") };
    let outcome = replayed(&sink.bytes(), |app| {
        app.may_join(decide_otherwise);
    });
    assert_eq!(outcome.unwrap().ticks, 200);
    let unlike = replayed(&sink.bytes(), |_| {});
    assert_eq!(unlike.unwrap().ticks, 200, "without a rule");
}

#[test]
fn a_replay_with_another_seed_diverges() {
    let sink = Sink::default();
    recorded(CROWD, 1, |_| {}, sink.clone()).run(50);
    let outcome = replayed(&sink.bytes(), |app| {
        app.insert_resource(crate::simulation::Seed(2));
    });
    assert!(
        matches!(&outcome, Err(ReplayError::Diverged(divergence)) if divergence.tick == Tick(1)),
        "{outcome:?}"
    );
}

/// A disk that blocks every write until it is resumed.
struct Stalled {
    resume: Receiver<()>,
    sink: Sink,
}

fn stalled() -> (Stalled, Sender<()>, Sink) {
    let (go_on, resume) = channel();
    let sink = Sink::default();
    let stalled = Stalled {
        resume,
        sink: sink.clone(),
    };
    (stalled, go_on, sink)
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The sender is dropped to resume the disk for good, which is an error here.
        let _ = self.resume.recv();
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_disk_ends_the_recording_and_does_not_delay_ticks() {
    let (disk, go_on, sink) = stalled();
    let mut scripted = recorded(CROWD, 2, |_| {}, disk);
    let mut alone = ScriptedSimulation::new(CROWD, 2, |_| {});
    // The ticks that fit into the buffer and the queue, and as many again.
    let ticks = 2 * QUEUED as u32;
    for tick in 0..ticks {
        assert_eq!(scripted.tick().checksum(), alone.tick().checksum(), "tick {tick}");
    }
    drop(go_on);
    drop(scripted);
    let outcome = replayed(&sink.bytes(), |_| {}).unwrap();
    assert!(outcome.ticks as usize >= QUEUED, "{outcome:?}");
    assert_eq!(outcome.end, End::Lagged(Tick(outcome.ticks + 1)));
}

/// A disk with room for a limited number of bytes.
struct Full {
    left: usize,
    sink: Sink,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.left.min(bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= room;
        self.sink.write(&bytes[..room])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_at_its_last_byte() {
    let sink = Sink::default();
    let left = 100_000;
    let disk = Full {
        left,
        sink: sink.clone(),
    };
    let mut scripted = recorded(CROWD, 2, |_| {}, disk);
    scripted.run(400);
    drop(scripted);
    assert_eq!(sink.bytes().len(), left);
    let Err(ReplayError::Recording { error, ticks }) = replayed(&sink.bytes(), |_| {}) else {
        panic!("replayed to its end");
    };
    assert!(matches!(error.error, ReadError::Truncated), "{error}");
    assert!(ticks > 5 && error.offset < left as u64, "{ticks} {error}");
}
