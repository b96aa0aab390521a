//! The loop under an injected clock, and once in real time.

use super::*;
use crate::schedule::SchedulePlugin;
use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;

#[derive(Resource, Default)]
struct Seen(Vec<(Tick, Duration)>);

fn app(tick_rate_hz: u32, clock: Clock, shutdown: Shutdown) -> App {
    let mut app = App::new();
    let tick_rate_hz = NonZeroU32::new(tick_rate_hz).unwrap();
    app.add_plugins((
        SchedulePlugin,
        RunnerPlugin {
            tick_rate_hz,
            clock,
            shutdown,
        },
    ))
    .init_resource::<Seen>();
    let note = |time: Res<TickTime>, fixed: Res<Time>, mut seen: ResMut<Seen>| {
        assert_eq!(fixed.delta(), time.length);
        seen.0.push((time.tick, time.started_at));
    };
    app.add_systems(FixedUpdate, note.in_set(crate::schedule::ServerSystems::Simulate));
    app
}

#[test]
fn every_update_is_exactly_one_tick() {
    for rate in [1, 3, 20, 60, 128] {
        let mut app = app(rate, Clock::default(), Shutdown::default());
        finish_plugins(&mut app);
        for n in 0..500u32 {
            tick_once(&mut app, Duration::from_secs(u64::from(n)));
        }
        let seen = &app.world().resource::<Seen>().0;
        let expected: Vec<_> = (0..500u32)
            .map(|n| (Tick(n + 1), Duration::from_secs(u64::from(n))))
            .collect();
        assert_eq!(seen, &expected, "at {rate} Hz");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
fn the_loop_keeps_its_rate_counts_an_overrun_and_stops_on_request() {
    let origin = Instant::now();
    let shutdown = Shutdown::default();
    let mut app = app(200, Clock::since(origin), shutdown.clone());
    let ticks = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&ticks);
    let stall = move |time: Res<TickTime>| {
        // On a busy machine tick numbers may be skipped.
        let ran = count.fetch_add(1, Relaxed) + 1;
        assert!(u64::from(time.tick.0) >= ran);
        match ran {
            5 => thread::sleep(Duration::from_millis(23)),
            20 => shutdown.request(),
            _ => {}
        }
    };
    app.add_systems(FixedUpdate, stall.in_set(crate::schedule::ServerSystems::Input));
    let counters = app.world().resource::<RunnerCounters>().clone();
    assert_eq!(app.run(), AppExit::Success);
    assert_eq!(ticks.load(Relaxed), 20);
    assert!(counters.overruns() >= 1, "{counters:?}");
    // 19 intervals of 5 ms: the ticks that the stalled one delayed are caught up on.
    assert!(
        origin.elapsed() >= Duration::from_millis(19 * 5),
        "{:?}",
        origin.elapsed()
    );
}

/// A clock that advances only where a test says so: in a tick, by what the tick costs, and between ticks.
#[derive(Clone, Default)]
struct FakeTime(Arc<AtomicU64>);

impl FakeTime {
    fn clock(&self) -> Clock {
        let nanos = Arc::clone(&self.0);
        Clock::new(move || Duration::from_nanos(nanos.load(Relaxed)))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Relaxed);
    }
}

/// Work between ticks that lets the time pass, and records each turn that it gets.
struct Turns {
    time: FakeTime,
    turns: Arc<Mutex<Vec<Duration>>>,
}

impl Pass for Turns {
    fn until(&mut self, deadline: Duration, clock: &Clock) {
        self.turns.lock().unwrap().push(clock.now());
        self.time.pass(deadline.saturating_sub(clock.now()));
    }
}

/// What one tick of [`run_costs`] saw.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ran {
    tick: u32,
    skipped: u32,
    due_at: Duration,
    started_at: Duration,
    elapsed: Duration,
}

/// The ticks that ran, the turns that the work between ticks got, and the counters.
type Outcome = (Vec<Ran>, Vec<Duration>, RunnerCounters);

/// Runs the loop at 20 Hz for as many ticks as there are costs, each of which takes so many milliseconds.
fn run_costs(costs: &[u64]) -> Outcome {
    let (time, shutdown) = (FakeTime::default(), Shutdown::default());
    let turns = Arc::new(Mutex::new(Vec::new()));
    let mut app = app(20, time.clock(), shutdown.clone());
    app.insert_resource(BetweenTicks(Mutex::new(Box::new(Turns {
        time: time.clone(),
        turns: Arc::clone(&turns),
    }))));
    let ran = Arc::new(Mutex::new(Vec::new()));
    let (costs, log) = (costs.to_vec(), Arc::clone(&ran));
    let burn = move |tick: Res<TickTime>, fixed: Res<Time<Fixed>>| {
        let mut log = log.lock().unwrap();
        time.pass(Duration::from_millis(costs[log.len()]));
        log.push(Ran {
            tick: tick.tick.0,
            skipped: tick.skipped,
            due_at: tick.due_at,
            started_at: tick.started_at,
            elapsed: fixed.elapsed(),
        });
        if log.len() == costs.len() {
            shutdown.request();
        }
    };
    app.add_systems(FixedUpdate, burn.in_set(crate::schedule::ServerSystems::Input));
    let counters = app.world().resource::<RunnerCounters>().clone();
    assert_eq!(app.run(), AppExit::Success);
    let (ran, turns) = (ran.lock().unwrap().clone(), turns.lock().unwrap().clone());
    (ran, turns, counters)
}

