//! Tests of how old the inputs are that a server acts on: while it is stopped, late or too slow, while the client is
//! stopped or draws few frames, and on bad lines. The server follows the rules of the real one. Times are in ticks.

use std::collections::{BTreeMap, VecDeque};

use throng_shared::random::Random;

use super::*;

const RATE_HZ: f64 = 20.0;
const STEP: f64 = 0.05;
/// Ticks for which the server holds the last input.
const HELD_TICKS: u32 = 30;
/// 0.3 s.
const SOON: f64 = 6.0;

/// The inputs of one packet, newest first: their ticks and when they were sampled.
#[derive(Clone)]
struct SentPacket {
    read_at: f64,
    restarts: u8,
    inputs: Vec<(Tick, f64)>,
}

/// What a tick of the server acted on.
#[derive(Clone, Copy, Debug)]
struct Acted {
    at: f64,
    /// Age of the input, fresh or held; `None` for the neutral one.
    age: Option<f64>,
    /// Tick of the newest input, less this tick.
    lead: i32,
}

struct StalledGame {
    now: f64,
    random: Random,
    // The line.
    delay: f64,
    jitter: f64,
    loss: f64,
    /// Datagrams to the server arrive at this time at the earliest.
    held_until: f64,
    up: Vec<SentPacket>,
    down: VecDeque<(f64, Tick, Option<(Tick, f64)>)>,
    // The client.
    clock: ConnectionClock,
    /// How fast the client's clock runs.
    speed: f64,
    frame_every: f64,
    next_frame: f64,
    sent: VecDeque<(Tick, f64)>,
    // The server.
    /// Number of the next tick, which is due at the time of this number, or later by `shift`.
    next_tick: i32,
    /// A server that does not skip: all its ticks are late for ever after a stall.
    shifts: bool,
    shift: f64,
    cost: f64,
    busy_until: f64,
    is_slow: bool,
    /// The worker reads nothing before.
    reads_from: f64,
    restarts: u8,
    waiting: BTreeMap<i32, f64>,
    held: Option<f64>,
    missing: u32,
    newest: Option<(Tick, f64)>,
    acted: Vec<Acted>,
}

impl StalledGame {
    fn new(seed: u64) -> Self {
        Self {
            now: 0.0,
            random: Random::new(seed),
            delay: 0.5,
            jitter: 0.0,
            loss: 0.0,
            held_until: 0.0,
            up: Vec::new(),
            down: VecDeque::new(),
            clock: ConnectionClock::new(
                ClockConfig::default(),
                Duration::ZERO,
                Tick(0),
                RATE_HZ,
                Duration::ZERO,
            ),
            speed: 1.0,
            frame_every: STEP,
            next_frame: 0.0,
            sent: VecDeque::new(),
            next_tick: 1,
            shifts: false,
            shift: 0.0,
            cost: 0.05,
            busy_until: 0.0,
            is_slow: false,
            reads_from: 0.0,
            restarts: 0,
            waiting: BTreeMap::new(),
            held: None,
            missing: 0,
            newest: None,
            acted: Vec::new(),
        }
    }

    fn run(&mut self, ticks: f64) {
        let end = self.now + ticks;
        while self.now < end {
            self.now += STEP;
            if self.now >= self.next_frame {
                self.next_frame += self.frame_every;
                self.frame();
            }
            while self.now >= self.busy_until.max(self.due()) {
                self.tick();
            }
        }
    }

    /// Runs without the server's process, sockets included.
    fn stop_server(&mut self, ticks: f64) {
        self.reads_from = self.now + ticks;
        self.stall_tick(ticks);
    }

    /// Runs while a system of the server sleeps.
    fn stall_tick(&mut self, ticks: f64) {
        self.busy_until = self.now + ticks;
        self.run(ticks);
    }

    fn stop_client(&mut self, ticks: f64) {
        self.next_frame = self.now + ticks;
        self.run(ticks);
    }

    fn due(&self) -> f64 {
        f64::from(self.next_tick) + self.shift
    }

    fn client_now(&self) -> Duration {
        Duration::from_secs_f64(self.now * self.speed / RATE_HZ)
    }

    fn frame(&mut self) {
        let now = self.client_now();
        while let Some((_, tick, report)) = self.down.pop_front_if(|(arrival, ..)| *arrival <= self.now) {
            self.clock.observe_snapshot(now, tick);
            if let Some((input, margin)) = report {
                self.clock.observe_margin(now, tick, input, margin);
            }
        }
        let mut is_due = false;
        while let Some(tick) = self.clock.due_input(now) {
            if self
                .sent
                .front()
                .is_some_and(|&(newest, _)| tick != newest.next())
            {
                self.sent.clear();
            }
            self.sent.push_front((tick, self.now));
            self.sent.truncate(INPUTS_PER_PACKET);
            is_due = true;
        }
        if is_due && self.random.unit() >= self.loss {
            let arrival = self.now + self.delay + self.jitter * self.random.unit();
            self.up.push(SentPacket {
                read_at: arrival.max(self.held_until),
                restarts: self.clock.restarts(),
                inputs: self.sent.iter().copied().collect(),
            });
        }
    }

