//! The client's two clocks, both counted in server ticks: the server tick that should have arrived by now, and
//! the tick that the next input is for.
//!
//! The arrival of snapshots shows when a server tick reached the client; the server reports how early inputs
//! reached it (the *arrival margin*). From these the clock keeps the input tick just far enough ahead that
//! inputs arrive before their tick is due, jitter included, and no further. Small corrections are slewed: the
//! clocks run a little faster or slower for a while. A measurement that is far off is followed only when it lasts: a
//! stall of the server, of the network or of this client delays a few datagrams and changes neither clock, because the
//! server's tick follows real time again when it is over. A large correction is a jump. The clock of inputs jumps in
//! both directions: backward, the ticks that were sent already are sent again. The server's clock never runs backward.
//!
//! Every reported margin is compared with the time at which *that* input was sent. Corrections still in flight
//! are therefore never applied twice, whatever the round trip, and however rarely inputs are sent.

use std::time::Duration;

use throng_shared::limits::{INPUT_TICKS_AHEAD_MAX, INPUTS_PER_PACKET};
use throng_shared::tick::Tick;

/// Tuning of a session's clock. All lengths in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockConfig {
    /// How early inputs should arrive on a network without jitter.
    pub margin_goal: f64,
    /// How many mean deviations of the margin are added to the goal.
    pub jitter_allowance: f64,
    /// A clock that is further than this from its goal jumps there, and a measurement further than this from the earlier
    /// ones is followed only when it lasts.
    pub jump_above: f64,
    /// How early inputs may arrive at most, in whatever way the margin was measured. Below what the server takes.
    pub lead_max: f64,
}

/// The default of [`ClockConfig::lead_max`].
const LEAD_MAX: f64 = 20.0;

impl Default for ClockConfig {
    fn default() -> Self {
        Self {
            margin_goal: 0.75,
            jitter_allowance: 3.0,
            jump_above: 4.0,
            lead_max: LEAD_MAX,
        }
    }
}

const _: () = assert!(LEAD_MAX as u32 + ALLOWANCE_MAX as u32 + 1 < INPUT_TICKS_AHEAD_MAX);

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
/// After a pause of more ticks than this, only the newest tick is returned. One packet holds as many and the newest.
const TICKS_BEHIND_MAX: i32 = INPUTS_PER_PACKET as i32 - 1;
/// Seconds and number of measurements for which a large change must last.
const LASTING_S: f64 = 0.2;
const LASTING_SAMPLES: u32 = 3;
/// How late after the clock has reached its tick an input may be sent, in ticks. An input that is sent later, because this
/// client draws few frames, is sent for the next tick, too: the other one may be late.
const SENT_LATE_MAX: f64 = 0.7;

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
    /// passes, so the clock may stand still but never runs backward. Jumps forward if the goal is far ahead.
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

/// A smoothed measurement. A small change is followed slowly. A large one is followed at once, but only when it has
/// lasted.
#[derive(Debug, Clone, Copy)]
struct Smoothed {
    value: f64,
    /// Measurements in a row that are far from the value, all on the same side.
    far: Option<FarSamples>,
}

#[derive(Debug, Clone, Copy)]
struct FarSamples {
    since: f64,
    count: u32,
    sum: f64,
}

impl Smoothed {
    fn new(value: f64) -> Self {
        Self { value, far: None }
    }

    /// Replaces the value and everything measured before.
    fn reset(&mut self, value: f64) {
        *self = Self::new(value);
    }

    /// Adds a measurement at `elapsed` ticks of real time. One that is off by more than `far_above` counts when as far
    /// ones have lasted `lasting` ticks. Returns the difference from the value before.
    fn observe(&mut self, elapsed: f64, sample: f64, far_above: f64, lasting: f64) -> f64 {
        let error = sample - self.value;
        if error.abs() <= far_above {
            self.value += error * SAMPLE_WEIGHT;
            self.far = None;
            return error;
        }
        let is_same_side = |far: &FarSamples| (far.sum / f64::from(far.count) > self.value) == (error > 0.0);
        let mut far = self.far.filter(is_same_side).unwrap_or(FarSamples {
            since: elapsed,
            count: 0,
            sum: 0.0,
        });
        far.count += 1;
        far.sum += sample;
        if far.count >= LASTING_SAMPLES && elapsed - far.since >= lasting {
            self.reset(far.sum / f64::from(far.count));
        } else {
            self.far = Some(far);
        }
        error
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
    /// Offset of the newest received tick.
    arrival: Smoothed,
    /// The same before the snapshots that arrived at the time `slewed_at`, and that time: of several that are read
    /// together, the newest counts.
    arrival_before: (f64, Smoothed),
    /// Input offset at which the margin would be zero.
    zero_margin: Option<Smoothed>,
    /// Mean deviation of `zero_margin`, in ticks.
    jitter: f64,
    /// Round trip, in ticks.
    round_trip: Option<Smoothed>,
    newest: Tick,
    next_input: Tick,
    /// The input whose margin was used last.
    reported: Option<Tick>,
    /// How often the clock of inputs has jumped backward.
    restarts: u8,
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
            arrival: Smoothed::new(0.0),
            arrival_before: (0.0, Smoothed::new(0.0)),
            zero_margin: None,
            jitter: 0.0,
            round_trip: None,
            newest: tick,
            next_input: tick + lead.ceil() as u32,
            reported: None,
            restarts: 0,
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
        if self.arrival_before.0 == self.slewed_at {
            self.arrival = self.arrival_before.1;
        } else {
            self.arrival_before = (self.slewed_at, self.arrival);
        }
        let sample = f64::from(tick.since(self.origin_tick)) - self.slewed_at;
        if sample - self.arrival.value > self.config.jump_above {
            // A snapshot can be late for many reasons, but none is early.
            self.arrival.reset(sample);
        } else {
            let lasting = LASTING_S * self.tick_rate_hz;
            self.arrival
                .observe(self.slewed_at, sample, self.config.jump_above, lasting);
        }
        self.server.goal = self.arrival.value;
        self.bound_lead();
    }

