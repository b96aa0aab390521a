//! Recordings that are cut off or damaged.

use std::sync::OnceLock;

use proptest::prelude::*;
use throng_shared::hash::fnv1a;

use super::{Sink, recorded, replayed};
use crate::record::{ReadError, ReplayError};
use crate::tests::walkers::CROWD;

/// Number of ticks in the sample.
const TICKS: u32 = 40;

fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let sink = Sink::default();
        recorded(CROWD, 1, |_| {}, sink.clone()).run(TICKS);
        sink.bytes()
    })
}

/// Returns the offsets of the blocks, and the file's length last.
fn blocks() -> Vec<usize> {
    let bytes = sample();
    let mut starts = vec![12];
    while let Some(header) = bytes
        .get(starts[starts.len() - 1]..)
        .filter(|rest| !rest.is_empty())
    {
        let length = u32::from_le_bytes(*header.first_chunk().unwrap());
        starts.push(starts[starts.len() - 1] + 12 + length as usize);
    }
    starts
}

/// Returns the offset of the block that contains the byte at `offset`; 0 for the bytes before the first
/// block.
fn block_of(offset: usize) -> u64 {
    let before = blocks().into_iter().take_while(|&start| start <= offset).last();
    before.unwrap_or(0) as u64
}

#[test]
fn a_cut_off_recording_is_replayed_up_to_the_cut() {
    let (bytes, starts) = (sample(), blocks());
    assert_eq!(
        (starts.len(), starts.last()),
        (TICKS as usize + 3, Some(&bytes.len()))
    );
    for end in starts
        .iter()
        .flat_map(|&start| [start.saturating_sub(1), start, start + 5])
    {
        let complete = starts.iter().filter(|&&start| start <= end).count();
        let outcome = replayed(&bytes[..end.min(bytes.len())], |_| {});
        if end >= bytes.len() {
            assert_eq!(outcome.unwrap().ticks, TICKS);
            continue;
        }
        let Err(ReplayError::Recording { error, ticks }) = outcome else {
            panic!("{end}: {outcome:?}");
        };
        assert_eq!(ticks as usize, complete.saturating_sub(2), "{end}: {error}");
        let expected = if end < 12 { 0 } else { block_of(end) };
        assert_eq!(error.offset, expected, "{end}: {error}");
        let cut = if end < 12 {
            matches!(error.error, ReadError::Magic)
        } else {
            matches!(error.error, ReadError::Truncated)
        };
        assert!(cut, "{end}: {error}");
        assert!(error.to_string().contains(&expected.to_string()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(throng_seeds::count(48, 12)))]

    #[test]
    fn a_changed_byte_of_a_recording_is_reported_with_its_block(
        index in any::<prop::sample::Index>(),
        with in 1u8..,
    ) {
        let mut bytes = sample().to_vec();
        let index = index.index(bytes.len());
        bytes[index] ^= with;
        match replayed(&bytes, |_| {}) {
            Err(ReplayError::Recording { error, .. }) => prop_assert_eq!(error.offset, block_of(index)),
            other => prop_assert!(false, "{}: {:?}", index, other),
        }
    }

    #[test]
    fn damage_behind_a_right_digest_does_not_panic(
        block in 0..42usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut bytes, starts) = (sample().to_vec(), blocks());
        let value = starts[block] + 12..starts[block + 1];
        for (index, with) in changes {
            let index = index.index(value.len());
            bytes[value.clone()][index] = with;
        }
        let sum = fnv1a(&bytes[value.clone()]);
        bytes[value.start - 8..value.start].copy_from_slice(&sum.to_le_bytes());
        // Any result is accepted, as long as it does not panic.
        let _ = replayed(&bytes, |_| {});
    }

    #[test]
    fn random_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), begun: bool) {
        if begun {
            bytes.splice(0..0, sample()[..12].iter().copied());
        }
        let outcome = replayed(&bytes, |_| {});
        prop_assert!(outcome.is_err());
    }
}
