//! The game on several simulations: nothing is lost at a border, and shots cross it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{SourceId, TeamId};
use throng_shared::protocol::pose::Position;
use throng_shared::skirmish::components::{Cargo, Credits, Hull, Ore, Shield};
use throng_shared::tick::Tick;

use super::TICK;
use crate::frame::Frame;
use crate::input::ReceivePlugin;
use crate::net::claims::PlayerName;
use crate::net::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, WorkerLinks, link};
use crate::runner::{Clock, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_once};
use crate::simulation::{Frames, Player, Replicated, SimulationPlugin};
use crate::skirmish::SkirmishPlugin;
use crate::skirmish::content::Rules;
use crate::skirmish::mining::OreLedger;
use crate::skirmish::pilots::{Helm, Loadout};
use crate::worlds::{
    Cell, Exchange, Ghost, Partition, WorldShape, Worlds, WorldsConfig, WorldsCounters, WorldsPlugin, post,
};

/// Simulations of one process, on one thread.
struct Process {
    apps: Vec<(App, WorkerLink)>,
    tick: Tick,
}

impl Process {
    fn new(partition: &Partition, margin: f32, seed: u64, drones: u32, asteroids: u32) -> Self {
        let apps = Exchange::mesh(partition.simulations())
            .into_iter()
            .map(|exchange| {
                let source = exchange.me();
                let mut app = App::new();
                app.add_plugins((
                    SimulationPlugin {
                        source,
                        seed,
                        ..SimulationPlugin::default()
                    },
                    RunnerPlugin {
                        tick_rate_hz: NonZeroU32::new(20).unwrap(),
                        clock: Clock::default(),
                        shutdown: Shutdown::default(),
                    },
                    ReceivePlugin,
                    SkirmishPlugin::new(drones, asteroids),
                ));
                let (_, config) = app.world().resource::<WorldShape>().divide(2);
                let config = WorldsConfig {
                    margin,
                    balance_ticks: 0,
                    ..config
                };
                app.add_plugins(WorldsPlugin::new(exchange, partition.clone(), config));
                let (near, worker) = link(source, 0, &LinkConfig::default(), Arc::new(|| {}));
                app.insert_resource(WorkerLinks::new(vec![near]));
                finish_plugins(&mut app);
                (app, worker)
            });
        Self {
            apps: apps.collect(),
            tick: Tick(0),
        }
    }

    fn tick(&mut self) -> Vec<Arc<Frame>> {
        self.tick = self.tick.next();
        for (app, _) in &mut self.apps {
            post(app.world_mut());
        }
        for (app, worker) in &mut self.apps {
            tick_once(app, TICK * self.tick.0);
            while worker.frame().is_some() {}
            while worker.pop().is_some() {}
        }
        let newest = |app: &App| Arc::clone(app.world().resource::<Frames>().0.newest().unwrap());
        self.apps.iter().map(|(app, _)| newest(app)).collect()
    }

    fn sum(&mut self, mut read: impl FnMut(&mut World) -> u64) -> u64 {
        self.apps.iter_mut().map(|(app, _)| read(app.world_mut())).sum()
    }

    fn join(&mut self, index: u32) {
        let session = SessionId { index, generation: 0 };
        self.apps[0].1.announce(ToSimulation::Joined {
            key: SessionKey { worker: 0, session },
            client_id: u64::from(index),
            name: PlayerName::new("Ace").unwrap(),
            kind: PeerKind::Throng,
            at: TICK * self.tick.0,
        });
    }
}

/// A chessboard of `side` units: whatever moves changes hands.
fn chessboard(simulations: u8, side: f32) -> Partition {
    let mut partition = Partition::stripes(simulations, side, 2_400.0);
    let half = (1_200.0 / side) as i32 + 1;
    for x in -half..half {
        for y in -half..half {
            let owner = (x + y).rem_euclid(i32::from(simulations)) as u8;
            partition.assign(Cell { x, y }, SourceId(owner));
        }
    }
    partition
}

/// Pilots who fly about, fire and mine.
fn fly(
    mut helms: Query<(&Replicated, &mut Helm), With<crate::skirmish::pilots::Pilot>>,
    time: Res<TickTime>,
) {
    for (replicated, mut helm) in &mut helms {
        helm.controls.thrust = 1.0;
        helm.controls.turn = ((replicated.global().0 + u64::from(time.tick.0 / 16)) % 3) as f32 - 1.0;
        (helm.fires, helm.mines) = (true, true);
    }
}

