//! What a player saw when giving an input: the moment to which lag compensation goes back.
//!
//! Owns the judgement of what clients claim. Guarantees that every moment lies at most a rewind before the
//! newest frame when the input is applied and, as far as that allows, not after the newest frame when it
//! arrived. A claim beyond either is limited, not refused: an honest client far away makes it too.

use std::time::Duration;

use throng_shared::limits::HISTORY_TICKS;
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::ViewTick;
use throng_shared::tick::Tick;

use crate::runner::TickTime;

/// How far back lag compensation goes. Who saw something older is judged by what there was
/// that long ago.
pub const REWIND_MAX: Duration = Duration::from_millis(250);

/// Parts of a tick.
const PARTS: u32 = 256;

/// What the player saw that claims `view` for its input for `tick`, which has arrived before the running tick;
/// and whether the claim had to be limited. Every frame that the moment needs is in
/// [`Frames`](crate::simulation::Frames): the one of its tick, and, unless its fraction is 0, the one after it.
pub(crate) fn judge_view(view: ViewTick, tick: Tick, time: &TickTime) -> (SeenAt, bool) {
    let (seen, fraction) = view.unwrap_near(time.tick);
    let claimed = age(SeenAt { tick: seen, fraction }, tick);
    // The newest frame is that of the tick before. An input for a later tick is applied after it has
    // aged, but never beyond the rewind.
    let oldest = i64::from(PARTS) + i64::from(rewind_parts(time.length));
    let newest = (i64::from(tick.since(time.tick).max(0)) + 1) * i64::from(PARTS);
    let age = claimed.max(newest).min(oldest);
    (before(tick, age as u32), age != claimed)
}

/// The same moment of the next tick.
pub(super) fn next(seen: SeenAt) -> SeenAt {
    SeenAt {
        tick: seen.tick.next(),
        ..seen
    }
}

/// The moment that lies `age` parts before the frame of `tick`.
fn before(tick: Tick, age: u32) -> SeenAt {
    let ticks = age.div_ceil(PARTS);
    SeenAt {
        tick: tick - ticks,
        fraction: (ticks * PARTS - age) as u8,
    }
}

/// Parts from a moment to the frame of `tick`; negative when the moment is after it.
fn age(seen: SeenAt, tick: Tick) -> i64 {
    i64::from(tick.since(seen.tick)) * i64::from(PARTS) - i64::from(seen.fraction)
}

/// The longest rewind at this tick length, as far as the history of frames reaches.
fn rewind_parts(tick_length: Duration) -> u32 {
    let parts = REWIND_MAX.as_nanos() * u128::from(PARTS) / tick_length.as_nanos().max(1);
    (parts as u32).min((HISTORY_TICKS as u32 - 2) * PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(tick: u32, ms: u64) -> TickTime {
        TickTime {
            tick: Tick(tick),
            started_at: Duration::ZERO,
            length: Duration::from_millis(ms),
        }
    }

    fn judged(seen: u32, fraction: u8, tick: u32, time: &TickTime) -> (u32, u8, bool) {
        let (seen, limited) = judge_view(ViewTick::new(Tick(seen), fraction), Tick(tick), time);
        (seen.tick.0, seen.fraction, limited)
    }

    #[test]
    fn what_was_published_and_is_not_too_old_is_believed() {
        let now = time(1_000, 50);
        assert_eq!(judged(999, 0, 1_000, &now), (999, 0, false), "the newest frame");
        assert_eq!(judged(997, 128, 1_000, &now), (997, 128, false));
        assert_eq!(judged(994, 0, 1_000, &now), (994, 0, false), "250 ms before it");
        assert_eq!(judged(996, 7, 1_002, &now), (996, 7, false), "for a later tick");
    }

    #[test]
    fn the_future_and_what_is_older_than_a_rewind_are_limited() {
        let now = time(1_000, 50);
        assert_eq!(
            judged(999, 1, 1_000, &now),
            (999, 0, true),
            "the next frame is not yet"
        );
        assert_eq!(
            judged(1_000, 0, 1_003, &now),
            (999, 0, true),
            "though it will be then"
        );
        assert_eq!(judged(993, 255, 1_000, &now), (994, 0, true));
        assert_eq!(judged(900, 0, 1_000, &now), (994, 0, true));
        // Its tick comes so late that everything published by now is too old then.
        assert_eq!(judged(999, 0, 1_020, &now), (1_014, 0, true));
        // A fast simulation goes back more ticks, a slow one parts of a tick.
        assert_eq!(judged(0, 0, 1_000, &time(1_000, 8)), (967, 192, true));
        assert_eq!(judged(0, 0, 1_000, &time(1_000, 1_000)), (998, 192, true));
        assert_eq!(
            judged(0, 0, 1_000, &time(1_000, 1)),
            (937, 0, true),
            "the history's end"
        );
    }

    proptest! {
        #[test]
        fn no_claim_leads_out_of_the_window(
            now: u32,
            ahead in -40i32..40,
            seen: u32,
            fraction: u8,
            ms in 1u64..1_000,
        ) {
            let time = time(now, ms);
            let tick = Tick(now.wrapping_add_signed(ahead));
            let (judged, limited) = judge_view(ViewTick::new(Tick(seen), fraction), tick, &time);
            // Frames from the rewind's end to the newest at the start of the input's tick.
            let parts = age(judged, tick - 1);
            prop_assert!((0..=i64::from(rewind_parts(time.length))).contains(&parts), "{:?}", judged);
            prop_assert!(tick.since(judged.tick) <= HISTORY_TICKS as i32);
            if !limited && ahead >= 0 {
                prop_assert!(age(judged, time.tick - 1) >= 0, "{:?} was not published", judged);
                prop_assert_eq!((judged.tick.wire(), judged.fraction), (Tick(seen).wire(), fraction));
            }
        }
    }
}
