//! The game on several simulations: nothing is lost at a border, and shots cross it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use glam::Vec2;
use skirmish_shared::chat::{ChatChannel, ChatLine, Say};
use skirmish_shared::components::{Callsign, Cargo, Credits, Hull, Ore, Score, Shield};
use skirmish_shared::standings::Standings;
use throng_seeds::seeds;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::{
    LinkConfig, PeerKind, SessionKey, ToSimulation, ToWorker, WorkerLink, link,
};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_once};
use throng_server::simulation::{Avatar, Frames, Ghost, Player, Replicated, SimulationPlugin, WorkerLinks};
use throng_server::simulations::{
    Cell, Exchange, MapShape, Partition, Simulations, SimulationsConfig, SimulationsCounters,
    SimulationsPlugin, send_batch,
};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Channel, ChannelId, SimulationId, TeamId};
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::{FromPlayer, Protocol};
use throng_shared::tick::Tick;

use super::TICK;
use crate::SkirmishPlugin;
use crate::components::{Helm, Pilot};
use crate::content::Rules;
use crate::crafts::Loadout;
use crate::mining::{OreLedger, rock};

/// Simulations of one process, on one thread.
pub(super) struct Process {
    pub(super) apps: Vec<(App, WorkerLink)>,
    pub(super) tick: Tick,
    /// Messages to single players in the last tick, with the index of the sending simulation.
    received: Vec<(usize, SessionKey, ChannelId, Bytes)>,
}