/// Something to lose, before the third tick: after a tick, those who leave are packed already.
fn pay(mut players: Query<&mut Credits, With<Player>>, time: Res<TickTime>) {
    if time.tick == Tick(2) {
        players.iter_mut().for_each(|mut credits| credits.0 = 100);
    }
}

#[test]
fn ore_credits_and_everybody_survive_all_borders() {
    for (simulations, seed) in [(2, 1), (4, 2), (2, 3), (4, 4)] {
        let mut process = Process::new(&chessboard(simulations, 12.0), 0.0, seed, 1_200, 300);
        for (app, _) in &mut process.apps {
            app.add_systems(bevy_app::FixedPreUpdate, pay).add_systems(
                bevy_app::FixedUpdate,
                fly.after(crate::skirmish::drones::think)
                    .before(crate::skirmish::flight::steer_crafts)
                    .in_set(crate::schedule::ServerSystems::Simulate),
            );
        }
        (0..20).for_each(|index| process.join(index));
        let ticks = 100;
        for _ in 0..ticks {
            let frames = process.tick();
            let tick = process.tick;
            let mut owners = BTreeMap::new();
            for frame in &frames {
                for (slot, _) in frame.rows() {
                    let global = frame.identity(slot).global;
                    let twice = owners.insert(global, frame.source);
                    assert_eq!(twice, None, "seed {seed}, tick {tick}: {global} is in two frames");
                }
            }
            let ore = process.sum(|world| {
                let rocks: u32 = world.query::<&Ore>().iter(world).map(|ore| ore.0).sum();
                let holds: u32 = world.query::<&Cargo>().iter(world).map(|cargo| cargo.0).sum();
                u64::from(rocks) + u64::from(holds) + world.resource::<OreLedger>().sold
            });
            let seeded = process.sum(|world| world.resource::<OreLedger>().seeded);
            assert_eq!(ore, seeded, "seed {seed}, tick {tick}: ore");
            let pilots = process.sum(|world| world.query::<&Player>().iter(world).count() as u64);
            assert_eq!(pilots, 20, "seed {seed}, tick {tick}: pilots");
            if tick.0 >= 3 {
                let credits = process.sum(|world| {
                    let mut players = world.query_filtered::<&Credits, With<Player>>();
                    players.iter(world).map(|credits| u64::from(credits.0)).sum()
                });
                assert_eq!(credits, 2_000, "seed {seed}, tick {tick}: credits");
            }
        }
        let mut counters = WorldsCounters::default();
        process.sum(|world| {
            counters = counters.plus(world.resource::<Worlds>().counters());
            0
        });
        assert_eq!(counters.failed, 0, "seed {seed}");
        assert!(
            counters.immigrated * 20 / ticks > 1_000,
            "seed {seed}: {counters:?}"
        );
        assert!(counters.players_came > 50, "seed {seed}: {counters:?}");
    }
}

#[test]
fn a_shot_hits_across_a_border_where_its_target_is_seen() {
    let mut process = Process::new(&Partition::stripes(2, 100.0, 2_400.0), 1.0, 1, 0, 0);
    process.tick();
    let place = |app: &mut App, x: f32, team: u8, heading: f32| {
        let world = app.world_mut();
        let rules = world.resource::<Rules>().clone();
        let loadout = Loadout {
            class: 0,
            place: Vec2::new(x, 5.0),
            heading,
            team: TeamId(team),
            protected_until: Tick(0),
        };
        world.spawn(loadout.ship(&rules)).id()
    };
    let shooter = place(&mut process.apps[0].0, -10.0, 1, 0.0);
    let target = place(&mut process.apps[1].0, 10.0, 2, 0.0);
    (0..3).for_each(|_| drop(process.tick()));
    let ghosts = process.sum(|world| world.query::<&Ghost>().iter(world).count() as u64);
    assert_eq!(ghosts, 2, "each sees the other");
    let points = |process: &Process| {
        let world = process.apps[1].0.world();
        let hull = world.get::<Hull>(target).unwrap().now;
        (hull, world.get::<Shield>(target).unwrap().now)
    };
    let whole = points(&process);
    let mut helm = process.apps[0].0.world_mut().get_mut::<Helm>(shooter).unwrap();
    (helm.fires, helm.aim) = (true, 0.0);
    (0..20).for_each(|_| drop(process.tick()));
    let after = points(&process);
    assert!(after < whole, "{after:?} of {whole:?}");
    let applied = process.sum(|world| world.resource::<Worlds>().counters().effects_applied);
    assert!(applied > 0);
    // Both stayed where they were.
    let at = process.apps[1].0.world().get::<Position>(target).unwrap().0;
    assert!(at.x > 0.0);
}