const TICK: Duration = Duration::from_millis(50);

/// Checks what holds for every course of the loop.
fn check(ran: &[Ran]) {
    let mut last = 0;
    for (count, tick) in ran.iter().enumerate() {
        assert_eq!(
            tick.tick,
            last + tick.skipped + 1,
            "numbers rise without repeats: {ran:?}"
        );
        last = tick.tick;
        assert_eq!(tick.due_at, TICK * (tick.tick - 1), "{tick:?}");
        assert!(tick.started_at >= tick.due_at, "{tick:?}");
        assert_eq!(
            tick.elapsed,
            TICK * (count as u32 + 1),
            "a tick is one step: {tick:?}"
        );
    }
}

#[test]
fn the_tick_number_follows_the_clock_after_a_stall() {
    for (stall, skipped) in [(300, 0), (500, 0), (2_000, 39), (5_000, 99), (15_000, 299)] {
        let mut costs = [1; 60];
        costs[9] = stall;
        let (ran, _, counters) = run_costs(&costs);
        check(&ran);
        let last = ran[59];
        assert_eq!(
            last.started_at,
            TICK * (last.tick - 1),
            "{stall} ms: first tick + elapsed / length"
        );
        assert_eq!(ran[10].skipped, skipped, "{stall} ms");
        assert_eq!(counters.skipped(), u64::from(skipped), "{stall} ms");
        // The system sees `skipped` in the first tick after the stall only.
        assert!(
            ran.iter().filter(|tick| tick.skipped > 0).count() <= 1,
            "{stall} ms"
        );
    }
}

#[test]
fn the_work_between_ticks_gets_its_turn_while_the_loop_catches_up() {
    let mut costs = [1; 30];
    costs[9] = 500;
    let (ran, turns, counters) = run_costs(&costs);
    let late = ran.iter().filter(|tick| tick.started_at >= tick.due_at + TICK);
    assert_eq!(late.clone().count(), 9);
    assert!(counters.overruns() >= 9);
    for tick in late {
        // A turn that begins after the tick before has ended, and one with time for what waited in the socket.
        let before = turns
            .iter()
            .filter(|&&turn| turn < tick.started_at)
            .max()
            .unwrap();
        assert_eq!(tick.started_at - *before, CATCH_UP_PAUSE, "{tick:?}");
    }
}

#[test]
fn a_loop_at_half_its_rate_skips_every_second_number() {
    let (ran, turns, counters) = run_costs(&[100; 100]);
    check(&ran);
    // What is left of the pause in the one tick that was to catch up.
    let is_even = |tick: &Ran| tick.skipped == 1 && tick.started_at - tick.due_at <= CATCH_UP_PAUSE;
    assert!(ran[4..].iter().all(is_even), "{ran:?}");
    assert!(
        turns.len() >= 100,
        "the work between ticks has its turn after every tick"
    );
    assert!(
        counters.overruns() == 100 && counters.skipped() >= 95,
        "{counters:?}"
    );
}

#[test]
fn periodic_work_is_due_once_in_its_period_whatever_numbers_are_skipped() {
    let costs: Vec<u64> = (0..200)
        .map(|n| if n % 7 == 0 { 700 } else { 60 + n % 80 })
        .collect();
    let (ran, ..) = run_costs(&costs);
    for (every, offset) in [(1, 0), (2, 0), (2, 1), (20, 0), (20, 7), (64, u64::MAX)] {
        let mut last = 0;
        for tick in &ran {
            let time = TickTime {
                tick: Tick(tick.tick),
                skipped: tick.skipped,
                ..TickTime::default()
            };
            let multiples = |tick: u32| u64::from(tick).wrapping_add(offset) / every;
            let expected = multiples(tick.tick) != multiples(last);
            // The period before the first tick is not complete.
            if last > 0 && offset < u64::MAX {
                assert_eq!(
                    time.is_due(every as u32, offset),
                    expected,
                    "{every} {offset} {tick:?}"
                );
            }
            last = tick.tick;
        }
    }
}
