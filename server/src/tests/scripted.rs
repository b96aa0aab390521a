//! A world with players that runs tick by tick, for tests that compare two runs of it.
//!
//! One seed decides when the players join, steer, stop sending for a while, leave, lose their connection, and come
//! back, before the end of the old session or after it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::boundary::claims::PlayerName;
use crate::boundary::frame::Frame;
use crate::boundary::link::{LeaveReason, LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use crate::observe::ServerStats;
use crate::plugins::ServerPlugins;
use crate::runner::{Clock, Shutdown, TickTime, finish_plugins, tick_late};
use crate::simulation::{Frames, Linger, Seed, WorkerLinks};
use crate::tests::walkers::{Steer, Walkers};

const TICK: Duration = Duration::from_millis(50);
/// Time for which players linger.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// Largest number of players at a time.
const PLAYERS: usize = 40;

/// An app and its players.
pub(crate) struct ScriptedSimulation {
    pub(crate) app: App,
    worker: WorkerLink,
    script: Script,
}

/// The players that are connected, and the seed of what they do.
#[derive(Clone)]
pub(crate) struct Script {
    seed: u64,
    /// Each session and its client.
    sessions: Vec<(SessionKey, u32)>,
    /// Clients that lost their connection. Some were away for too long.
    lost: Vec<u32>,
    next_index: u32,
}

/// Builds the app of a world, and returns it with one worker's end of its link. `extend` may add to the app before
/// its plugins are finished.
fn app(world: Walkers, seed: u64, extend: impl FnOnce(&mut App)) -> (App, WorkerLink) {
    let mut app = App::new();
    app.add_plugins(ServerPlugins {
        tick_rate_hz: NonZeroU32::new(20).unwrap(),
        clock: Clock::default(),
        shutdown: Shutdown::default(),
        seed,
        threads: 1,
        simulation: SimulationId(0),
        stats: Arc::new(ServerStats::new(1, 20)),
    })
    .add_plugins(world);
    let (near, worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    app.insert_resource(WorkerLinks::new(vec![near]))
        .insert_resource(Linger(LINGER));
    extend(&mut app);
    finish_plugins(&mut app);
    (app, worker)
}

impl ScriptedSimulation {
    /// Creates a simulation that has not run a tick yet.
    pub(crate) fn new(world: Walkers, seed: u64, extend: impl FnOnce(&mut App)) -> Self {
        let script = Script {
            seed,
            sessions: Vec::new(),
            lost: Vec::new(),
            next_index: 0,
        };
        Self::with_script(world, seed, script, extend)
    }

    /// Creates a simulation in a new app that continues the players of `script`.
    pub(crate) fn with_script(
        world: Walkers,
        seed: u64,
        script: Script,
        extend: impl FnOnce(&mut App),
    ) -> Self {
        let (app, worker) = app(world, seed, extend);
        Self { app, worker, script }
    }

    pub(crate) fn script(&self) -> Script {
        self.script.clone()
    }

    pub(crate) fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// Runs the next tick with what the players do in it.
    pub(crate) fn tick(&mut self) -> Arc<Frame> {
        self.tick_late(Duration::ZERO, 0)
    }

    /// Runs the next tick `late` after it was due and after `skipped` tick numbers.
    pub(crate) fn tick_late(&mut self, late: Duration, skipped: u32) -> Arc<Frame> {
        let tick = (self.app.world().resource::<TickTime>().tick + skipped).next();
        let due_at = TICK * tick.0;
        let protocol = self.app.world().resource::<Protocol>().clone();
        self.script.act(tick, due_at + late, &protocol, &mut self.worker);
        tick_late(&mut self.app, due_at, due_at + late, skipped);
        while self.worker.frame().is_some() {}
        while self.worker.pop().is_some() {}
        Arc::clone(self.app.world().resource::<Frames>().0.newest().unwrap())
    }

    /// Runs ticks and returns the newest frame.
    pub(crate) fn run(&mut self, ticks: u32) -> Arc<Frame> {
        (1..ticks).for_each(|_| drop(self.tick()));
        self.tick()
    }
}

impl Script {
    fn is_free(&self, index: u32) -> bool {
        self.sessions.iter().all(|(key, _)| key.session.index != index)
    }

    fn act(&mut self, tick: Tick, now: Duration, protocol: &Protocol, worker: &mut WorkerLink) {
        let mut chance = Seed(self.seed).of(GlobalId(u64::MAX), tick);
        if self.sessions.len() < PLAYERS && chance.within(0.0, 1.0) < 0.5 {
            let session = SessionId {
                index: (0..).find(|&index| self.is_free(index)).unwrap(),
                generation: self.next_index,
            };
            let key = SessionKey { worker: 0, session };
            self.next_index += 1;
            let client = match chance.bits() % 4 {
                0 => self.lost.pop(),
                1 => self.sessions.last().map(|&(_, client)| client),
                _ => None,
            };
            let client = client.unwrap_or(self.next_index);
            let replaced = self.sessions.iter().position(|&(_, other)| other == client);
            worker.announce(ToSimulation::Joined {
                key,
                client_id: client.into(),
                number: self.next_index.into(),
                name: PlayerName::new(&format!("player {}", self.next_index)).unwrap(),
                kind: PeerKind::Throng,
                at: now,
            });
            if let Some(place) = replaced {
                let (key, _) = self.sessions.remove(place);
                let reason = LeaveReason::Replaced;
                worker.announce(ToSimulation::Left { key, reason });
            }
            self.sessions.push((key, client));
        }
        if !self.sessions.is_empty() && chance.within(0.0, 1.0) < 0.1 {
            let place = chance.bits() as usize % self.sessions.len();
            let (key, client) = self.sessions.remove(place);
            let reason = match chance.bits() % 2 {
                0 => LeaveReason::Client,
                _ => LeaveReason::TimedOut,
            };
            if reason == LeaveReason::TimedOut {
                self.lost.push(client);
            }
            worker.announce(ToSimulation::Left { key, reason });
        }
        for (place, &(key, _)) in self.sessions.iter().enumerate() {
            // Up to three ticks ahead, so that inputs wait in buffers; and sometimes nothing for a while.
            if (tick.0 / 10 + place as u32).is_multiple_of(5) {
                continue;
            }
            let turn = chance.within(-1.0, 1.0);
            let thrust = chance.within(-1.0, 1.0);
            let ahead = chance.bits() as u32 % 4;
            let bytes = protocol.encode_input(&Steer { turn, thrust }).unwrap();
            worker.input(ToSimulation::Input {
                key,
                tick: tick + ahead,
                view: None,
                arrived_at: now,
                bytes,
            });
        }
    }
}
