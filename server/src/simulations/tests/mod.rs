//! Several simulations, run on one thread and on many: nothing is lost, duplicated or reordered at a border.

mod alone;
mod away;
mod game;
mod lockstep;
mod migrants;
mod notes;
mod saved;
mod views;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bevy_app::App;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use throng_seeds::seeds;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{ChannelId, GlobalId, SimulationId};
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use self::game::{
    Bank, Complaints, Game, InputTally, Ledger, MessageTally, ORE, Ore, ROAMERS, SIDE, Turret, Walk,
};
use self::notes::Notes;
use super::{
    Cell, Effects, Exchange, GhostAppExt, Partition, Simulations, SimulationsConfig, SimulationsCounters,
    SimulationsPlugin, send_batch,
};
use crate::boundary::claims::PlayerName;
use crate::boundary::frame::{Checksum, Frame};
use crate::boundary::link::{LeaveReason, LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use crate::input::{InputCounters, ReceivePlugin};
use crate::persist::PersistAppExt;
use crate::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_once};
use crate::simulation::{Frames, Ghost, Replicated, Seed, SimulationPlugin, WorkerLinks};

const TICK: Duration = Duration::from_millis(50);

/// Returns a partition like a chessboard, on which nearly every move changes an entity's owner.
fn chessboard(simulations: u8) -> Partition {
    let mut partition = Partition::stripes(simulations, 1.0, SIDE);
    for x in -13..13i32 {
        for y in -13..13i32 {
            let owner = (x + y).rem_euclid(i32::from(simulations)) as u8;
            partition.assign(Cell { x, y }, SimulationId(owner));
        }
    }
    partition
}

const CONFIG: SimulationsConfig = SimulationsConfig {
    margin: 0.0,
    ghost_reach: 1.5,
    balance_ticks: 0,
};

fn app(exchange: Exchange, partition: Partition, config: SimulationsConfig, seed: u64) -> (App, WorkerLink) {
    extended_app(exchange, partition, config, seed, |_| {})
}

/// Builds the app of a simulation. `extend` may add to it before its plugins are finished.
fn extended_app(
    exchange: Exchange,
    partition: Partition,
    config: SimulationsConfig,
    seed: u64,
    extend: fn(&mut App),
) -> (App, WorkerLink) {
    let simulation = exchange.me();
    let mut app = App::new();
    let simulations = partition.simulations();
    app.add_plugins((
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::new(20).unwrap(),
            clock: Clock::default(),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
        SimulationPlugin {
            simulation,
            seed,
            threads: 1,
            start: Tick(0),
        },
        SimulationsPlugin::new(exchange, partition, config),
        Game { simulations },
    ));
    let (near, worker) = link(simulation, 0, &LinkConfig::default(), Arc::new(|| {}));
    app.insert_resource(WorkerLinks::new(vec![near]));
    extend(&mut app);
    finish_plugins(&mut app);
    (app, worker)
}

/// The players, all of whom joined through the link of the first simulation.
struct Crowd {
    seed: u64,
    protocol: Protocol,
    /// Sessions, with the number of messages and of inputs that each sent.
    sessions: BTreeMap<SessionKey, (u32, u64)>,
    joined: u32,
}

impl Crowd {
    fn act(&mut self, tick: Tick, worker: &mut WorkerLink) {
        let now = TICK * tick.0;
        let mut chance = Seed(self.seed).of(GlobalId(u64::MAX), tick);
        if self.sessions.len() < 25 && chance.bits().is_multiple_of(2) {
            // Session indices of players that left are reused at once.
            let taken: BTreeSet<_> = self.sessions.keys().map(|key| key.session.index).collect();
            let session = SessionId {
                index: (0..).find(|index| !taken.contains(index)).unwrap(),
                generation: self.joined,
            };
            let key = SessionKey { worker: 0, session };
            self.joined += 1;
            self.sessions.insert(key, (0, 0));
            worker.announce(ToSimulation::Joined {
                key,
                client_id: u64::from(self.joined),
                number: 1,
                name: PlayerName::default(),
                kind: PeerKind::Throng,
                at: now,
            });
        }
        // Before messages are sent, because a session's messages in its last tick are not received by any
        // player.
        if self.sessions.len() > 10 && chance.bits().is_multiple_of(10) {
            let key = *self.sessions.keys().nth(chance.bits() as usize % 10).unwrap();
            self.sessions.remove(&key);
            let reason = LeaveReason::Client;
            worker.announce(ToSimulation::Left { key, reason });
        }
        for (&key, (messages, inputs)) in &mut self.sessions {
            let walk = Walk {
                tick: tick.0,
                turn: chance.bits() as i8,
            };
            let bytes = self.protocol.encode_input(&walk).unwrap();
            worker.input(ToSimulation::Input {
                key,
                tick,
                view: None,
                arrived_at: now,
                bytes,
            });
            *inputs += 1;
            for _ in 0..chance.bits() % 3 {
                let bytes = Bytes::copy_from_slice(&messages.to_le_bytes());
                assert!(worker.message(key, ChannelId(2), bytes));
                *messages += 1;
            }
        }
    }
}

