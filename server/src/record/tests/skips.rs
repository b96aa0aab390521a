//! Recordings of a server that was late and skipped tick numbers.

use std::time::Duration;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use throng_seeds::seeds;
use throng_shared::hash::fnv1a;
use throng_shared::protocol::codec;
use throng_shared::protocol::pose::Position;
use throng_shared::random::Random;

use super::{Sink, recorded, replayed};
use crate::record::format::{RecordingBlock, TickBlock};
use crate::record::{End, ReadError, ReplayError};
use crate::runner::{SKIPPED_MAX, TickTime};
use crate::schedule::ServerSystems;
use crate::simulation::InputBuffer;
use crate::tests::walkers::CROWD;

/// Adds gameplay whose result depends on the skipped numbers, and on the arrival margins of inputs.
fn sensitive(app: &mut App) {
    let shift = |mut positions: Query<&mut Position>, buffers: Query<&InputBuffer>, time: Res<TickTime>| {
        let margins: i64 = buffers.iter().map(|buffer| i64::from(buffer.margin_16())).sum();
        for mut position in &mut positions {
            position.0.x += time.skipped as f32 * 0.25 + (margins % 16) as f32 * 0.25;
        }
    };
    // In no phase of its own: after the inputs were taken, before gameplay.
    let shift = shift.after(ServerSystems::Input).before(ServerSystems::Simulate);
    app.add_systems(FixedUpdate, shift);
}

/// Records a crowd whose server is late and skips numbers at random. Returns the recording and the last tick.
fn recording(seed: u64, ticks: u32) -> (Vec<u8>, u32) {
    let sink = Sink::default();
    let mut scripted = recorded(CROWD, seed, sensitive, sink.clone());
    let mut random = Random::new(seed);
    let mut last = 0;
    for _ in 0..ticks {
        let skipped = match random.below(10) {
            0 => random.below(400) as u32,
            1..=3 => 1,
            _ => 0,
        };
        let late = Duration::from_millis(random.below(500));
        last = scripted.tick_late(late, skipped).tick.0;
    }
    drop(scripted);
    (sink.bytes(), last)
}

#[test]
fn skipped_ticks_are_recorded_and_replayed_identically() {
    for seed in seeds(1..=5, 2) {
        let (bytes, last) = recording(seed, 200);
        assert!(last > 1_000, "seed {seed}: {last}");
        let outcome = replayed(&bytes, sensitive).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((outcome.ticks, outcome.end), (200, End::Stopped), "seed {seed}");
    }
}

/// Returns the recording with `change` applied to the ticks that satisfy `which`.
fn changed(bytes: &[u8], which: impl Fn(&TickBlock) -> bool, change: impl Fn(&mut TickBlock)) -> Vec<u8> {
    let (mut changed, mut rest, mut is_done) = (bytes[..12].to_vec(), &bytes[12..], false);
    while let Some((head, tail)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut block: RecordingBlock = codec::decode_state_exact(&tail[..length]).unwrap();
        if let RecordingBlock::Tick(tick) = &mut block
            && which(tick)
        {
            change(tick);
            is_done = true;
        }
        let mut value = Vec::new();
        codec::encode_state_into(&block, &mut value).unwrap();
        changed.extend((value.len() as u32).to_le_bytes());
        changed.extend(fnv1a(&value).to_le_bytes());
        changed.extend(value);
        rest = &tail[length..];
    }
    assert!(is_done);
    changed
}

#[test]
fn a_recording_whose_ticks_and_skipped_numbers_disagree_is_refused() {
    let (bytes, _) = recording(3, 60);
    let skips = |tick: &TickBlock| tick.skipped > 1;
    let changes: [fn(&mut TickBlock); 4] = [
        |tick| tick.skipped -= 1,
        |tick| tick.tick += 1,
        |tick| tick.tick = tick.tick - 1,
        |tick| {
            tick.tick += SKIPPED_MAX;
            tick.skipped += SKIPPED_MAX;
        },
    ];
    for change in changes {
        let outcome = replayed(&changed(&bytes, skips, change), sensitive);
        let Err(ReplayError::Recording { error, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            matches!(error.error, ReadError::Order("a tick is missing")),
            "{error}"
        );
    }
}

#[test]
fn a_replay_with_other_lateness_diverges() {
    let (bytes, _) = recording(4, 60);
    let is_late = |tick: &TickBlock| tick.late_ns > 200_000_000;
    // Inputs keep their age relative to the start, so that their margins change with the deadline.
    let later = changed(&bytes, is_late, |tick| tick.late_ns -= 70_000_000);
    let outcome = replayed(&later, sensitive);
    assert!(matches!(outcome, Err(ReplayError::Diverged(_))), "{outcome:?}");
}