    fn tick(&mut self) {
        let missed = (self.now - self.due()).floor();
        let began_late = self.now - self.due();
        if self.shifts {
            self.shift += began_late;
        } else if self.is_slow || missed > 10.0 {
            self.next_tick += missed as i32;
        }
        let (tick, due) = (self.next_tick, self.due());
        self.read(tick, due);
        let lead = self.newest.map_or(0, |(newest, _)| newest.0 as i32 - tick);
        let fresh = self.waiting.remove(&tick);
        self.waiting.retain(|&waiting, _| waiting > tick);
        self.missing = if fresh.is_some() { 0 } else { self.missing + 1 };
        self.held = fresh.or(self.held);
        let sampled = self.held.filter(|_| self.missing <= HELD_TICKS);
        let age = sampled.map(|sampled| self.now - sampled);
        let at = self.now;
        self.acted.push(Acted { at, age, lead });
        self.next_tick += 1;
        self.busy_until = self.busy_until.max(self.now + self.cost);
        let (late, began_late) = (self.busy_until - self.due(), self.now - due);
        self.is_slow = late > 0.0 && (self.is_slow || (began_late >= 1.0 && late >= began_late));
        if self.random.unit() >= self.loss {
            let arrival = self.busy_until + self.delay + self.jitter * self.random.unit();
            self.down.push_back((arrival, Tick(tick as u32), self.newest));
        }
    }

    /// Reads the packets that have arrived by the start of `tick`.
    fn read(&mut self, tick: i32, due: f64) {
        let (now, from) = (self.now, self.reads_from);
        let is_read = |packet: &SentPacket| packet.read_at.max(from) <= now;
        let mut read: Vec<_> = self.up.iter().filter(|packet| is_read(packet)).cloned().collect();
        self.up.retain(|packet| !is_read(packet));
        read.sort_by(|one, other| one.read_at.total_cmp(&other.read_at));
        for packet in read {
            match packet.restarts.wrapping_sub(self.restarts) {
                0 => {}
                1..=127 => {
                    self.restarts = packet.restarts;
                    // The newer inputs replace those that wait for the same ticks and later ones.
                    if let Some((first, _)) = packet.inputs.last() {
                        self.waiting.retain(|&waiting, _| waiting < first.0 as i32);
                    }
                    self.newest = None;
                }
                _ => continue,
            }
            for &(input, sampled) in packet.inputs.iter().rev() {
                let number = input.0 as i32;
                let margin = due + f64::from(number - tick) - packet.read_at.max(from);
                let is_early = number - tick >= INPUT_TICKS_AHEAD_MAX as i32;
                if is_early || self.newest.is_none_or(|(newest, _)| input.is_after(newest)) {
                    self.newest = Some((input, (margin * 16.0).floor() / 16.0));
                }
                if number >= tick && !is_early {
                    self.waiting.entry(number).or_insert(sampled);
                }
            }
        }
    }

    /// Asserts that every tick from `from` to now acted on an input of at most this age, and that no input was further
    /// ahead than the server keeps.
    fn assert_ages(&self, case: &str, from: f64, age_max: f64) {
        let acted = self.acted.iter().filter(|acted| acted.at >= from);
        assert!(acted.clone().count() > 0, "{case}: no tick after {from}");
        for acted in acted {
            let age = acted.age.unwrap_or(f64::INFINITY);
            assert!(
                age <= age_max,
                "{case}: {acted:?}, {} ticks after",
                acted.at - from
            );
            assert!(acted.lead < INPUT_TICKS_AHEAD_MAX as i32, "{case}: {acted:?}");
        }
    }
}

/// A game on a line of this kind that has run for ten seconds.
fn running(seed: u64, (delay, jitter, loss): (f64, f64, f64)) -> StalledGame {
    let mut game = StalledGame::new(seed);
    (game.delay, game.jitter, game.loss) = (delay, jitter, loss);
    game.run(200.0);
    game
}

/// Lines with their delay, jitter and loss.
const LINES: [(f64, f64, f64); 4] = [
    (0.1, 0.0, 0.0),
    (1.5, 0.3, 0.01),
    (3.0, 1.0, 0.05),
    (6.0, 0.5, 0.0),
];

/// The largest age on a line while nothing happens: two trips, the margin and its allowances, and lost packets.
fn usual((delay, jitter, loss): (f64, f64, f64)) -> f64 {
    delay + 2.5 + 4.0 * jitter + if loss > 0.0 { 5.0 } else { 0.0 }
}

