//! Simulations skip the same tick numbers, whichever of them is late.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use throng_seeds::seeds;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::random::Random;
use throng_shared::tick::Tick;

use super::{CONFIG, TICK, chessboard};
use crate::input::ReceivePlugin;
use crate::runner::{Clock, FirstTick, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_late};
use crate::schedule::ServerSystems;
use crate::simulation::SimulationPlugin;
use crate::simulations::{Exchange, SimulationsPlugin};

const SIMULATIONS: u8 = 3;

/// What a simulation saw of each tick: its number, the numbers skipped before it, and when it was due.
type Seen = Vec<(u32, u32, Duration)>;

#[derive(Resource, Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

fn app(exchange: Exchange, clock: Clock, shutdown: Shutdown, rate: u32) -> (App, Log) {
    let simulation = exchange.me();
    let (mut app, log) = (App::new(), Log::default());
    app.add_plugins((
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::new(rate).unwrap(),
            clock,
            shutdown,
        },
        ReceivePlugin,
        SimulationPlugin {
            simulation,
            seed: 1,
            threads: 1,
            start: Tick(0),
        },
        SimulationsPlugin::new(exchange, chessboard(SIMULATIONS), CONFIG),
    ))
    .insert_resource(log.clone());
    let note = |time: Res<TickTime>, log: Res<Log>| {
        log.0
            .lock()
            .unwrap()
            .push((time.tick.0, time.skipped, time.due_at));
    };
    app.add_systems(FixedUpdate, note.in_set(ServerSystems::Simulate));
    (app, log)
}

#[test]
fn simulations_skip_as_many_ticks_as_the_latest_of_them() {
    for seed in seeds(1..=5, 2) {
        // For each tick, what each simulation would skip by its own clock.
        let mut random = Random::new(seed);
        let wanted: Vec<[u32; 3]> = (0..60)
            .map(|_| {
                std::array::from_fn(|_| random.below(4).saturating_sub(1) as u32 * random.below(100) as u32)
            })
            .collect();
        let threads: Vec<_> = Exchange::mesh(SIMULATIONS)
            .into_iter()
            .map(|exchange| {
                let wanted = wanted.clone();
                thread::spawn(move || {
                    let me = usize::from(exchange.me().0);
                    let (mut app, log) = app(exchange, Clock::default(), Shutdown::default(), 20);
                    finish_plugins(&mut app);
                    for skips in wanted {
                        let skipped = skips[me];
                        let due_at = TICK * (app.world().resource::<TickTime>().tick + skipped).0;
                        tick_late(&mut app, due_at, due_at, skipped);
                    }
                    log.0.lock().unwrap().clone()
                })
            })
            .collect();
        let mut tick = 0;
        let expected = wanted.iter().map(|skips| {
            let skipped = *skips.iter().max().unwrap();
            tick += skipped + 1;
            (tick, skipped, TICK * (tick - 1))
        });
        let expected: Seen = expected.collect();
        for (simulation, thread) in threads.into_iter().enumerate() {
            assert_eq!(
                thread.join().unwrap(),
                expected,
                "seed {seed}, simulation {simulation}"
            );
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
fn a_stall_of_one_simulation_moves_all_to_the_same_tick() {
    let origin = Instant::now();
    let shutdown = Shutdown::default();
    let threads: Vec<_> = Exchange::mesh(SIMULATIONS)
        .into_iter()
        .map(|exchange| {
            let shutdown = shutdown.clone();
            thread::spawn(move || {
                let me = exchange.me();
                let (mut app, log) = app(exchange, Clock::since(origin), shutdown.clone(), 100);
                app.insert_resource(FirstTick(Duration::from_millis(50)));
                let mut ran = 0;
                let stall = move || {
                    ran += 1;
                    match ran {
                        // More than may be caught up on, and then less.
                        10 if me == SimulationId(1) => thread::sleep(Duration::from_millis(250)),
                        20 if me == SimulationId(2) => thread::sleep(Duration::from_millis(60)),
                        60 => shutdown.request(),
                        _ => {}
                    }
                };
                app.add_systems(FixedUpdate, stall.in_set(ServerSystems::Input));
                app.run();
                log.0.lock().unwrap().clone()
            })
        })
        .collect();
    let seen: Vec<Seen> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    // The simulations stop one after another when the first one does.
    let common = seen.iter().map(Vec::len).min().unwrap();
    assert!(common >= 59, "{common} ticks");
    for other in &seen[1..] {
        assert_eq!(seen[0][..common], other[..common]);
    }
    assert!(
        seen[0].iter().any(|&(_, skipped, _)| skipped > 10),
        "{:?}",
        seen[0]
    );
}
