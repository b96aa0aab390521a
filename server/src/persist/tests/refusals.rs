//! Bytes that are not a checkpoint of this app are refused.

use bevy_ecs::prelude::*;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

use super::saved;
use crate::persist::format::reseal;
use crate::persist::load::Checkpoint;
use crate::persist::{FormatError, LoadError, PersistAppExt, Persisted, load, save};
use crate::tests::scripted::ScriptedSimulation;
use crate::tests::walkers::CROWD;

#[derive(Component, Clone, Serialize, Deserialize)]
struct Unknown(u8);

/// Returns a checkpoint and the types that it holds, made once.
fn sample() -> &'static (Vec<u8>, Persisted) {
    static SAMPLE: OnceLock<(Vec<u8>, Persisted)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (mut scripted, bytes) = saved(1, 70);
        (bytes, Persisted::of(scripted.app.world_mut()))
    })
}

fn refusal(bytes: &[u8]) -> LoadError {
    match Checkpoint::read(bytes, &sample().1) {
        Err(error) => error,
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn every_truncation_of_a_checkpoint_is_an_error() {
    let bytes = &sample().0;
    for end in (0..bytes.len()).step_by(97).chain(0..64) {
        let error = refusal(&bytes[..end]);
        assert!(
            matches!(error, LoadError::Format(FormatError::Length { .. })),
            "{end}: {error}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        refusal(&longer),
        LoadError::Format(FormatError::Length { .. })
    ));
}

#[test]
fn the_error_of_a_refused_checkpoint_names_the_reason() {
    let bytes = &sample().0;
    assert!(refusal(b"GIF89a..").to_string().contains("THRONGCP"));
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert!(refusal(&newer).to_string().contains("format 9"));
    let mut extended = ScriptedSimulation::new(CROWD, 1, |app| {
        app.persist::<Unknown>();
    });
    extended.run(2);
    let theirs = save(extended.app.world_mut()).unwrap();
    assert!(refusal(&theirs).to_string().contains("Unknown"));
}

#[test]
fn a_refused_checkpoint_leaves_the_world_as_it_was() {
    let mut first = ScriptedSimulation::new(CROWD, 4, |_| {});
    let mut second = ScriptedSimulation::new(CROWD, 4, |_| {});
    let mut damaged = sample().0.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for tick in 0..50 {
        assert_eq!(first.tick().checksum(), second.tick().checksum(), "tick {tick}");
        assert!(matches!(
            load(&mut second.app, &damaged),
            Err(LoadError::Format(FormatError::Digest { .. }))
        ));
    }
}

proptest! {
    #[test]
    fn a_changed_byte_of_a_checkpoint_is_an_error(index in any::<prop::sample::Index>(), with in 1u8..) {
        let mut bytes = sample().0.clone();
        let index = index.index(bytes.len());
        bytes[index] ^= with;
        prop_assert!(Checkpoint::read(&bytes, &sample().1).is_err());
    }

    #[test]
    fn random_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400), sealed: bool) {
        if sealed {
            reseal(&mut bytes);
        }
        prop_assert!(Checkpoint::read(&bytes, &sample().1).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With a correct digest, damage results in an error or in another world that runs, never in a panic.
    #[test]
    fn damage_behind_the_digest_does_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        near_the_start: bool,
    ) {
        let mut bytes = sample().0.clone();
        for (index, with) in changes {
            let within = if near_the_start { 1_000 } else { bytes.len() - 28 };
            bytes[28 + index.index(within)] = with;
        }
        reseal(&mut bytes);
        let mut scripted = ScriptedSimulation::new(CROWD, 1, |_| {});
        if load(&mut scripted.app, &bytes).is_ok() {
            scripted.run(3);
        }
    }
}