    /// Records that the frame of tick `frame` reported that the newest known input is that for `input`, and arrived
    /// `margin` ticks before its tick was due (negative: too late). Call once a frame; each input counts once.
    pub(crate) fn observe_margin(&mut self, now: Duration, frame: Tick, input: Tick, margin: f64) {
        let sent = self.sent[input.0 as usize % SENT_INPUTS];
        if sent.tick != input || sent.elapsed == f64::NEG_INFINITY || self.reported == Some(input) {
            return;
        }
        self.reported = Some(input);
        self.advance(now);
        let (far_above, lasting) = (self.config.jump_above, LASTING_S * self.tick_rate_hz);
        // The time from sending to the frame's arrival, less the time that the input waited for its tick and
        // the frame.
        let waited = f64::from(frame.since(input)) + margin;
        let round_trip = (self.slewed_at - sent.elapsed - waited).max(0.0);
        let smoothed = self.round_trip.get_or_insert(Smoothed::new(round_trip));
        smoothed.observe(self.slewed_at, round_trip, far_above, lasting);
        let sample = f64::from(input.since(self.origin_tick)) - sent.elapsed - margin;
        let zero = self.zero_margin.get_or_insert(Smoothed::new(sample));
        let error = zero.observe(self.slewed_at, sample, far_above, lasting);
        let zero = zero.value;
        // A delay that is far off is a stall, which no lead can cover.
        if error.abs() <= far_above {
            self.jitter += (error.abs() - self.jitter) * JITTER_WEIGHT;
        }
        let allowance = (self.jitter * self.config.jitter_allowance).min(ALLOWANCE_MAX);
        self.input.goal = zero + self.config.margin_goal + allowance;
        self.bound_lead();
    }

    /// Bounds the input goal between the tick that is simulated next and the furthest one that the server
    /// keeps, whatever was reported.
    fn bound_lead(&mut self) {
        let least = self.arrival.value + self.config.margin_goal;
        let round_trip = self.round_trip.map_or(0.0, |smoothed| smoothed.value);
        let most = self.arrival.value + round_trip + self.config.lead_max;
        self.input.goal = self.input.goal.clamp(least, least.max(most));
    }

    /// Returns the next input tick when it is due; call until `None`. Ticks are in order, each at most once unless the
    /// clock has jumped backward; after a pause the oldest are skipped.
    pub(crate) fn due_input(&mut self, now: Duration) -> Option<Tick> {
        self.advance(now);
        let position = (self.slewed_at + self.input.offset).max(0.0);
        let mut due = self.origin_tick + (position.floor() as u32);
        let sent = self.sent[due.0 as usize % SENT_INPUTS];
        let is_just_sent = sent.tick == due && sent.elapsed == self.slewed_at;
        if is_just_sent && position.fract() > SENT_LATE_MAX {
            due = due.next();
        }
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

    /// Returns how often the clock of inputs has jumped backward, so that inputs replace those sent before for the same
    /// ticks.
    pub(crate) fn restarts(&self) -> u8 {
        self.restarts
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
        let seconds = self.round_trip?.value / self.tick_rate_hz;
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
            if self.input.offset - self.input.goal > self.config.jump_above {
                self.run_back();
            }
            self.input.advance(step, self.config.jump_above);
        }
    }

    /// Sets the clock of inputs back to its goal. The inputs that were sent for later ticks are sent again.
    fn run_back(&mut self) {
        self.input.offset = self.input.goal;
        let position = (self.slewed_at + self.input.offset).max(0.0);
        let next = self.origin_tick + position.ceil() as u32;
        if self.next_input.is_after(next) {
            self.next_input = next;
            self.reported = None;
            self.restarts = self.restarts.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod stalls;
#[cfg(test)]
mod tests;
