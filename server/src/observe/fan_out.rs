//! The fan-out time: from Publish to the last datagram of a tick.
//!
//! Every worker reports each tick when it has sent the last of its datagrams; the tick's time is that of the
//! slowest worker. Lock-free and without allocation. A worker that skips a tick does not block its figure: the tick
//! is counted with the other workers' reports when its entry in the ring is needed again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::histogram::{Histogram, HistogramSnapshot};

/// Ticks that may be open at once. An older tick is closed with the reports it has.
const OPEN_TICKS: usize = 16;

/// One open tick, packed into one word so that a report is a single compare-and-swap: bits 0..24 hold the tick,
/// bits 24..32 the number of workers that have reported (0: no open tick), bits 32..64 the longest time so far in
/// microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    tick: u32,
    reports: u8,
    slowest_us: u32,
}

impl Open {
    fn unpack(word: u64) -> Self {
        Self {
            tick: word as u32 & 0xff_ffff,
            reports: (word >> 24) as u8,
            slowest_us: (word >> 32) as u32,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.tick) | u64::from(self.reports) << 24 | u64::from(self.slowest_us) << 32
    }
}

/// The histogram of fan-out times, one value per tick.
#[derive(Debug)]
pub(super) struct FanOut {
    workers: u8,
    open: [AtomicU64; OPEN_TICKS],
    histogram: Histogram,
}

impl FanOut {
    /// Creates the histogram for `workers` reporting workers. 0, for an inline worker, counts as one.
    #[must_use]
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: u8::try_from(workers.max(1)).unwrap_or(u8::MAX),
            open: [const { AtomicU64::new(0) }; OPEN_TICKS],
            histogram: Histogram::new(),
        }
    }

    /// Records that one worker sent its last datagram of `tick`, `elapsed` after the frame was published. Must be called
    /// at most once per worker and tick, also when the worker had no client to serve.
    pub(super) fn record(&self, tick: u32, elapsed: Duration) {
        let slot = &self.open[tick as usize % OPEN_TICKS];
        let tick = tick & 0xff_ffff;
        let elapsed_us = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
        let mut word = slot.load(Relaxed);
        loop {
            let open = Open::unpack(word);
            let (next, closed) = self.advance(open, tick, elapsed_us);
            match slot.compare_exchange_weak(word, next.pack(), Relaxed, Relaxed) {
                Ok(_) => {
                    for us in closed.into_iter().flatten() {
                        self.histogram.record(Duration::from_micros(u64::from(us)));
                    }
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Returns the state after a report, and the times in microseconds of the ticks that the report closes.
    fn advance(&self, open: Open, tick: u32, elapsed_us: u32) -> (Open, [Option<u32>; 2]) {
        let joins = open.reports > 0 && open.tick == tick;
        let replaced = (open.reports > 0 && !joins).then_some(open.slowest_us);
        let report = if joins {
            Open {
                tick,
                reports: open.reports + 1,
                slowest_us: open.slowest_us.max(elapsed_us),
            }
        } else {
            Open {
                tick,
                reports: 1,
                slowest_us: elapsed_us,
            }
        };
        if report.reports >= self.workers {
            (
                Open {
                    tick,
                    reports: 0,
                    slowest_us: 0,
                },
                [replaced, Some(report.slowest_us)],
            )
        } else {
            (report, [replaced, None])
        }
    }

    /// Returns the histogram of the ticks closed so far.
    #[must_use]
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        self.histogram.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_tick_counts_once_with_its_slowest_worker() {
        let fan_out = FanOut::new(3);
        for (tick, elapsed) in [(7, 2), (8, 1), (7, 9), (8, 1), (7, 4), (8, 1)] {
            fan_out.record(tick, ms(elapsed));
        }
        let snapshot = fan_out.snapshot();
        assert_eq!(snapshot.count, 2);
        assert_eq!(snapshot.max(), ms(9));
    }

    #[test]
    fn a_tick_that_one_worker_skips_is_still_counted() {
        let fan_out = FanOut::new(2);
        fan_out.record(1, ms(5));
        assert_eq!(fan_out.snapshot().count, 0);
        fan_out.record(1 + OPEN_TICKS as u32, ms(3));
        assert_eq!(fan_out.snapshot().count, 1);
        fan_out.record(1 + OPEN_TICKS as u32, ms(2));
        assert_eq!(fan_out.snapshot().count, 2);
        assert_eq!(fan_out.snapshot().max(), ms(5));
    }

    #[test]
    fn an_inline_worker_counts_as_one_worker() {
        let fan_out = FanOut::new(0);
        fan_out.record(u32::MAX, ms(1));
        assert_eq!(fan_out.snapshot().count, 1);
    }
}
