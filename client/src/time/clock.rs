//! The client's two clocks, both counted in server ticks: the server tick that should have arrived by now, and
//! the tick that the next input is for.
//!
//! The arrival of snapshots shows when a server tick reached the client; the server reports how early inputs
//! reached it (the *arrival margin*). From these the clock keeps the input tick just far enough ahead that
//! inputs arrive before their tick is simulated, jitter included, and no further. Corrections are slewed: the
//! clocks run a little faster or slower for a while. They never run backward; only a large lag is skipped,
//! forward.
//!
//! Every reported margin is compared with the time at which *that* input was sent. Corrections still in flight
//! are therefore never applied twice, whatever the round trip.

use std::time::Duration;

use throng_shared::tick::Tick;

/// Tuning of a session's clock. All lengths in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockConfig {
    /// How early inputs should arrive on a network without jitter.
    pub margin_goal: f64,
    /// How many mean deviations of the margin are added to the goal.
    pub jitter_allowance: f64,
    /// A clock that lags its goal by more than this jumps forward.
    pub jump_above: f64,
    /// The largest lead of inputs over the newest server tick received; bounded by the server's input window.
    pub lead_max: f64,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self {
            margin_goal: 0.75,
            jitter_allowance: 3.0,
            jump_above: 4.0,
            lead_max: 48.0,
        }
    }
}

/// Speed at which small errors are corrected: running 5 % faster or slower is not noticeable.
const SLEW_MIN: f64 = 0.05;
/// Speed at which large errors are corrected: a clock that is far ahead stands still.
const SLEW_MAX: f64 = 1.0;
/// Weight of a new sample in the smoothed estimates.
const SAMPLE_WEIGHT: f64 = 1.0 / 8.0;
/// Weight of a new deviation in the smoothed jitter.
const JITTER_WEIGHT: f64 = 1.0 / 16.0;
/// Upper bound of the jitter allowance, in ticks.
const ALLOWANCE_MAX: f64 = 6.0;
/// Inputs remembered until their margin is reported; a power of two.
const SENT_INPUTS: usize = 64;
/// After a pause of more ticks than this, only the newest tick is returned.
const TICKS_BEHIND_MAX: i32 = 4;

/// A position in ticks that follows a moving goal at a bounded speed.
#[derive(Debug, Clone, Copy)]
struct Slewed {
    offset: f64,
    goal: f64,
}

impl Slewed {
    fn new(offset: f64) -> Self {
        Self { offset, goal: offset }
    }

    /// Moves towards the goal for `elapsed` ticks of real time. Backward it moves no faster than real time
    /// passes, so the clock may stand still but never runs backward.
    fn advance(&mut self, elapsed: f64, jump_above: f64) {
        let error = self.goal - self.offset;
        if error > jump_above {
            self.offset = self.goal;
            return;
        }
        let step = (error.abs() / 8.0).clamp(SLEW_MIN, SLEW_MAX) * elapsed;
        self.offset += error.clamp(-step, step);
    }
}

/// When an input was sent, to be compared with the margin reported for it.
#[derive(Debug, Clone, Copy)]
struct SentInput {
    tick: Tick,
    /// Ticks of real time since the clock's origin.
    elapsed: f64,
}

/// The clock of one connection. Times are `Duration`s since any fixed origin and never decrease.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionClock {
    config: ClockConfig,
    tick_rate_hz: f64,
    origin: Duration,
    origin_tick: Tick,
    /// Ticks of real time since the origin at the last slew.
    slewed_at: f64,
    server: Slewed,
    input: Slewed,
    /// Smoothed input offset at which the margin would be zero.
    zero_margin: Option<f64>,
    /// Mean deviation of `zero_margin`, in ticks.
    jitter: f64,
    /// Smoothed round trip, in ticks.
    round_trip: Option<f64>,
    newest: Tick,
    next_input: Tick,
    sent: [SentInput; SENT_INPUTS],
}

impl ConnectionClock {
    /// Creates a clock from the server's welcome: `tick` was the server's newest tick when it responded, and
    /// `round_trip` passed between the hello and now. `tick_rate_hz` is positive.
    pub(crate) fn new(
        config: ClockConfig,
        now: Duration,
        tick: Tick,
        tick_rate_hz: f64,
        round_trip: Duration,
    ) -> Self {
        let lead = (1.0 + config.margin_goal + round_trip.as_secs_f64() * tick_rate_hz).min(config.lead_max);
        let never = SentInput {
            tick,
            elapsed: f64::NEG_INFINITY,
        };
        Self {
            config,
            tick_rate_hz,
            origin: now,
            origin_tick: tick,
            slewed_at: 0.0,
            server: Slewed::new(0.0),
            input: Slewed::new(lead),
            zero_margin: None,
            jitter: 0.0,
            round_trip: None,
            newest: tick,
            next_input: tick + lead.ceil() as u32,
            sent: [never; SENT_INPUTS],
        }
    }

    /// Records that a snapshot of `tick` arrived. A tick older than the newest is ignored: it adds no
    /// information.
    pub(crate) fn observe_snapshot(&mut self, now: Duration, tick: Tick) {
        if tick.since(self.newest) <= 0 {
            return;
        }
        self.advance(now);
        self.newest = tick;
        let sample = f64::from(tick.since(self.origin_tick)) - self.slewed_at;
        let error = sample - self.server.goal;
        // A server that stalled or jumped is followed at once; the slew still smooths the shown time.
        let weight = if error.abs() > self.config.jump_above {
            1.0
        } else {
            SAMPLE_WEIGHT
        };
        self.server.goal += error * weight;
        self.bound_lead(sample);
    }

