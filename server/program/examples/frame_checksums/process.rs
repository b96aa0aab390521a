//! The simulations of one process, in lockstep on one thread: builds and runs them, and sends them what workers send.
//!
//! Nearly all of the engine's interface that this program uses is used here.

use std::num::NonZeroU32;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use serde::Serialize;
use skirmish_server::SkirmishPlugin;
use skirmish_shared::components::{Score, Ship};
use throng_scenes::{Scene, ScenePlugin};
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::{
    LeaveReason, LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link,
};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_once};
use throng_server::simulation::{Player, SimulationPlugin, WorkerLinks};
use throng_server::simulations::{Cell, Exchange, MapShape, Simulations, SimulationsPlugin, send_batch};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::input::{PlayerInput, ViewTick};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::digest::Digest;
use crate::{CheckedGame, Counts, TICK};

/// The simulations, each with the worker's end of its link.
pub(crate) struct Process {
    simulations: Vec<(App, WorkerLink)>,
    pub(crate) protocol: Protocol,
    /// The tick that ran last.
    pub(crate) tick: Tick,
    pub(crate) digest: Digest,
    messages: u64,
}

impl Process {
    pub(crate) fn new(game: CheckedGame) -> Self {
        let mut apps: Vec<_> = (0..game.simulations)
            .map(|n| simulation(game, SimulationId(n)))
            .collect();
        if apps.len() > 1 {
            share_world(&mut apps);
        }
        let linked = apps.into_iter().zip(0..).map(|(mut app, n)| {
            let (near, worker) = link(SimulationId(n), 0, &LinkConfig::default(), Arc::new(|| {}));
            app.insert_resource(WorkerLinks::new(vec![near]));
            finish_plugins(&mut app);
            (app, worker)
        });
        let simulations: Vec<_> = linked.collect();
        Self {
            protocol: simulations[0].0.world().resource::<Protocol>().clone(),
            simulations,
            tick: Tick(0),
            digest: Digest::default(),
            messages: 0,
        }
    }

    /// Runs a tick and returns the frames of all simulations.
    pub(crate) fn tick(&mut self) -> Vec<Arc<Frame>> {
        self.tick = self.tick.next();
        if self.simulations.len() > 1 {
            for (app, _) in &mut self.simulations {
                send_batch(app.world_mut());
            }
        }
        let mut frames = Vec::new();
        for (app, worker) in &mut self.simulations {
            tick_once(app, TICK * self.tick.0);
            let frame = worker.frame().expect("every tick publishes a frame");
            self.digest.mix_frame(&frame, &self.protocol);
            while let Some((_, sent)) = worker.pop() {
                self.messages += 1;
                self.digest.mix_sent(&sent, &frame);
            }
            frames.push(frame);
        }
        frames
    }

    /// Sends a value to the first simulation, as a worker does. It passes on what is for another simulation.
    fn send(&mut self, value: ToSimulation) {
        self.simulations[0].1.announce(value);
    }

    /// Adds a session. Some ask for a name that is taken, and some are stock renet peers, which do not play.
    pub(crate) fn join(&mut self, session: SessionId) {
        let name = format!("Pilot {}", session.index % 50);
        self.send(ToSimulation::Joined {
            key: key(session),
            client_id: u64::from(session.index) + 1,
            number: 1,
            name: PlayerName::new(&name).expect("it is short"),
            kind: match session.index % 20 {
                19 => PeerKind::Renet,
                _ => PeerKind::Throng,
            },
            at: TICK * self.tick.0,
        });
    }

    pub(crate) fn leave(&mut self, session: SessionId) {
        let (key, reason) = (key(session), LeaveReason::Client);
        self.send(ToSimulation::Left { key, reason });
    }

    /// Sends a player's input for `tick`; the player saw the world as it was at `view`.
    pub(crate) fn input(
        &mut self,
        session: SessionId,
        tick: Tick,
        view: Option<ViewTick>,
        input: &impl PlayerInput,
    ) {
        let bytes = self.protocol.encode_input(input).expect("it is registered");
        self.send(ToSimulation::Input {
            key: key(session),
            tick,
            view,
            arrived_at: TICK * self.tick.0 + TICK * (session.index % 4) / 4,
            bytes,
        });
    }

    pub(crate) fn message<M: Serialize + Send + Sync + 'static>(&mut self, session: SessionId, message: &M) {
        let mut bytes = Vec::new();
        let channel = self.protocol.encode_message(message, &mut bytes);
        self.send(ToSimulation::Message {
            key: key(session),
            channel: channel.expect("it is registered").id(),
            bytes: Bytes::from(bytes),
        });
    }

    /// Counts what happened so far. Scores are summed over the players that are connected.
    pub(crate) fn count(&mut self, frames: &[Arc<Frame>]) -> Counts {
        let mut counts = Counts::from([("messages", self.messages)]);
        let mut add = |name, count: u64| *counts.entry(name).or_default() += count;
        for frame in frames {
            let players = frame.players.iter().map(|(_, player)| player);
            let acting = players.filter(|player| player.is_local && self.tick.since(player.last_input) < 10);
            add("players acting", acting.count() as u64);
            add("entities", frame.rows().count() as u64);
        }
        for (app, _) in &mut self.simulations {
            let world = app.world_mut();
            for score in world.query_filtered::<&Score, With<Player>>().iter(world) {
                add("ships lost", score.deaths.into());
                add("kills", u64::from(score.kills) + u64::from(score.drones));
                add("ore sold", score.ore.into());
            }
            let mut ships = world.query::<&Ship>();
            let bought = ships.iter(world).filter(|ship| ship.class > 0);
            add("ships bought", bought.count() as u64);
            let crossed = world
                .get_resource::<Simulations>()
                .map(Simulations::counters)
                .unwrap_or_default();
            add("entities crossed", crossed.immigrated);
            add("players crossed", crossed.players_came);
            add("effects", crossed.effects_applied);
            add("failed to cross", crossed.failed);
        }
        counts
    }
}

fn key(session: SessionId) -> SessionKey {
    SessionKey { worker: 0, session }
}

/// Builds the app of one simulation, without links to workers.
fn simulation(game: CheckedGame, simulation: SimulationId) -> App {
    let mut app = App::new();
    app.add_plugins((
        SimulationPlugin {
            simulation,
            seed: game.seed,
            threads: game.threads,
            start: Tick(0),
        },
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::MIN.saturating_add(19),
            clock: Clock::default(),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
    ));
    if game.is_skirmish {
        app.add_plugins(SkirmishPlugin::new(2_000, 5_000));
    } else {
        let (entities, visible) = (1_000, 60);
        app.add_plugins(ScenePlugin(Scene::Crowd { entities, visible }));
    }
    app
}

/// Divides the world like a chessboard, so that there are borders wherever something happens.
fn share_world(apps: &mut [App]) {
    let simulations = apps.len() as u8;
    let shape = *apps[0].world().resource::<MapShape>();
    let (mut partition, config) = shape.divide(simulations);
    for (x, y) in (-8..8_i32).flat_map(|x| (-8..8).map(move |y| (x, y))) {
        let owner = (x + y).rem_euclid(i32::from(simulations)) as u8;
        partition.assign(Cell { x, y }, SimulationId(owner));
    }
    for (app, exchange) in apps.iter_mut().zip(Exchange::mesh(simulations)) {
        app.add_plugins(SimulationsPlugin::new(exchange, partition.clone(), config));
    }
}
