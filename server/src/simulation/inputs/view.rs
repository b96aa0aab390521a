//! The time that a player saw when giving an input, to which lag compensation rewinds.
//!
//! Owns the validation of the time that a client claims to have seen. Guarantees two limits. First, the time is at
//! most [`REWIND_MAX`] before the frame that is newest when the input is applied. Second, as far as the first allows,
//! the time is not after the frame that was newest when the input arrived. A claim outside these limits is moved to
//! the nearest limit, not refused, because an honest client far away makes such claims too.

use std::time::Duration;

use throng_shared::limits::HISTORY_TICKS;
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::ViewTick;
use throng_shared::tick::Tick;

use crate::runner::TickTime;

/// How far back lag compensation rewinds. A shot at an older state is compared with the state of that
/// moment.
pub const REWIND_MAX: Duration = Duration::from_millis(250);

/// Number of parts in a tick, the unit of fractions.
const PARTS: u32 = 256;

/// Returns the time that a player saw, limited to the allowed window, and whether it had to be limited. The
/// player claims `view` for its input for `tick`, and the input has arrived before the running tick. Every
/// frame that the time needs is in [`Frames`](crate::simulation::Frames): the one of its tick, and, unless
/// its fraction is 0, the one after it.
pub(crate) fn judge_view(view: ViewTick, tick: Tick, time: &TickTime) -> (SeenAt, bool) {
    let (seen, fraction) = view.unwrap_near(time.tick);
    let claimed = age(SeenAt { tick: seen, fraction }, tick);
    // The newest frame is that of the tick before. An input for a later tick is applied when its view is
    // older, but never older than the rewind.
    let oldest = i64::from(PARTS) + i64::from(rewind_parts(time.length));
    let newest = (i64::from(tick.since(time.tick).max(0)) + 1) * i64::from(PARTS);
    let age = claimed.max(newest).min(oldest);
    (before(tick, age as u32), age != claimed)
}

/// Returns the time one tick later.
pub(super) fn next(seen: SeenAt) -> SeenAt {
    SeenAt {
        tick: seen.tick.next(),
        ..seen
    }
}

/// Returns the time `age` parts before the frame of `tick`.
fn before(tick: Tick, age: u32) -> SeenAt {
    let ticks = age.div_ceil(PARTS);
    SeenAt {
        tick: tick - ticks,
        fraction: (ticks * PARTS - age) as u8,
    }
}

/// Returns the parts from a time to the frame of `tick`; negative if the time is after it.
fn age(seen: SeenAt, tick: Tick) -> i64 {
    i64::from(tick.since(seen.tick)) * i64::from(PARTS) - i64::from(seen.fraction)
}

/// Returns the longest rewind at this tick length, in parts, as far as the history of frames reaches.
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
            length: Duration::from_millis(ms),
            ..TickTime::default()
        }
    }

    fn judged(seen: u32, fraction: u8, tick: u32, time: &TickTime) -> (u32, u8, bool) {
        let (seen, limited) = judge_view(ViewTick::new(Tick(seen), fraction), Tick(tick), time);
        (seen.tick.0, seen.fraction, limited)
    }

    #[test]
    fn a_seen_time_of_published_frames_within_the_rewind_is_accepted() {
        let now = time(1_000, 50);
        assert_eq!(judged(999, 0, 1_000, &now), (999, 0, false), "the newest frame");
        assert_eq!(judged(997, 128, 1_000, &now), (997, 128, false));
        assert_eq!(judged(994, 0, 1_000, &now), (994, 0, false), "250 ms before it");
        assert_eq!(judged(996, 7, 1_002, &now), (996, 7, false), "for a later tick");
    }

    #[test]
    fn a_seen_time_in_the_future_or_older_than_the_rewind_is_limited() {
        let now = time(1_000, 50);
        assert_eq!(
            judged(999, 1, 1_000, &now),
            (999, 0, true),
            "the next frame is not published"
        );
        assert_eq!(
            judged(1_000, 0, 1_003, &now),
            (999, 0, true),
            "though it will be published by then"
        );
        assert_eq!(judged(993, 255, 1_000, &now), (994, 0, true));
        assert_eq!(judged(900, 0, 1_000, &now), (994, 0, true));
        // Its tick is so far ahead that every frame published now will be too old.
        assert_eq!(judged(999, 0, 1_020, &now), (1_014, 0, true));
        // A simulation with short ticks rewinds more ticks, one with long ticks parts of a tick.
        assert_eq!(judged(0, 0, 1_000, &time(1_000, 8)), (967, 192, true));
        assert_eq!(judged(0, 0, 1_000, &time(1_000, 1_000)), (998, 192, true));
        assert_eq!(
            judged(0, 0, 1_000, &time(1_000, 1)),
            (937, 0, true),
            "the end of the history"
        );
    }

    proptest! {
        #[test]
        fn a_seen_time_is_within_the_rewind_window_whatever_is_claimed(
            now: u32,
            ahead in -40i32..40,
            seen: u32,
            fraction: u8,
            ms in 1u64..1_000,
        ) {
            let time = time(now, ms);
            let tick = Tick(now.wrapping_add_signed(ahead));
            let (judged, limited) = judge_view(ViewTick::new(Tick(seen), fraction), tick, &time);
            // Parts from the time to the newest frame at the start of the input's tick.
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