impl Process {
    pub(super) fn new(partition: &Partition, margin: f32, seed: u64, drones: u32, asteroids: u32) -> Self {
        let apps = Exchange::mesh(partition.simulations())
            .into_iter()
            .map(|exchange| {
                let simulation = exchange.me();
                let mut app = App::new();
                app.add_plugins((
                    SimulationPlugin {
                        simulation,
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
                let (_, config) = app.world().resource::<MapShape>().divide(2);
                let config = SimulationsConfig {
                    margin,
                    balance_ticks: 0,
                    ..config
                };
                app.add_plugins(SimulationsPlugin::new(exchange, partition.clone(), config));
                let (near, worker) = link(simulation, 0, &LinkConfig::default(), Arc::new(|| {}));
                app.insert_resource(WorkerLinks::new(vec![near]));
                finish_plugins(&mut app);
                (app, worker)
            });
        Self {
            apps: apps.collect(),
            tick: Tick(0),
            received: Vec::new(),
        }
    }

    pub(super) fn tick(&mut self) -> Vec<Arc<Frame>> {
        self.tick = self.tick.next();
        for (app, _) in &mut self.apps {
            send_batch(app.world_mut());
        }
        self.received.clear();
        for (index, (app, worker)) in self.apps.iter_mut().enumerate() {
            tick_once(app, TICK * self.tick.0);
            while worker.frame().is_some() {}
            while let Some((_, value)) = worker.pop() {
                if let ToWorker::Message { key, channel, bytes } = value {
                    self.received.push((index, key, channel, bytes));
                }
            }
        }
        let newest = |app: &App| Arc::clone(app.world().resource::<Frames>().0.newest().unwrap());
        self.apps.iter().map(|(app, _)| newest(app)).collect()
    }

    pub(super) fn sum(&mut self, mut read: impl FnMut(&mut World) -> u64) -> u64 {
        self.apps.iter_mut().map(|(app, _)| read(app.world_mut())).sum()
    }

    /// Returns all ore that exists, and all ore that should exist.
    fn ore(&mut self) -> (u64, u64) {
        let there = self.sum(|world| {
            let rocks: u32 = world.query::<&Ore>().iter(world).map(|ore| ore.0).sum();
            let holds: u32 = world.query::<&Cargo>().iter(world).map(|cargo| cargo.0).sum();
            u64::from(rocks) + u64::from(holds) + world.resource::<OreLedger>().sold
        });
        let mut ledgers = |read: fn(&OreLedger) -> u64| self.sum(|world| read(world.resource::<OreLedger>()));
        let underway = ledgers(|ledger| ledger.shipped) - ledgers(|ledger| ledger.landed);
        (there + underway, ledgers(|ledger| ledger.seeded))
    }

    /// Returns the sum of all pilots' credits, and the bounties that their scores have earned.
    fn credits(&mut self) -> (u64, u64) {
        let mut earned = 0;
        let credits = self.sum(|world| {
            let mut players = world.query_filtered::<(&Credits, &Score), With<Player>>();
            let space = &world.resource::<Rules>().content.space;
            let all = players.iter(world);
            all.map(|(credits, score)| {
                earned += space.bounties(score);
                u64::from(credits.0)
            })
            .sum()
        });
        (credits, earned)
    }

    /// Returns the chat lines that pilots received in the last tick, with the index of the sending simulation.
    fn received_chat(&self) -> Vec<(usize, SessionKey, ChatLine)> {
        let protocol = self.apps[0].0.world().resource::<Protocol>();
        let lines = self
            .received
            .iter()
            .filter_map(|&(index, key, channel, ref bytes)| {
                let (_, value) = protocol.decode_message(Channel::from_id(channel)?, bytes).ok()?;
                Some((index, key, value.downcast_ref::<ChatLine>()?.clone()))
            });
        lines.collect()
    }

    pub(super) fn join(&mut self, index: u32) {
        let session = SessionId { index, generation: 0 };
        self.apps[0].1.announce(ToSimulation::Joined {
            key: SessionKey { worker: 0, session },
            client_id: u64::from(index),
            number: 1,
            name: PlayerName::new("Ace").unwrap(),
            kind: PeerKind::Throng,
            at: TICK * self.tick.0,
        });
    }
}

/// Returns a partition like a chessboard with fields of `side` units. What moves changes its simulation often.
pub(super) fn chessboard(simulations: u8, side: f32) -> Partition {
    let mut partition = Partition::stripes(simulations, side, 2_400.0);
    let half = (1_200.0 / side) as i32 + 1;
    for x in -half..half {
        for y in -half..half {
            let owner = (x + y).rem_euclid(i32::from(simulations)) as u8;
            partition.assign(Cell { x, y }, SimulationId(owner));
        }
    }
    partition
}

/// Makes all pilots fly about, fire and mine.
fn fly(mut helms: Query<(&Replicated, &mut Helm), With<Pilot>>, time: Res<TickTime>) {
    for (replicated, mut helm) in &mut helms {
        helm.controls.thrust = 1.0;
        helm.controls.turn = ((replicated.global().0 + u64::from(time.tick.0 / 16)) % 3) as f32 - 1.0;
        (helm.fires, helm.mines) = (true, true);
    }
}

/// Gives every player credits early in the third tick. At the end of a tick, emigrants are packed already.
fn pay(mut players: Query<&mut Credits, With<Player>>, time: Res<TickTime>) {
    if time.tick == Tick(3) {
        players.iter_mut().for_each(|mut credits| credits.0 = 100);
    }
}

#[test]
fn ore_credits_and_entities_survive_all_borders() {
    for (simulations, seed) in seeds([(4, 2), (2, 1), (2, 3), (4, 4)], 1) {
        let mut process = Process::new(&chessboard(simulations, 12.0), 0.0, seed, 1_200, 300);
        for (app, _) in &mut process.apps {
            app.add_systems(
                bevy_app::FixedUpdate,
                (
                    pay.in_set(throng_server::schedule::ServerSystems::Input),
                    fly.after(crate::drones::think)
                        .before(crate::flight::steer_crafts)
                        .in_set(throng_server::schedule::ServerSystems::Simulate),
                ),
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
                    let twice = owners.insert(global, frame.simulation);
                    assert_eq!(twice, None, "seed {seed}, tick {tick}: {global} is in two frames");
                }
            }
            let (ore, seeded) = process.ore();
            assert_eq!(ore, seeded, "seed {seed}, tick {tick}: ore");
            let pilots = process.sum(|world| world.query::<&Player>().iter(world).count() as u64);
            assert_eq!(pilots, 20, "seed {seed}, tick {tick}: pilots");
            if tick.0 >= 3 {
                // The sum is what each player was given at the start, and the bounties of its kills since.
                let (credits, earned) = process.credits();
                assert_eq!(credits, 2_000 + earned, "seed {seed}, tick {tick}: credits");
            }
        }
        let mut counters = SimulationsCounters::default();
        process.sum(|world| {
            counters = counters.plus(world.resource::<Simulations>().counters());
            0
        });
        assert_eq!(counters.failed, 0, "seed {seed}");
        assert!(
            counters.immigrated * 20 / ticks > 1_000,
            "seed {seed}: {counters:?}"
        );
        assert!(counters.players_came > 50, "seed {seed}: {counters:?}");
        let shipped = process.sum(|world| world.resource::<OreLedger>().shipped);
        assert!(shipped > 0, "seed {seed}: no ship mined across a border");
    }
}

#[test]
fn pilots_of_all_simulations_share_one_score_board_and_chat() {
    let mut process = Process::new(&chessboard(2, 12.0), 0.0, 5, 0, 0);
    for (app, _) in &mut process.apps {
        app.add_systems(
            bevy_app::FixedUpdate,
            fly.after(crate::drones::think)
                .before(crate::flight::steer_crafts)
                .in_set(throng_server::schedule::ServerSystems::Simulate),
        );
    }
    (0..20).for_each(|index| process.join(index));
    // After the second board, all pilots have crossed borders.
    (0..90).for_each(|_| drop(process.tick()));
    let boards: Vec<_> = process
        .apps
        .iter()
        .map(|(app, _)| app.world().resource::<Standings>().clone())
        .collect();
    assert_eq!(boards[0].pilots, 20);
    assert_eq!(boards[0], boards[1]);
    let mut names: Vec<_> = boards[0].best.iter().map(|line| line.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 20, "names are unique");
    // One pilot of each simulation.
    let [speaker, listener] = [0, 1].map(|index: usize| {
        let world = process.apps[index].0.world_mut();
        let simulations = world.resource::<Simulations>();
        let (me, partition) = (simulations.me(), simulations.partition().clone());
        let mut pilots = world.query::<(Entity, &Player, &Callsign, &Avatar)>();
        let stays = |avatar: &Avatar| {
            let position = world.get::<Position>(avatar.0).unwrap().0;
            partition.owner(position) == me
        };
        let mut pilots = pilots.iter(world);
        let (entity, player, name, _) = pilots.find(|(.., avatar)| stays(avatar)).unwrap();
        (entity, player.session, name.0.clone())
    });
    let channel = ChatChannel::Tell(listener.2.to_lowercase());
    let text = "over there".to_owned();
    let message = Say { channel, text };
    let player = speaker.0;
    process.apps[0]
        .0
        .world_mut()
        .write_message(FromPlayer { player, message });
    let mut received = Vec::new();
    for _ in 0..4 {
        process.tick();
        received.extend(process.received_chat());
    }
    let listeners: Vec<_> = received.iter().map(|(_, key, _)| *key).collect();
    assert_eq!(listeners, [speaker.1, listener.1], "{received:?}");
    for (_, _, line) in &received {
        assert_eq!((&line.from, &*line.text), (&speaker.2, "over there"));
        assert_eq!(line.channel, ChatChannel::Tell(listener.2.clone()));
    }
}

/// Spawns a ship without a pilot, heading east.
pub(super) fn hulk(app: &mut App, position: Vec2, team: u8) -> Entity {
    let world = app.world_mut();
    let loadout = Loadout {
        class: 0,
        place: position,
        heading: 0.0,
        team: TeamId(team),
        protected_until: Tick(0),
    };
    let ship = loadout.ship(world.resource::<Rules>());
    world.spawn(ship).id()
}

/// Returns a ship on the western side of a border that mines a rock on the eastern side, as (process, ship, rock).
fn miner(ore: u32) -> (Process, Entity, Entity) {
    let mut process = Process::new(&Partition::stripes(2, 100.0, 2_400.0), 1.0, 1, 0, 0);
    process.tick();
    let ship = hulk(&mut process.apps[0].0, Vec2::new(-4.0, 5.0), 1);
    process.apps[0].0.world_mut().get_mut::<Helm>(ship).unwrap().mines = true;
    let east = process.apps[1].0.world_mut();
    east.resource_mut::<OreLedger>().seeded += u64::from(ore);
    let rock = east.spawn(rock(Vec2::new(5.0, 5.0), 2.0, ore)).id();
    (process, ship, rock)
}

#[test]
fn rock_beyond_a_border_is_mined_and_its_ore_arrives_once() {
    for ore in [40, 1_000] {
        let (mut process, ship, rock) = miner(ore);
        for _ in 0..300 {
            process.tick();
            assert_eq!(process.ore().0, process.ore().1, "tick {}", process.tick);
        }
        let [west, east] = [0, 1].map(|index| process.apps[index].0.world());
        let room = west.resource::<Rules>().class(0).cargo;
        let mined = ore.min(room);
        assert_eq!(west.get::<Cargo>(ship).unwrap().0, mined);
        let left = east.get::<Ore>(rock).map_or(0, |ore| ore.0);
        assert_eq!(left, ore - mined);
        let due = east.resource::<OreLedger>().due.len();
        assert_eq!(
            due,
            usize::from(left == 0),
            "a rock that is mined out is replaced"
        );
        let landed = west.resource::<OreLedger>().landed;
        assert_eq!(landed, u64::from(mined));
    }
}

#[test]
fn mined_ore_for_a_destroyed_ship_is_dropped_where_it_was_mined() {
    let (mut process, ship, rock) = miner(1_000);
    let ledger = |process: &Process, index: usize| {
        let world = process.apps[index].0.world();
        world.resource::<OreLedger>().clone()
    };
    while ledger(&process, 1).shipped == 0 {
        process.tick();
    }
    process.apps[0].0.world_mut().despawn(ship);
    (0..5).for_each(|_| drop(process.tick()));
    let shipped = ledger(&process, 1).shipped;
    assert_eq!(
        (ledger(&process, 0).landed, ledger(&process, 1).landed),
        (0, shipped)
    );
    let (ore, seeded) = process.ore();
    assert_eq!(ore, seeded);
    let world = process.apps[1].0.world_mut();
    let mut rocks = world.query::<(Entity, &Ore, &Position)>();
    let wreck = rocks.iter(world).find(|(entity, ..)| *entity != rock).unwrap();
    assert_eq!(u64::from(wreck.1.0), shipped);
    assert!(wreck.2.0.distance(Vec2::new(5.0, 5.0)) < 3.0, "{:?}", wreck.2);
}

#[test]
fn laser_hits_a_target_across_a_border_through_its_ghost() {
    let mut process = Process::new(&Partition::stripes(2, 100.0, 2_400.0), 1.0, 1, 0, 0);
    process.tick();
    let shooter = hulk(&mut process.apps[0].0, Vec2::new(-10.0, 5.0), 1);
    let target = hulk(&mut process.apps[1].0, Vec2::new(10.0, 5.0), 2);
    (0..3).for_each(|_| drop(process.tick()));
    let ghosts = process.sum(|world| world.query::<&Ghost>().iter(world).count() as u64);
    assert_eq!(ghosts, 2, "each simulation has a ghost of the other ship");
    let points = |process: &Process| {
        let world = process.apps[1].0.world();
        let hull = world.get::<Hull>(target).unwrap().now;
        (hull, world.get::<Shield>(target).unwrap().now)
    };
    let full = points(&process);
    let mut helm = process.apps[0].0.world_mut().get_mut::<Helm>(shooter).unwrap();
    (helm.fires, helm.aim) = (true, 0.0);
    (0..20).for_each(|_| drop(process.tick()));
    let after = points(&process);
    assert!(after < full, "{after:?} of {full:?}");
    let applied = process.sum(|world| world.resource::<Simulations>().counters().effects_applied);
    assert!(applied > 0);
    // Neither ship changed its simulation.
    let position = process.apps[1].0.world().get::<Position>(target).unwrap().0;
    assert!(position.x > 0.0);
}
