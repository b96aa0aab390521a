//! The corpus of recordings, which the recorder of this build writes.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_scenes::ScenePlugin;
use throng_scenes::protocol::SteerInput;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::link::{LeaveReason, PeerKind, SessionKey, ToSimulation};
use throng_server::record::{RecordPlugin, RecordingReader, app_of};
use throng_server::runner::{finish_plugins, tick_once};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::ChannelId;
use throng_shared::protocol::input::ViewTick;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;
use throng_tests::fuzzing::files::{RECORDED, recorded_world, replay_of};

use super::{connect_worker, inputs, write_seeds};

const TICK: Duration = Duration::from_millis(50);
/// Ticks of each recording among the seeds.
const TICKS: u32 = 12;

/// Inputs in an older format are refused at their first bytes, so that they would test no other code.
#[test]
fn corpus_recordings_have_the_current_format() {
    let (mut opened, mut replayed) = (0, 0);
    for (_, input) in inputs("recordings") {
        let is_whole_file = input[0] & 1 == 0;
        opened += u32::from(is_whole_file && RecordingReader::open(&input[1..]).is_ok());
        let outcome = replay_of(&input);
        replayed += u32::from(!is_whole_file && matches!(outcome, Some(Ok(played)) if played.ticks > 0));
    }
    assert!(opened >= 2, "only {opened} files are opened");
    assert!(
        replayed >= 2,
        "only {replayed} recordings are replayed to their ends"
    );
}

/// A writable file in memory.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what the session `index` does in a tick: it joins, sends an invalid message, steers or leaves.
fn action(index: u32, tick: u32, protocol: &Protocol) -> Option<ToSimulation> {
    let session = SessionId { index, generation: 0 };
    let key = SessionKey { worker: 0, session };
    let time = TICK * tick;
    match tick.checked_sub(index + 1)? {
        0 => Some(ToSimulation::Joined {
            key,
            client_id: u64::from(index),
            number: 1,
            name: PlayerName::new("Ann").unwrap(),
            kind: [PeerKind::Throng, PeerKind::Renet][index as usize % 2],
            at: time,
        }),
        1 => Some(ToSimulation::Message {
            key,
            channel: ChannelId(0),
            bytes: bytes::Bytes::from_static(b"\x01hello"),
        }),
        ago if ago == 8 - index => Some(ToSimulation::Left {
            key,
            reason: LeaveReason::TimedOut,
        }),
        ago => Some(ToSimulation::Input {
            key,
            tick: Tick(tick + ago % 3),
            view: (ago % 2 == 0).then(|| ViewTick::new(Tick(tick - 1), 100)),
            arrived_at: time,
            bytes: protocol
                .encode_input(&SteerInput {
                    turn: 0.25 * (ago % 5) as f32 - 0.5,
                    thrust: 1.0,
                })
                .unwrap(),
        }),
    }
}

/// Records a small game with this many players.
fn recording(players: u32) -> Vec<u8> {
    let sink = Sink::default();
    let mut header = recorded_world();
    let mut app = app_of(&header, ScenePlugin(RECORDED));
    let protocol = app.world().resource::<Protocol>().clone();
    header.protocol = protocol.hash();
    let mut worker = connect_worker(&mut app);
    app.add_plugins(RecordPlugin::new(sink.clone(), header));
    finish_plugins(&mut app);
    for tick in 1..=TICKS {
        for action in (0..players).filter_map(|index| action(index, tick, &protocol)) {
            match action {
                input @ ToSimulation::Input { .. } => assert!(worker.input(input)),
                ToSimulation::Message { key, channel, bytes } => assert!(worker.message(key, channel, bytes)),
                other => worker.announce(other),
            }
        }
        tick_once(&mut app, TICK * tick);
        while worker.frame().is_some() {}
    }
    drop(app);
    sink.0.lock().unwrap().clone()
}

/// Returns the blocks after the header of a recording in the target's format: two bytes of length, and the value.
fn blocks(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[12..];
    let mut blocks = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut block = u16::try_from(length).unwrap().to_le_bytes().to_vec();
        block.extend(&tail[..length]);
        blocks.push(block);
        rest = &tail[length..];
    }
    blocks.split_off(1)
}

/// Returns the seeds of the corpus of recordings, for a game with this many players: a complete file, its blocks, a
/// truncated file, the first blocks, and the blocks with a tick twice and with one missing.
fn seeds(players: u32) -> [Vec<u8>; 6] {
    let file = recording(players);
    let blocks = blocks(&file);
    let seed = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
    [
        seed(0, &file),
        seed(1, &blocks.concat()),
        seed(0, &file[..file.len() * 2 / 3]),
        seed(1, &blocks[..5].concat()),
        seed(1, &[&blocks[..3], &blocks[2..]].concat().concat()),
        seed(1, &[&blocks[..3], &blocks[4..]].concat().concat()),
    ]
}

#[test]
fn new_recordings_are_replayed_to_their_ends() {
    let all = [0, 1, 2].map(seeds);
    for (players, [file, blocks, ..]) in all.iter().enumerate() {
        for input in [file, blocks] {
            let outcome = replay_of(input);
            let ticks = matches!(&outcome, Some(Ok(played)) if played.ticks == TICKS);
            assert!(ticks, "{players} players, kind {}: {outcome:?}", input[0]);
        }
    }
    write_seeds("recordings", all.as_flattened());
}
