//! Measures the cost of a tick of Skirmish by phase: the default scene without players, or with pilots who fly, fire
//! and mine at random.
//!
//! Run with `cargo run --release -p skirmish-server --example skirmish_cost -- [ticks] [pilots]`.

#![expect(clippy::print_stdout, reason = "this program's output is its result")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_app::App;
use skirmish_server::SkirmishPlugin;
use skirmish_shared::input::PilotInput;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_once};
use throng_server::schedule::ServerSystems::{Index, Publish, Simulate};
use throng_server::schedule::TickTimings;
use throng_server::simulation::{Seed, SimulationPlugin, Slots, WorkerLinks};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

const TICK: Duration = Duration::from_millis(50);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (ticks, pilots): (u32, u32) = (numbers.next().unwrap_or(1_000), numbers.next().unwrap_or(0));
    let (near, mut worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    let mut app = default_scene();
    app.insert_resource(WorkerLinks::new(vec![near]));
    finish_plugins(&mut app);
    (0..pilots).for_each(|index| join(&mut worker, index));
    let mut phases: [Vec<Duration>; 4] = Default::default();
    for n in 1..=ticks {
        for index in 0..pilots {
            steer(&app, &mut worker, index, Tick(n));
        }
        tick_once(&mut app, TICK * n);
        while worker.frame().is_some() {}
        while worker.pop().is_some() {}
        let timings = app.world().resource::<TickTimings>();
        let took = [
            timings[Simulate],
            timings[Index],
            timings[Publish],
            timings.total(),
        ];
        phases
            .iter_mut()
            .zip(took)
            .for_each(|(phase, took)| phase.push(took));
    }
    let entities = app.world().resource::<Slots>().len();
    println!("{entities} entities, {pilots} pilots, {ticks} ticks");
    for (name, times) in ["simulate", "index", "publish", "tick"].iter().zip(&mut phases) {
        times.sort_unstable();
        let percentile = |share: usize| times[(times.len() - 1) * share / 100];
        println!(
            "{name:9} p50 {:>9.1?} p99 {:>9.1?} max {:>9.1?}",
            percentile(50),
            percentile(99),
            percentile(100)
        );
    }
}

/// Returns the default scene on one thread.
fn default_scene() -> App {
    #[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
    let origin = Instant::now();
    let mut app = App::new();
    app.add_plugins((
        SimulationPlugin {
            seed: 1,
            ..SimulationPlugin::default()
        },
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN),
            clock: Clock::since(origin),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
        SkirmishPlugin::new(2_000, 5_000),
    ));
    app
}

fn key(index: u32) -> SessionKey {
    SessionKey {
        worker: 0,
        session: SessionId { index, generation: 0 },
    }
}

fn join(worker: &mut WorkerLink, index: u32) {
    worker.announce(ToSimulation::Joined {
        key: key(index),
        client_id: u64::from(index),
        number: 1,
        name: PlayerName::default(),
        kind: PeerKind::Throng,
        at: Duration::ZERO,
    });
}

/// Sends a random input that changes every half second.
fn steer(app: &App, worker: &mut WorkerLink, index: u32, tick: Tick) {
    let mut random = Seed(7).of(GlobalId(u64::from(index)), Tick(tick.0 / 10));
    let input = PilotInput {
        turn: random.within(-60.0, 60.0) as i8,
        thrust: 80,
        aim: random.within(0.0, 1_023.0) as u16,
        buttons: random.bits() as u8 & 15,
    };
    if let Ok(bytes) = app.world().resource::<Protocol>().encode_input(&input) {
        worker.input(ToSimulation::Input {
            key: key(index),
            tick,
            view: None,
            arrived_at: TICK * tick.0,
            bytes,
        });
    }
}