    /// Records that the frame of tick `frame` reported that its newest known input arrived `margin` ticks
    /// before the start of the input's tick (negative: too late). Call once a frame.
    pub(crate) fn observe_margin(&mut self, now: Duration, frame: Tick, margin: f64) {
        // The input arrived within the tick before the frame, so the margin determines the input's tick. An
        // error of one tick does no harm, because inputs are sent one tick apart.
        let tick = frame + margin.floor() as i32 as u32;
        let sent = self.sent[tick.0 as usize % SENT_INPUTS];
        if sent.tick != tick || sent.elapsed == f64::NEG_INFINITY {
            return;
        }
        self.advance(now);
        // The time from sending to the frame's arrival, less the time that the input waited for its tick and
        // the frame.
        let waited = f64::from(frame.since(tick)) + margin;
        let round_trip = (self.slewed_at - sent.elapsed - waited).max(0.0);
        let smoothed = self.round_trip.get_or_insert(round_trip);
        *smoothed += (round_trip - *smoothed) * SAMPLE_WEIGHT;
        let sample = f64::from(tick.since(self.origin_tick)) - sent.elapsed - margin;
        let previous = self.zero_margin.unwrap_or(sample);
        let error = sample - previous;
        let weight = if error.abs() > self.config.jump_above {
            1.0
        } else {
            SAMPLE_WEIGHT
        };
        let zero = previous + error * weight;
        self.zero_margin = Some(zero);
        self.jitter += (error.abs().min(self.config.jump_above) - self.jitter) * JITTER_WEIGHT;
        let allowance = (self.jitter * self.config.jitter_allowance).min(ALLOWANCE_MAX);
        self.input.goal = zero + self.config.margin_goal + allowance;
        self.bound_lead(f64::from(self.newest.since(self.origin_tick)) - self.slewed_at);
    }

    /// Bounds the input goal between the tick that is simulated next and the furthest one that the server
    /// keeps, whatever was reported. `sample` is the offset of the newest snapshot.
    fn bound_lead(&mut self, sample: f64) {
        let least = sample + self.config.margin_goal;
        self.input.goal = self
            .input
            .goal
            .clamp(least, least.max(sample + self.config.lead_max));
    }

    /// Returns the next input tick when it is due; call until `None`. Ticks are in order, each at most once;
    /// after a pause the oldest are skipped.
    pub(crate) fn due_input(&mut self, now: Duration) -> Option<Tick> {
        self.advance(now);
        let position = (self.slewed_at + self.input.offset).floor();
        let due = self.origin_tick + (position.max(0.0) as u32);
        let behind = due.since(self.next_input);
        if behind < 0 {
            return None;
        }
        let tick = if behind > TICKS_BEHIND_MAX {
            due
        } else {
            self.next_input
        };
        self.next_input = tick.next();
        self.sent[tick.0 as usize % SENT_INPUTS] = SentInput {
            tick,
            elapsed: self.slewed_at,
        };
        Some(tick)
    }

    /// Returns how long after `now` the next input is due, at the present speed.
    pub(crate) fn until_input(&self, now: Duration) -> Duration {
        let position = self.elapsed(now) + self.input.offset;
        let missing = f64::from(self.next_input.since(self.origin_tick)) - position;
        Duration::from_secs_f64(missing.clamp(0.0, 64.0) / self.tick_rate_hz)
    }

    /// Returns the server tick, with its fraction, that should have arrived by `now`, as ticks after
    /// [`ConnectionClock::origin_tick`]. Never decreases from call to call.
    pub(crate) fn server_position(&mut self, now: Duration) -> f64 {
        self.advance(now);
        self.slewed_at + self.server.offset
    }

    /// Returns the newest tick that [`ConnectionClock::due_input`] returned, and how far the input clock is
    /// from it to the next one, 0 to 1.
    pub(crate) fn input_progress(&mut self, now: Duration) -> (Tick, f32) {
        self.advance(now);
        let newest = self.next_input - 1;
        let past = self.slewed_at + self.input.offset - f64::from(newest.since(self.origin_tick));
        (newest, past.clamp(0.0, 1.0) as f32)
    }

    /// Returns the smoothed time from sending an input to the arrival of the first snapshot that can contain
    /// its effect: the network's round trip and the simulation of one tick. `None` before the first report.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        let seconds = self.round_trip? / self.tick_rate_hz;
        Some(Duration::from_secs_f64(seconds))
    }

    /// Returns the tick from which positions are counted.
    pub(crate) fn origin_tick(&self) -> Tick {
        self.origin_tick
    }

    /// Returns the server's tick rate, in Hz.
    pub(crate) fn tick_rate_hz(&self) -> f64 {
        self.tick_rate_hz
    }

    fn elapsed(&self, now: Duration) -> f64 {
        // Thousands of bots call this several times a tick: it multiplies, where `as_secs_f64` and a division
        // by the tick's length would divide twice.
        let elapsed = now.saturating_sub(self.origin);
        (elapsed.as_secs() as f64 + f64::from(elapsed.subsec_nanos()) * 1e-9) * self.tick_rate_hz
    }

    fn advance(&mut self, now: Duration) {
        let elapsed = self.elapsed(now);
        let step = elapsed - self.slewed_at;
        if step > 0.0 {
            self.slewed_at = elapsed;
            self.server.advance(step, self.config.jump_above);
            self.input.advance(step, self.config.jump_above);
        }
    }
}

#[cfg(test)]
mod tests;
