//! Ages of the inputs that the server acts on.
//!
//! A bot records when it sampled the input of each tick. A snapshot names the newest input that its tick applied. The
//! time from the sampling of that input to the snapshot's arrival is the age of the input when its effect is known to
//! the bot. It contains the way back and the swarm's own delays, so it is an upper bound of the age in the tick. While
//! the server repeats an input, or acts on none, the age of the last one grows on.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use throng_server::observe::Histogram;
use throng_shared::tick::Tick;

/// Inputs that a bot remembers: more than it ever has under way.
const INPUTS_KEPT: usize = 64;

/// When one bot sampled its last inputs, and the last of them that the server applied.
#[derive(Debug)]
pub struct SampledInputs {
    sampled: [(Tick, Duration); INPUTS_KEPT],
    applied: Option<Duration>,
}

impl Default for SampledInputs {
    fn default() -> Self {
        Self {
            sampled: [(Tick(0), Duration::ZERO); INPUTS_KEPT],
            applied: None,
        }
    }
}

impl SampledInputs {
    /// Records that the input for `tick` was sampled at `now`.
    pub fn record(&mut self, tick: Tick, now: Duration) {
        self.sampled[tick.0 as usize % INPUTS_KEPT] = (tick, now);
    }

    /// Returns the age, at `now`, of the newest input that the server applied, which is that for `applied` if it is known.
    /// Returns `None` before the first.
    pub fn age(&mut self, applied: Option<Tick>, now: Duration) -> Option<Duration> {
        let known = applied.and_then(|tick| {
            let (sampled_for, at) = self.sampled[tick.0 as usize % INPUTS_KEPT];
            (sampled_for == tick).then_some(at)
        });
        self.applied = known.or(self.applied);
        Some(now.saturating_sub(self.applied?))
    }
}

/// The ages of one second.
pub struct SecondOfAges {
    second: u64,
    playing: u32,
    ticks: u32,
    ages: Histogram,
}

impl fmt::Display for SecondOfAges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ages = self.ages.snapshot();
        write!(out, "second {:>3}: {} playing, ", self.second, self.playing)?;
        if ages.count == 0 {
            return out.write_str("no snapshot");
        }
        let [p50, p99] = [0.5, 0.99].map(|quantile| ages.quantile(quantile).as_secs_f64() * 1e3);
        let max = ages.max().as_secs_f64() * 1e3;
        write!(
            out,
            "{} ticks, inputs acted on were {p50:.0} / {p99:.0} / {max:.0} ms old (p50 / p99 / max)",
            self.ticks
        )
    }
}

/// Writes one line to standard error for every second of the measured window.
pub struct AgeLog {
    begun: Duration,
    written: u64,
}

impl AgeLog {
    /// Starts the log of a window that begins at `now`.
    #[must_use]
    pub fn start(now: Duration) -> Self {
        Self {
            begun: now,
            written: 0,
        }
    }

    /// Writes the line of the second that has ended before `now`, if none was written for it. `take` returns the ticks
    /// and the ages since it was called last.
    pub fn update(&mut self, now: Duration, playing: u32, take: impl FnOnce() -> (u32, Histogram)) {
        let second = now.saturating_sub(self.begun).as_secs();
        if second <= self.written {
            return;
        }
        self.written = second;
        let (ticks, ages) = take();
        let line = SecondOfAges {
            second,
            playing,
            ticks,
            ages,
        };
        // A closed standard error must not end the run.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_age_is_that_of_the_newest_applied_input() {
        let mut inputs = SampledInputs::default();
        assert_eq!(inputs.age(None, MS * 5), None);
        for tick in 1..=100 {
            inputs.record(Tick(tick), MS * 50 * tick);
        }
        assert_eq!(inputs.age(Some(Tick(99)), MS * 5_010), Some(MS * 60));
        assert_eq!(inputs.age(Some(Tick(100)), MS * 5_060), Some(MS * 60));
        // It is repeated, and then too old to be named.
        assert_eq!(inputs.age(Some(Tick(100)), MS * 6_060), Some(MS * 1_060));
        assert_eq!(inputs.age(None, MS * 20_000), Some(MS * 15_000));
        assert_eq!(
            inputs.age(Some(Tick(1)), MS * 20_000),
            Some(MS * 15_000),
            "forgotten"
        );
    }

    #[test]
    fn a_line_has_the_quantiles_of_its_second_or_says_that_there_was_no_snapshot() {
        let line = SecondOfAges {
            second: 7,
            playing: 200,
            ticks: 20,
            ages: Histogram::new(),
        };
        assert_eq!(line.to_string(), "second   7: 200 playing, no snapshot");
        line.ages.record(MS * 40);
        let text = line.to_string();
        assert!(
            text.starts_with("second   7: 200 playing, 20 ticks, inputs acted on were "),
            "{text}"
        );
    }
}
