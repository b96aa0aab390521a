//! Recordings that were cut off or damaged.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::{Sink, recorded, replayed};
use crate::persist::digest;
use crate::record::{ReadError, ReplayError};
use crate::tests::walkers::CROWD;

/// Ticks of the sample.
const TICKS: u32 = 40;

fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let sink = Sink::default();
        recorded(CROWD, 1, |_| {}, sink.clone()).run(TICKS);
        sink.bytes()
    })
}

/// Where the blocks begin; the file's end last.
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

/// Where the block begins that holds the byte at `at`; 0 for what stands before the first.
fn block_of(at: usize) -> u64 {
    let before = blocks().into_iter().take_while(|&start| start <= at).last();
    before.unwrap_or(0) as u64
}

#[test]
fn a_recording_that_is_cut_off_is_replayed_up_to_there() {
    let (bytes, starts) = (sample(), blocks());
    assert_eq!(
        (starts.len(), starts.last()),
        (TICKS as usize + 3, Some(&bytes.len()))
    );
    for end in starts
        .iter()
        .flat_map(|&start| [start.saturating_sub(1), start, start + 5])
    {
        let whole = starts.iter().filter(|&&start| start <= end).count();
        let outcome = replayed(&bytes[..end.min(bytes.len())], |_| {});
        if end >= bytes.len() {
            assert_eq!(outcome.unwrap().ticks, TICKS);
            continue;
        }
        let Err(ReplayError::Recording { error, ticks }) = outcome else {
            panic!("{end}: {outcome:?}");
        };
        assert_eq!(ticks as usize, whole.saturating_sub(2), "{end}: {error}");
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
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_byte_is_found_where_it_is(at in any::<prop::sample::Index>(), with in 1u8..) {
        let mut bytes = sample().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        match replayed(&bytes, |_| {}) {
            Err(ReplayError::Recording { error, .. }) => prop_assert_eq!(error.offset, block_of(at)),
            other => prop_assert!(false, "{}: {:?}", at, other),
        }
    }

    #[test]
    fn damage_behind_a_right_digest_does_not_panic(
        block in 0..42usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut bytes, starts) = (sample().to_vec(), blocks());
        let value = starts[block] + 12..starts[block + 1];
        for (at, with) in changes {
            let at = at.index(value.len());
            bytes[value.clone()][at] = with;
        }
        let sum = digest(&bytes[value.clone()]);
        bytes[value.start - 8..value.start].copy_from_slice(&sum.to_le_bytes());
        // Whatever comes of it, as long as something does.
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
