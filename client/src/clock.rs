//! The client's two clocks, both counted in server ticks: what the server should have shown us by now, and
//! which tick our next input is for.
//!
//! Snapshots say when a server tick reached us; the server reports how early our inputs reached it (the
//! *arrival margin*). From these the clock keeps the input tick just far enough ahead that inputs arrive
//! before their tick is simulated, jitter included, and no further. Corrections are slewed: the clocks run a
//! little faster or slower for a while. They never run backward; only a large lag is jumped over, forward.
//!
//! Every reported margin is compared with the moment at which *that* input was sent. Corrections still on
//! their way around the loop are therefore never applied twice, whatever the round trip.

use std::time::Duration;

use throng_shared::tick::Tick;

/// Tuning of a [`Clock`]. All lengths in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockConfig {
    /// How early inputs should arrive on a link without jitter.
    pub margin_goal: f64,
    /// How many mean deviations of the margin are added to the goal.
    pub jitter_allowance: f64,
    /// A clock that lags its goal by more than this jumps forward.
    pub jump_above: f64,
    /// The furthest that inputs may lead the newest server tick seen; bounded by the server's input window.
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

/// Speed at which small errors are corrected: 5 % faster or slower goes unnoticed.
const SLEW_MIN: f64 = 0.05;
/// Speed at which large errors are corrected: a clock that is far ahead stands still.
const SLEW_MAX: f64 = 1.0;
/// Weight of a new sample in the smoothed estimates.
const SAMPLE_WEIGHT: f64 = 1.0 / 8.0;
/// Weight of a new deviation in the smoothed jitter.
const JITTER_WEIGHT: f64 = 1.0 / 16.0;
/// Jitter allowance never asks for more than this, in ticks.
const ALLOWANCE_MAX: f64 = 6.0;
/// Inputs remembered until their margin is reported; a power of two.
const SENT_INPUTS: usize = 64;
/// An idle clock asked after a pause hands out only the newest tick, not all that it slept through.
const TICKS_BEHIND_MAX: i32 = 4;

/// A position in ticks that follows a moving goal at a bounded speed.
#[derive(Debug, Clone, Copy)]
struct Slewed {
    offset: f64,
    goal: f64,
}

impl Slewed {
    fn at(offset: f64) -> Self {
        Self { offset, goal: offset }
    }

    /// Moves towards the goal after `elapsed` ticks of real time, never faster than real time backward.
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

/// When an input left, to be compared with the margin reported for it.
#[derive(Debug, Clone, Copy)]
struct SentInput {
    tick: Tick,
    /// Ticks of real time since the clock's origin.
    elapsed: f64,
}

/// The clock of one connection. Times are `Duration`s since any fixed origin and never decrease.
#[derive(Debug, Clone)]
pub struct Clock {
    config: ClockConfig,
    tick_rate_hz: f64,
    origin: Duration,
    origin_tick: Tick,
    /// Ticks of real time since the origin at the last slew.
    slewed_at: f64,
    server: Slewed,
    input: Slewed,
    /// Input offset under which the margin would be zero: smoothed, and its mean deviation.
    zero_margin: Option<f64>,
    jitter: f64,
    newest: Tick,
    next_input: Tick,
    sent: [SentInput; SENT_INPUTS],
}

impl Clock {
    /// A clock started by the server's welcome: `tick` was the server's newest tick when it answered, and
    /// that took `round_trip` from our asking to now. `tick_rate_hz` is positive.
    pub fn new(
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
            server: Slewed::at(0.0),
            input: Slewed::at(lead),
            zero_margin: None,
            jitter: 0.0,
            newest: tick,
            next_input: tick + lead.ceil() as u32,
            sent: [never; SENT_INPUTS],
        }
    }

    /// A snapshot of `tick` arrived. Older ones than the newest are ignored: they say nothing new.
    pub fn observe_snapshot(&mut self, now: Duration, tick: Tick) {
        if tick.since(self.newest) <= 0 {
            return;
        }
        self.advance(now);
        self.newest = tick;
        let sample = f64::from(tick.since(self.origin_tick)) - self.slewed_at;
        let error = sample - self.server.goal;
        // A server that stalled or jumped is followed at once; the slew still smooths what is shown.
        let weight = if error.abs() > self.config.jump_above {
            1.0
        } else {
            SAMPLE_WEIGHT
        };
        self.server.goal += error * weight;
        self.bound_lead(sample);
    }