/// All simulations of a process, run on one thread.
struct Process {
    apps: Vec<(App, WorkerLink)>,
    crowd: Crowd,
    tick: Tick,
    seed: u64,
}

impl Process {
    fn new(partition: &Partition, config: SimulationsConfig, seed: u64) -> Self {
        Self::with_plugins(partition, config, seed, |_| {})
    }

    fn with_plugins(
        partition: &Partition,
        config: SimulationsConfig,
        seed: u64,
        extend: fn(&mut App),
    ) -> Self {
        let apps: Vec<_> = Exchange::mesh(partition.simulations())
            .into_iter()
            .map(|exchange| extended_app(exchange, partition.clone(), config, seed, extend))
            .collect();
        let protocol = apps[0].0.world().resource::<Protocol>().clone();
        Self {
            apps,
            crowd: Crowd {
                seed,
                protocol,
                sessions: BTreeMap::new(),
                joined: 0,
            },
            tick: Tick(0),
            seed,
        }
    }

    fn tick(&mut self) -> Vec<Arc<Frame>> {
        self.tick = self.tick.next();
        self.crowd.act(self.tick, &mut self.apps[0].1);
        for (app, _) in &mut self.apps {
            send_batch(app.world_mut());
        }
        for (app, worker) in &mut self.apps {
            tick_once(app, TICK * self.tick.0);
            while worker.frame().is_some() {}
        }
        let newest = |app: &App| Arc::clone(app.world().resource::<Frames>().0.newest().unwrap());
        self.apps.iter().map(|(app, _)| newest(app)).collect()
    }

    fn each<T>(&mut self, read: impl FnMut(&mut World) -> T) -> Vec<T> {
        let mut read = read;
        self.apps
            .iter_mut()
            .map(|(app, _)| read(app.world_mut()))
            .collect()
    }

    fn counters(&mut self) -> SimulationsCounters {
        let all = self.each(|world| world.resource::<Simulations>().counters());
        all.into_iter()
            .fold(SimulationsCounters::default(), SimulationsCounters::plus)
    }

    /// Checks what must hold at the end of every tick.
    fn check(&mut self, frames: &[Arc<Frame>]) {
        let (seed, tick) = (self.seed, self.tick);
        let complaints = self.each(|world| std::mem::take(&mut world.resource_mut::<Complaints>().0));
        assert!(
            complaints.iter().all(Vec::is_empty),
            "seed {seed}, tick {tick}: {complaints:?}"
        );
        let mut owners = BTreeMap::new();
        for frame in frames {
            assert_eq!(frame.tick, tick, "seed {seed}");
            for (slot, _) in frame.rows() {
                let global = frame.identity(slot).global;
                let twice = owners.insert(global, frame.simulation);
                assert_eq!(twice, None, "seed {seed}, tick {tick}: {global} is in two frames");
            }
        }
        let turrets = ROAMERS / 5;
        let expected = ROAMERS + turrets + self.crowd.sessions.len() as u64;
        assert_eq!(
            owners.len() as u64,
            expected,
            "seed {seed}, tick {tick}: entities"
        );
        for &key in self.crowd.sessions.keys() {
            let acting: Vec<_> = frames
                .iter()
                .filter_map(|frame| frame.players.get(key.worker, key.session))
                .filter(|player| player.entity.is_some())
                .collect();
            assert_eq!(acting.len(), 1, "seed {seed}, tick {tick}: {key:?}");
            assert_eq!(acting[0].last_input, tick, "seed {seed}: {key:?}");
        }
        let ore: u64 = self
            .each(|world| {
                let held: u64 = world.query::<&Ore>().iter(world).map(|ore| ore.0).sum();
                held + world.resource::<Bank>().ore
            })
            .iter()
            .sum();
        let total = ORE * self.apps.len() as u64;
        // The ore of gifts that have not arrived is not counted above. That is at most 50 gifts of up to 3 ore from each
        // simulation, and the gifts of two ticks to the entity that does not exist.
        let underway = total - ore;
        assert!(
            underway <= 152 * self.apps.len() as u64,
            "seed {seed}, tick {tick}: {underway} ore is in transit"
        );
    }

