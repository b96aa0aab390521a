//! Measures the cost of a tick of the simulation, phase by phase, without sockets.
//!
//! Runs each scene for some hundred ticks, with the wanted number of players, and prints the median and the 99th
//! percentile of every phase in microseconds.
//!
//! ```sh
//! cargo run --release -p throng-scenes --example tick_cost
//! cargo run --release -p throng-scenes --example tick_cost -- --players 1000 --ticks 1000 --threads 1
//! ```

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_app::App;
use clap::Parser;
use throng_scenes::protocol::SteerInput;
use throng_scenes::{Scene, ScenePlugin};
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, link};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_once};
use throng_server::schedule::{ServerSystems, TickTimings};
use throng_server::simulation::{SimulationPlugin, WorkerLinks};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::registry::Protocol;

#[derive(Parser)]
struct Options {
    /// Players who watch, at most one for each entity.
    #[arg(long, default_value_t = 0)]
    players: u32,
    /// Ticks that are measured, after 100 that are not.
    #[arg(long, default_value_t = 300)]
    ticks: u32,
    /// Threads of the simulation.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Only the scene whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

const WARM_UP: u32 = 100;

/// Number of columns: every phase, and the whole tick.
const COLUMNS: usize = ServerSystems::ORDER.len() + 1;

fn main() -> io::Result<()> {
    let options = Options::parse();
    let scenes = [
        (
            "crowd 1,000",
            Scene::Crowd {
                entities: 1_000,
                visible: 50,
            },
        ),
        (
            "crowd 10,000",
            Scene::Crowd {
                entities: 10_000,
                visible: 50,
            },
        ),
        (
            "crowd 100,000",
            Scene::Crowd {
                entities: 100_000,
                visible: 50,
            },
        ),
        ("hotspot 2,000", Scene::Hotspot { entities: 2_000 }),
        ("static 100,000", Scene::Static { entities: 100_000 }),
    ];
    let mut out = io::stdout().lock();
    write!(out, "median/p99 in us   ")?;
    for phase in ServerSystems::ORDER {
        write!(out, "{:>13}", phase.name())?;
    }
    writeln!(out, "{:>13}", "tick")?;
    for (name, scene) in scenes
        .into_iter()
        .filter(|(name, _)| name.contains(&options.only))
    {
        let mut phases = measure(scene, &options);
        write!(out, "{name:<19}")?;
        for phase in &mut phases {
            phase.sort_unstable();
            let quantile = |share: f64| phase[(phase.len() as f64 * share) as usize].as_nanos() as f64 / 1e3;
            write!(
                out,
                "{:>13}",
                format!("{:.1}/{:.1}", quantile(0.5), quantile(0.99))
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Returns the durations of all phases and of the whole tick.
fn measure(scene: Scene, options: &Options) -> [Vec<Duration>; COLUMNS] {
    let mut app = App::new();
    let origin = Instant::now();
    app.add_plugins((
        SimulationPlugin {
            seed: 1,
            threads: options.threads,
            ..SimulationPlugin::default()
        },
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::MIN.saturating_add(19),
            clock: Clock::since(origin),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
        ScenePlugin(scene),
    ));
    let (near, mut worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    app.insert_resource(WorkerLinks::new(vec![near]));
    finish_plugins(&mut app);
    let neutral = app
        .world()
        .resource::<Protocol>()
        .encode_input(&SteerInput::default());
    let neutral = neutral.expect("the scenes register this input");
    let keys: Vec<_> = (0..options.players.min(scene.entities()))
        .map(|index| SessionKey {
            worker: 0,
            session: SessionId { index, generation: 0 },
        })
        .collect();
    for &key in &keys {
        let (name, at) = (PlayerName::default(), Duration::ZERO);
        worker.announce(ToSimulation::Joined {
            key,
            client_id: key.session.index.into(),
            number: 1,
            name,
            kind: PeerKind::Throng,
            at,
        });
    }
    let mut phases: [Vec<Duration>; COLUMNS] = Default::default();
    // A reader that keeps frames as long as a net worker does.
    let mut history = throng_server::boundary::frame::FrameHistory::default();
    for n in 0..WARM_UP + options.ticks {
        let tick = app.world().resource::<TickTime>().tick.next();
        for &key in &keys {
            let arrived_at = origin.elapsed();
            worker.input(ToSimulation::Input {
                key,
                tick,
                view: None,
                arrived_at,
                bytes: neutral,
            });
        }
        tick_once(&mut app, origin.elapsed());
        while let Some(frame) = worker.frame() {
            history.push(frame);
        }
        worker.flush();
        if n >= WARM_UP {
            let t = *app.world().resource::<TickTimings>();
            let all = ServerSystems::ORDER.map(|phase| t[phase]);
            phases
                .iter_mut()
                .zip(all.into_iter().chain([t.total()]))
                .for_each(|(phase, duration)| phase.push(duration));
        }
    }
    phases
}