    /// The frame of tick `frame` reported that the newest input it knew of had arrived `margin` ticks before
    /// the start of its tick (negative: too late). Once a frame.
    pub fn observe_margin(&mut self, now: Duration, frame: Tick, margin: f64) {
        // It arrived within the tick before the frame, which together with the margin says which one it was.
        // Off by one it says the same, as inputs leave a tick apart.
        let tick = frame + margin.floor() as i32 as u32;
        let sent = self.sent[tick.0 as usize % SENT_INPUTS];
        if sent.tick != tick || sent.elapsed == f64::NEG_INFINITY {
            return;
        }
        self.advance(now);
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

    /// Keeps inputs between the tick that is simulated next and the furthest that the server keeps, whatever
    /// was reported: `sample` is the offset of the newest snapshot.
    fn bound_lead(&mut self, sample: f64) {
        let least = sample + self.config.margin_goal;
        self.input.goal = self
            .input
            .goal
            .clamp(least, least.max(sample + self.config.lead_max));
    }

    /// The next input tick when it is due; call until `None`. Ticks come in order, each at most once; after
    /// a pause the oldest are skipped.
    pub fn due_input(&mut self, now: Duration) -> Option<Tick> {
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

    /// How long after `now` the next input is due, at the present speed.
    pub fn until_input(&self, now: Duration) -> Duration {
        let position = self.elapsed(now) + self.input.offset;
        let missing = f64::from(self.next_input.since(self.origin_tick)) - position;
        Duration::from_secs_f64(missing.clamp(0.0, 64.0) / self.tick_rate_hz)
    }

    /// The server tick, with its fraction, that should have reached us by `now`, as ticks past
    /// [`Clock::origin_tick`]. Never decreases from call to call.
    pub fn server_position(&mut self, now: Duration) -> f64 {
        self.advance(now);
        self.slewed_at + self.server.offset
    }

    /// The tick from which positions are counted.
    pub fn origin_tick(&self) -> Tick {
        self.origin_tick
    }

    /// The newest server tick seen in a snapshot.
    pub fn newest_tick(&self) -> Tick {
        self.newest
    }

    /// The server's tick rate, in Hz.
    pub fn tick_rate_hz(&self) -> f64 {
        self.tick_rate_hz
    }

    /// Mean deviation of the arrival margin, in ticks.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    fn elapsed(&self, now: Duration) -> f64 {
        // Thousands of bots ask several times a tick: multiplications, where `as_secs_f64` and a division
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
mod tests {
    use super::*;
    use crate::seeded::Seeded;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const RATE_HZ: f64 = 20.0;
    const STEP: Duration = Duration::from_millis(5);

    /// A server ticking at 20 Hz and a link of given delay and jitter each way, in ticks.
    struct Loop {
        now: Duration,
        clock: Clock,
        start_tick: Tick,
        random: Seeded,
        delay: f64,
        jitter: f64,
        rate: f64,
        /// Ticks of real time in which the server did not tick.
        stalled: f64,
        inputs: VecDeque<(Tick, f64)>,
        /// Arrival, tick and the margin of the newest input so far.
        snapshots: VecDeque<(f64, Tick, Option<f64>)>,
        server_tick: i32,
        newest_input: Option<(Tick, f64)>,
        margins: Vec<f64>,
        input_ticks: Vec<Tick>,
        positions: Vec<f64>,
    }

    impl Loop {
        fn new(start_tick: Tick, delay: f64, jitter: f64, seed: u64) -> Self {
            // The client believes in no delay at all: it must find out from the margins.
            let now = Duration::from_secs(3);
            let clock = Clock::new(ClockConfig::default(), now, start_tick, RATE_HZ, Duration::ZERO);
            Self {
                now,
                clock,
                start_tick,
                random: Seeded::new(seed),
                delay,
                jitter,
                rate: 1.0,
                stalled: 0.0,
                inputs: VecDeque::new(),
                snapshots: VecDeque::new(),
                server_tick: 0,
                newest_input: None,
                margins: Vec::new(),
                input_ticks: Vec::new(),
                positions: Vec::new(),
            }
        }

        fn ticks(&self) -> f64 {
            (self.now - Duration::from_secs(3)).as_secs_f64() * RATE_HZ
        }

        fn run(&mut self, seconds: f64) {
            let end = self.now + Duration::from_secs_f64(seconds);
            while self.now < end {
                self.now += STEP;
                self.step();
            }
        }

        fn step(&mut self) {
            let at = self.ticks();
            while let Some(tick) = self.clock.due_input(self.now) {
                let delay = self.delay + self.jitter * self.random.unit();
                self.inputs.push_back((tick, at + delay));
                self.input_ticks.push(tick);
            }
            while self.time_of(self.server_tick + 1) <= at {
                self.server_tick += 1;
                self.publish();
            }
            while self.snapshots.front().is_some_and(|(arrival, ..)| *arrival <= at) {
                let (_, tick, margin) = self.snapshots.pop_front().expect("just seen");
                self.clock.observe_snapshot(self.now, tick);
                if let Some(margin) = margin {
                    self.clock.observe_margin(self.now, tick, margin);
                }
            }
            let position = self.clock.server_position(self.now);
            self.positions.push(position);
        }

        fn time_of(&self, server_tick: i32) -> f64 {
            f64::from(server_tick) / self.rate + self.stalled
        }

        /// A tick is simulated: the newest input that arrived before it is reported, in 1/16 tick.
        fn publish(&mut self) {
            let simulated_at = self.time_of(self.server_tick);
            while let Some((tick, arrival)) =
                self.inputs.pop_front_if(|(_, arrival)| *arrival <= simulated_at)
            {
                let margin = self.time_of(tick.since(self.start_tick)) - arrival;
                self.margins.push(margin);
                if self.newest_input.is_none_or(|(newest, _)| tick.is_after(newest)) {
                    self.newest_input = Some((tick, (margin * 16.0).floor() / 16.0));
                }
            }
            let arrival = simulated_at + self.delay + self.jitter * self.random.unit();
            let tick = self.start_tick + self.server_tick as u32;
            self.snapshots
                .push_back((arrival, tick, self.newest_input.map(|(_, margin)| margin)));
        }
    }

    #[test]
    fn inputs_arrive_just_in_time_whatever_the_delay() {
        for delay in [0.01, 0.5, 3.0, 8.0] {
            let mut link = Loop::new(Tick(1_000), delay, 0.0, 1);
            link.run(20.0);
            link.margins.clear();
            link.run(10.0);
            assert!(
                link.margins.len() > 190,
                "an input every tick: {}",
                link.margins.len()
            );
            for margin in &link.margins {
                assert!((0.4..1.3).contains(margin), "delay {delay}: margin {margin}");
            }
        }
    }

    #[test]
    fn jitter_widens_the_margin_until_few_are_late() {
        let mut link = Loop::new(Tick(1_000), 2.0, 1.5, 7);
        link.run(20.0);
        link.margins.clear();
        link.run(60.0);
        let late = link.margins.iter().filter(|margin| **margin < 0.0).count();
        let mean = link.margins.iter().sum::<f64>() / link.margins.len() as f64;
        assert!(
            late * 50 <= link.margins.len(),
            "{late} of {} late",
            link.margins.len()
        );
        assert!((0.7..3.5).contains(&mean), "mean margin {mean}");
    }

    #[test]
    fn a_longer_route_is_caught_up_and_a_shorter_one_slewed_back() {
        let mut link = Loop::new(Tick(1_000), 1.0, 0.0, 3);
        link.run(10.0);
        link.delay = 5.0;
        link.run(10.0);
        link.margins.clear();
        link.run(5.0);
        assert!(
            link.margins.iter().all(|margin| *margin > 0.0),
            "{:?}",
            link.margins
        );
        link.delay = 1.0;
        link.run(40.0);
        link.margins.clear();
        link.run(5.0);
        assert!(
            link.margins.iter().all(|margin| *margin < 2.0),
            "{:?}",
            link.margins
        );
    }

    #[test]
    fn a_server_that_stood_still_is_found_again() {
        let mut link = Loop::new(Tick(1_000), 2.0, 0.0, 3);
        link.run(10.0);
        let before = *link.input_ticks.last().unwrap();
        // Four seconds: inputs are now 80 ticks ahead, more than the server keeps.
        link.stalled = 80.0;
        link.run(10.0);
        link.margins.clear();
        link.run(5.0);
        assert!(
            link.margins.iter().all(|margin| (0.0..2.5).contains(margin)),
            "{:?}",
            link.margins
        );
        assert!(
            link.input_ticks.last().unwrap().since(before) < 15 * 20 - 70,
            "it waited for the server"
        );
    }

    #[test]
    fn a_slow_server_is_followed() {
        let mut link = Loop::new(Tick(1_000), 1.0, 0.0, 3);
        link.rate = 0.9;
        link.run(60.0);
        let lead = link.input_ticks.last().unwrap().since(link.clock.newest_tick());
        assert!((1..8).contains(&lead), "lead {lead}");
    }

    #[test]
    fn a_pause_hands_out_only_the_newest_tick() {
        let mut clock = Clock::new(
            ClockConfig::default(),
            Duration::ZERO,
            Tick(5),
            RATE_HZ,
            Duration::ZERO,
        );
        let mut ticks = Vec::new();
        for millis in [0, 100, 5_000] {
            while let Some(tick) = clock.due_input(Duration::from_millis(millis)) {
                ticks.push(tick.0);
            }
        }
        assert_eq!(
            ticks,
            [7, 8, 106],
            "7 and 8 on time, then only the newest of a hundred"
        );
    }

    #[test]
    fn until_input_is_when_the_next_input_is_due() {
        let mut clock = Clock::new(
            ClockConfig::default(),
            Duration::ZERO,
            Tick(5),
            RATE_HZ,
            Duration::ZERO,
        );
        while clock.due_input(Duration::ZERO).is_some() {}
        let wait = clock.until_input(Duration::ZERO);
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(50),
            "{wait:?}"
        );
        assert!(clock.due_input(wait.mul_f64(0.99)).is_none());
        assert!(clock.due_input(wait + Duration::from_micros(1)).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn nothing_ever_runs_backward(
            seed: u64, start: u32, delay in 0.0..10.0, jitter in 0.0..4.0, later in 0.0..10.0,
        ) {
            let mut link = Loop::new(Tick(start), delay, jitter, seed);
            link.run(8.0);
            link.delay = later;
            link.run(8.0);
            prop_assert!(link.positions.windows(2).all(|pair| pair[1] >= pair[0]), "server clock");
            prop_assert!(link.input_ticks.windows(2).all(|pair| pair[1].since(pair[0]) > 0), "input clock");
        }
    }
}