    /// Checks what must hold at the end of a run.
    fn check_end(&mut self) {
        let seed = self.seed;
        let sent: u64 = self.each(|world| world.resource::<Effects>().sent()).iter().sum();
        let counters = self.counters();
        // Effects of the last tick are applied before the next one, and effects without an entity are
        // returned one tick later.
        let last = (50 + 2) * self.apps.len() as u64;
        let returned: u64 = self.each(|world| world.resource::<Bank>().returned).iter().sum();
        assert!(returned > 0, "seed {seed}");
        assert_eq!(counters.effects_applied + returned + last, sent, "seed {seed}");
        assert_eq!(counters.failed, 0, "seed {seed}");
        let inputs = self.each(|world| *world.resource::<InputCounters>());
        for counters in &inputs {
            let lost = [counters.late, counters.early, counters.duplicate, counters.stray];
            assert_eq!(lost, [0; 4], "seed {seed}");
            assert_eq!((counters.repeated, counters.neutral), (0, 0), "seed {seed}");
        }
        let mut applied = 0;
        let mut received = 0;
        self.each(|world| {
            applied += world
                .query::<&InputTally>()
                .iter(world)
                .map(|tally| tally.inputs)
                .sum::<u64>();
            received += world
                .query::<&MessageTally>()
                .iter(world)
                .map(|tally| u64::from(tally.0))
                .sum::<u64>();
        });
        let sent = self.crowd.sessions.values();
        let (messages, inputs) = sent.fold((0, 0), |(messages, inputs), sent| {
            (messages + u64::from(sent.0), inputs + sent.1)
        });
        assert_eq!(
            (received, applied),
            (messages, inputs),
            "seed {seed}: messages and inputs"
        );
    }
}

#[test]
fn migration_loses_duplicates_and_reorders_nothing() {
    for (simulations, all) in [(2, 0..25), (4, 25..50)] {
        for seed in seeds(all, 3) {
            let mut process = Process::new(&chessboard(simulations), CONFIG, seed);
            let ticks = 40;
            for _ in 0..ticks {
                let frames = process.tick();
                process.check(&frames);
            }
            process.check_end();
            let counters = process.counters();
            let a_second = counters.immigrated * 20 / ticks;
            assert!(
                a_second > 1_000,
                "seed {seed}: only {a_second} migrations a second"
            );
            assert!(counters.players_came > 100, "seed {seed}: {counters:?}");
        }
    }
}

#[test]
fn effect_on_a_player_arrives_once_while_players_cross_borders_or_is_returned() {
    for (simulations, seed) in [(2, 1), (4, 2), (4, 3)] {
        let mut process = Process::new(&chessboard(simulations), CONFIG, seed);
        let tick_while = |process: &mut Process, is_sending, ticks| {
            process.each(|world| world.resource_mut::<Notes>().is_sending = is_sending);
            for _ in 0..ticks {
                let frames = process.tick();
                process.check(&frames);
            }
        };
        tick_while(&mut process, true, 40);
        // The notes of the last tick arrive in the next one, or are returned in the one after it.
        tick_while(&mut process, false, 2);
        let notes = process.each(|world| {
            let notes = world.resource::<Notes>();
            [notes.sent, notes.received, notes.returned]
        });
        let [sent, received, returned] =
            [0, 1, 2].map(|index: usize| notes.iter().map(|notes| notes[index]).sum::<u64>());
        assert_eq!(sent, received + returned, "seed {seed}: {notes:?}");
        assert!(received > 500 && returned > 500, "seed {seed}: {notes:?}");
        assert!(process.counters().players_came > 100, "seed {seed}");
    }
}