#[test]
fn inputs_are_current_again_within_300_ms_of_a_server_stall() {
    for (number, line) in LINES.into_iter().enumerate() {
        for stall in [1.0, 4.0, 11.0, 40.0, 100.0, 300.0] {
            for stops_worker in [false, true] {
                let mut game = running(number as u64, line);
                match stops_worker {
                    true => game.stop_server(stall),
                    false => game.stall_tick(stall),
                }
                let resumed = game.now;
                game.run(200.0);
                let case = format!("line {line:?}, stall of {stall} ticks, worker stopped: {stops_worker}");
                game.assert_ages(&case, resumed + SOON, usual(line).max(SOON) + line.0);
                game.assert_ages(&case, resumed + 100.0, usual(line) + 1.0);
                assert_eq!(
                    game.clock.restarts(),
                    running(number as u64, line).clock.restarts(),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn inputs_stay_current_on_a_server_at_a_part_of_its_rate() {
    for (number, line) in LINES.into_iter().enumerate() {
        for cost in [0.9, 1.2, 1.5, 2.0, 3.7, 8.0] {
            let mut game = running(number as u64, line);
            game.cost = cost;
            game.run(60.0 + 30.0 * cost);
            let from = game.now;
            game.run(400.0);
            let case = format!("line {line:?}, {cost} tick lengths a tick");
            game.assert_ages(
                &case,
                from,
                usual(line) + 1.0 + if line.2 > 0.0 { 3.0 * cost } else { 0.0 },
            );
            let ran = game.acted.iter().filter(|acted| acted.at >= from).count() as f64;
            assert!((ran * cost.max(1.0) - 400.0).abs() < 20.0, "{case}: {ran} ticks");
        }
    }
}

#[test]
fn a_held_input_is_held_by_a_client_that_draws_two_to_ten_frames_a_second() {
    for (number, line) in LINES.into_iter().enumerate() {
        for frames_per_second in [2.0, 3.0, 4.3, 5.0, 7.0, 10.0, 19.0] {
            let mut game = StalledGame::new(number as u64);
            (game.delay, game.jitter, game.loss) = line;
            game.frame_every = RATE_HZ / frames_per_second;
            game.run(400.0);
            let from = game.now;
            game.run(1_000.0);
            let case = format!("line {line:?}, {frames_per_second} frames a second");
            // A lost packet is missing for a whole frame, and two in a row are rare.
            let lost = if line.2 > 0.0 { 3.0 * game.frame_every } else { 0.0 };
            game.assert_ages(&case, from, usual(line) + game.frame_every + lost);
        }
    }
}

#[test]
fn inputs_are_current_within_300_ms_after_the_client_was_stopped() {
    for (number, line) in LINES.into_iter().enumerate() {
        for stop in [5.0, 25.0, 40.0, 300.0] {
            let mut game = running(number as u64, line);
            game.stop_client(stop);
            let resumed = game.now;
            game.run(200.0);
            let case = format!("line {line:?}, client stopped for {stop} ticks");
            game.assert_ages(&case, resumed + SOON + line.0, usual(line).max(SOON) + line.0);
        }
    }
}

#[test]
fn inputs_are_current_after_the_network_held_them() {
    for (number, line) in LINES.into_iter().enumerate() {
        for hold in [2.0, 10.0, 40.0, 100.0] {
            let mut game = running(number as u64, line);
            game.held_until = game.now + hold;
            game.run(hold);
            let resumed = game.now;
            game.run(200.0);
            let case = format!("line {line:?}, held for {hold} ticks");
            game.assert_ages(
                &case,
                resumed + SOON + 2.0 * line.0,
                usual(line).max(SOON) + line.0,
            );
        }
    }
}

#[test]
fn clocks_of_different_speed_stay_together() {
    for (number, line) in LINES.into_iter().enumerate() {
        for speed in [0.99, 1.01] {
            let mut game = StalledGame::new(number as u64);
            (game.delay, game.jitter, game.loss) = line;
            game.speed = speed;
            game.run(6_000.0);
            let case = format!("line {line:?}, speed {speed}");
            game.assert_ages(&case, 400.0, usual(line) + 1.0);
            assert!(
                game.clock.restarts() < 2,
                "{case}: {} jumps",
                game.clock.restarts()
            );
        }
    }
}

#[test]
fn the_clock_runs_back_when_the_server_fell_behind_for_good() {
    for stall in [10.0, 40.0, 100.0] {
        let mut game = running(1, LINES[0]);
        game.shifts = true;
        game.stall_tick(stall);
        let resumed = game.now;
        game.run(200.0);
        let case = format!("stall of {stall} ticks");
        // Until the change has lasted 0.2 s, the server acts on inputs from before the stall.
        game.assert_ages(&case, resumed + SOON + 2.0, SOON);
        assert_eq!(game.clock.restarts(), 1, "{case}");
    }
}

#[test]
fn the_lead_is_bounded_on_a_server_that_runs_at_half_its_rate_and_skips_nothing() {
    let mut game = running(1, LINES[1]);
    (game.shifts, game.cost) = (true, 2.0);
    game.run(100.0);
    let from = game.now;
    game.run(1_000.0);
    // Such a server falls behind by a tick every 100 ms, which the clock notices in steps.
    game.assert_ages("half the rate", from, 40.0);
}
