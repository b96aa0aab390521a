//! Tests the clock in a loop with a simulated server, over links of every delay.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use throng_shared::random::Random;

const RATE_HZ: f64 = 20.0;
const STEP: Duration = Duration::from_millis(5);

/// A server with a tick rate of 20 Hz, and a link with this delay and jitter each way, in ticks.
struct Loop {
    now: Duration,
    clock: ConnectionClock,
    start_tick: Tick,
    random: Random,
    delay: f64,
    jitter: f64,
    /// Share of the datagrams that are lost, each way.
    loss: f64,
    rate: f64,
    /// Ticks of real time in which the server did not advance.
    stalled: f64,
    inputs: VecDeque<(Tick, f64)>,
    /// Arrival, tick, and the newest input so far with its margin.
    snapshots: VecDeque<(f64, Tick, Option<(Tick, f64)>)>,
    server_tick: i32,
    newest_input: Option<(Tick, f64)>,
    margins: Vec<f64>,
    input_ticks: Vec<Tick>,
    positions: Vec<f64>,
}

impl Loop {
    fn new(start_tick: Tick, delay: f64, jitter: f64, seed: u64) -> Self {
        // The client assumes no delay at all: it must measure it from the margins.
        let now = Duration::from_secs(3);
        let clock = ConnectionClock::new(ClockConfig::default(), now, start_tick, RATE_HZ, Duration::ZERO);
        Self {
            now,
            clock,
            start_tick,
            random: Random::new(seed),
            delay,
            jitter,
            loss: 0.0,
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
        let time = self.ticks();
        while let Some(tick) = self.clock.due_input(self.now) {
            let delay = self.delay + self.jitter * self.random.unit();
            self.input_ticks.push(tick);
            if self.random.unit() >= self.loss {
                self.inputs.push_back((tick, time + delay));
            }
        }
        while self.time_of(self.server_tick + 1) <= time {
            self.server_tick += 1;
            self.publish();
        }
        while self
            .snapshots
            .front()
            .is_some_and(|(arrival, ..)| *arrival <= time)
        {
            let (_, tick, report) = self.snapshots.pop_front().expect("just seen");
            self.clock.observe_snapshot(self.now, tick);
            if let Some((input, margin)) = report {
                self.clock.observe_margin(self.now, tick, input, margin);
            }
        }
        let position = self.clock.server_position(self.now);
        self.positions.push(position);
    }

    fn time_of(&self, server_tick: i32) -> f64 {
        f64::from(server_tick) / self.rate + self.stalled
    }

    /// Simulates a tick: the newest input that arrived before it is reported, in 1/16 tick.
    fn publish(&mut self) {
        let simulated_at = self.time_of(self.server_tick);
        while let Some((tick, arrival)) = self.inputs.pop_front_if(|(_, arrival)| *arrival <= simulated_at) {
            let margin = self.time_of(tick.since(self.start_tick)) - arrival;
            self.margins.push(margin);
            let is_restart = self
                .newest_input
                .is_some_and(|(newest, _)| tick.since(newest) < -3);
            if is_restart || self.newest_input.is_none_or(|(newest, _)| tick.is_after(newest)) {
                self.newest_input = Some((tick, (margin * 16.0).floor() / 16.0));
            }
        }
        let arrival = simulated_at + self.delay + self.jitter * self.random.unit();
        let tick = self.start_tick + self.server_tick as u32;
        if self.random.unit() >= self.loss {
            self.snapshots.push_back((arrival, tick, self.newest_input));
        }
    }
}

#[test]
fn inputs_arrive_just_in_time_for_every_delay() {
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
fn clocks_converge_under_jitter_and_loss() {
    for (delay, jitter) in [(0.5, 0.2), (1.5, 0.5), (3.0, 1.0), (3.0, 3.0)] {
        for loss in [0.0, 0.05, 0.2] {
            for seed in 1..=5 {
                let case = format!("seed {seed}, delay {delay}, jitter {jitter}, loss {loss}");
                let mut link = Loop::new(Tick(1_000), delay, jitter, seed);
                link.loss = loss;
                link.run(10.0);
                link.margins.clear();
                link.input_ticks.clear();
                let mut far = 0.0_f64;
                for _ in 0..4_000 {
                    link.now += STEP;
                    link.step();
                    // The expected position is what the link delivers on average.
                    let expected = link.ticks() - delay - jitter / 2.0;
                    let position = link.positions[link.positions.len() - 1];
                    far = far.max((position - expected).abs());
                }
                assert!(far < 0.4 + jitter / 2.0, "{case}: {far} ticks off");
                let late = link.margins.iter().filter(|margin| **margin < 0.0).count();
                let mean = link.margins.iter().sum::<f64>() / link.margins.len() as f64;
                assert!(late * 40 <= link.margins.len(), "{case}: {late} late");
                assert!(mean < 1.5 + 1.5 * jitter, "{case}: inputs {mean} ticks early");
                let in_order = |pair: &[Tick]| pair[1] == pair[0].next();
                assert!(link.input_ticks.windows(2).all(in_order), "{case}");
                let forward = |pair: &[f64]| pair[1] >= pair[0];
                assert!(link.positions.windows(2).all(forward), "{case}");
            }
        }
    }
}

#[test]
fn input_clock_adapts_to_longer_and_shorter_delays() {
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
fn clock_recovers_after_a_server_stall() {
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
        "inputs waited for the server"
    );
}

#[test]
fn inputs_stay_in_the_server_window_without_margin_reports() {
    let config = ClockConfig::default();
    let mut clock = ConnectionClock::new(config, Duration::ZERO, Tick(100), RATE_HZ, Duration::ZERO);
    let lead = |clock: &mut ConnectionClock, millis: u64, newest: u32| {
        let now = Duration::from_millis(millis);
        clock.observe_snapshot(now, Tick(newest));
        let last = std::iter::from_fn(|| clock.due_input(now + STEP)).last();
        last.map(|tick| tick.since(Tick(newest)))
    };
    let caught_up = lead(&mut clock, 50, 150);
    assert!(
        caught_up >= Some(0),
        "the server is 50 ticks further than assumed: {caught_up:?}"
    );
    // The server then stalls for ten seconds and resumes: inputs wait for it.
    let ahead = clock
        .due_input(Duration::from_secs(10))
        .map(|tick| tick.since(Tick(150)));
    assert!(ahead > Some(190), "{ahead:?}");
    let leads = (0..600_u64).map(|tick| lead(&mut clock, 10_050 + tick * 50, 151 + tick as u32));
    let last = leads.flatten().last().expect("inputs go on");
    assert!(last <= config.lead_max.ceil() as i32, "lead {last}");
}

#[test]
fn clock_follows_a_slow_server() {
    let mut link = Loop::new(Tick(1_000), 1.0, 0.0, 3);
    link.rate = 0.9;
    link.run(60.0);
    let lead = link.input_ticks.last().unwrap().since(link.clock.newest);
    assert!((1..8).contains(&lead), "lead {lead}");
}

#[test]
fn only_the_newest_input_tick_is_due_after_a_pause() {
    let mut clock = ConnectionClock::new(
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
        [7, 8, 9, 106, 107],
        "7 and 8, and the next one because 8 is late, then only the newest of a hundred"
    );
}

#[test]
fn until_input_matches_the_next_due_input() {
    let mut clock = ConnectionClock::new(
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
    fn clocks_run_backward_only_by_counted_jumps_of_the_input_clock(
        seed: u64, start: u32, delay in 0.0..10.0, jitter in 0.0..4.0, later in 0.0..10.0,
    ) {
        let mut link = Loop::new(Tick(start), delay, jitter, seed);
        link.run(8.0);
        link.delay = later;
        link.run(8.0);
        prop_assert!(link.positions.windows(2).all(|pair| pair[1] >= pair[0]), "server clock");
        let backward = link.input_ticks.windows(2).filter(|pair| pair[1].since(pair[0]) <= 0).count();
        prop_assert!(backward <= usize::from(link.clock.restarts()), "input clock");
    }
}