/// Returns the frames' checksums of all ticks, which do not depend on the number of threads.
fn outcome(process: &mut Process, ticks: u32) -> Vec<Vec<Checksum>> {
    (0..ticks)
        .map(|_| process.tick().iter().map(|frame| frame.checksum()).collect())
        .collect()
}

#[test]
fn simulations_on_threads_publish_the_same_frames_as_on_one_thread() {
    let ticks = 60;
    for seed in seeds(0..4, 1) {
        let partition = chessboard(4);
        let mut alone = Process::new(&partition, CONFIG, seed);
        let expected = outcome(&mut alone, ticks);
        let threads: Vec<_> = Exchange::mesh(4)
            .into_iter()
            .map(|exchange| {
                let partition = partition.clone();
                thread::spawn(move || {
                    let is_first = exchange.me() == SimulationId(0);
                    let (mut app, mut worker) = app(exchange, partition, CONFIG, seed);
                    let protocol = app.world().resource::<Protocol>().clone();
                    let mut crowd = Crowd {
                        seed,
                        protocol,
                        sessions: BTreeMap::new(),
                        joined: 0,
                    };
                    let mut sums = Vec::new();
                    for tick in 1..=ticks {
                        if is_first {
                            crowd.act(Tick(tick), &mut worker);
                        }
                        tick_once(&mut app, TICK * tick);
                        while worker.frame().is_some() {}
                        sums.push(app.world().resource::<Frames>().0.newest().unwrap().checksum());
                    }
                    sums
                })
            })
            .collect();
        for (simulation, thread) in threads.into_iter().enumerate() {
            let sums = thread.join().unwrap();
            let expected: Vec<_> = expected.iter().map(|sums| sums[simulation]).collect();
            assert_eq!(sums, expected, "seed {seed}, simulation {simulation}");
        }
    }
}

#[test]
fn a_player_near_a_border_is_in_the_frames_of_both_simulations() {
    let mut process = Process::new(&Partition::stripes(2, 1.0, SIDE), CONFIG, 8);
    for _ in 0..60 {
        let frames = process.tick();
        for &key in process.crowd.sessions.keys() {
            let rows: Vec<_> = frames
                .iter()
                .filter_map(|frame| frame.players.get(key.worker, key.session))
                .collect();
            let acting = rows.iter().find(|row| row.entity.is_some()).unwrap();
            // Every row is of the same player. One that sees across the border is in both frames in all ticks
            // but the one in which it joined.
            assert!(
                rows.iter()
                    .all(|row| row.player == acting.player && row.radius == 6.0)
            );
            let age = process.crowd.sessions[&key].1;
            if acting.eye.x.abs() < 4.0 && age > 2 {
                assert_eq!(rows.len(), 2, "tick {}: {:?}", process.tick, acting.eye);
            }
        }
    }
}

#[test]
fn balancing_moves_cells_until_loads_are_even_and_partitions_stay_equal() {
    let config = SimulationsConfig {
        balance_ticks: 4,
        margin: 0.25,
        ..CONFIG
    };
    // The first stripe contains all entities.
    let mut process = Process::new(&Partition::stripes(4, 1.0, SIDE * 8.0), config, 5);
    for _ in 0..300 {
        let frames = process.tick();
        process.check(&frames);
        let partitions = process.each(|world| world.resource::<Simulations>().partition().clone());
        assert!(partitions.windows(2).all(|pair| pair[0] == pair[1]));
    }
    process.check_end();
    let counts = process.each(|world| world.query::<&Replicated>().iter(world).count());
    let most = *counts.iter().max().unwrap();
    let mean = counts.iter().sum::<usize>() / counts.len();
    assert!(most * 100 < mean * 150, "{counts:?}");
    assert!(process.counters().cells_moved > 10);
}
