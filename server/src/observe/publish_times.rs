//! Publish times of the newest ticks, from which a client on the same machine computes the age of a snapshot.
//!
//! Lock-free, with one store per tick. The times are reported on the machine's clock since 1970, which is the same for
//! every process of the machine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Number of ticks whose times are kept: 1 s at 60 Hz, 3.2 s at 20 Hz.
const TICKS_KEPT: usize = 64;
/// Number of low bits of a tick that are kept with its time, to distinguish it from earlier ticks in the same entry.
const TICK_BITS: u32 = 16;

/// A ring of publish times. Entry `tick % 64` is one word: the tick's low 16 bits, and above them the microseconds
/// since the origin.
#[derive(Debug)]
pub(super) struct PublishTimes([AtomicU64; TICKS_KEPT]);

impl PublishTimes {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; TICKS_KEPT])
    }

    /// Records that `tick` was published at `time` since the process's origin.
    pub(super) fn record(&self, tick: u32, time: Duration) {
        let time_us = time.as_micros() as u64;
        let word = time_us << TICK_BITS | u64::from(tick as u16);
        self.0[tick as usize % TICKS_KEPT].store(word, Relaxed);
    }

    /// Returns ticks with their times since 1970 in microseconds, the oldest first. `newest` is the newest tick and
    /// `uptime` the current time since the origin.
    pub(super) fn since_1970(&self, newest: u32, uptime: Duration) -> Vec<(u32, u64)> {
        let origin_us = since_1970().saturating_sub(uptime).as_micros() as u64;
        let ages = (0..TICKS_KEPT as u32).rev();
        ages.filter_map(|age| {
            let tick = newest.checked_sub(age)?;
            let word = self.0[tick as usize % TICKS_KEPT].load(Relaxed);
            let is_tick = word != 0 && word as u16 == tick as u16;
            is_tick.then_some((tick, origin_us + (word >> TICK_BITS)))
        })
        .collect()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the machine's common clock is the subject"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publish_times_of_the_newest_ticks_are_returned_in_order() {
        let times = PublishTimes::new();
        assert!(times.since_1970(5, Duration::ZERO).is_empty());
        for tick in 65_500..65_600_u32 {
            times.record(tick, Duration::from_millis(u64::from(tick)));
        }
        let uptime = Duration::from_millis(65_600);
        let times_us = times.since_1970(65_599, uptime);
        let ticks: Vec<u32> = times_us.iter().map(|&(tick, _)| tick).collect();
        assert_eq!(ticks, (65_536..65_600).collect::<Vec<_>>());
        assert!(
            times_us.windows(2).all(|pair| pair[1].1 - pair[0].1 == 1_000),
            "a millisecond apart"
        );

        let now_us = since_1970().as_micros() as u64;
        let (_, newest_us) = *times_us.last().unwrap();
        let since_us = now_us - newest_us;
        assert!(
            (1_000..1_000_000).contains(&since_us),
            "published 1 ms before now, reported a moment ago: {since_us}"
        );
    }

    #[test]
    fn a_tick_that_was_never_published_has_no_publish_time() {
        let times = PublishTimes::new();
        times.record(10, Duration::from_secs(1));
        times.record(12, Duration::from_secs(2));
        let times_us = times.since_1970(12, Duration::from_secs(3));
        assert_eq!(
            times_us.iter().map(|&(tick, _)| tick).collect::<Vec<_>>(),
            [10, 12]
        );
    }
}
