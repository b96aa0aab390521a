//! The scenes' frames, in virtual time.

mod checkpoints;
mod determinism;
mod ownership;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use throng_server::ServerPlugins;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::{
    LeaveReason, LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link,
};
use throng_server::observe::ServerStats;
use throng_server::runner::{Clock, Shutdown, TickTime, finish_plugins, tick_once};
use throng_server::simulation::{Frames, Seed, WorkerLinks};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::protocol::SteerInput;
use crate::{Scene, ScenePlugin};

const TICK: Duration = Duration::from_millis(50);

/// A scene with the worker's end of its link, ticked by hand at 20 Hz.
struct Harness {
    app: App,
    worker: WorkerLink,
}

impl Harness {
    fn new(scene: Scene, seed: u64, threads: usize) -> Self {
        let mut app = App::new();
        app.add_plugins(ServerPlugins {
            tick_rate_hz: NonZeroU32::new(20).unwrap(),
            clock: Clock::default(),
            shutdown: Shutdown::default(),
            seed,
            threads,
            simulation: SimulationId(0),
            stats: Arc::new(ServerStats::new(1, 20)),
        })
        .add_plugins(ScenePlugin(scene));
        let (near, worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
        app.insert_resource(WorkerLinks::new(vec![near]));
        finish_plugins(&mut app);
        Self { app, worker }
    }

    fn tick(&mut self) -> Arc<Frame> {
        let now = self.now();
        tick_once(&mut self.app, now);
        while self.worker.frame().is_some() {}
        while self.worker.pop().is_some() {}
        Arc::clone(self.app.world().resource::<Frames>().0.newest().unwrap())
    }

    fn now(&self) -> Duration {
        TICK * self.app.world().resource::<TickTime>().tick.0
    }

    /// Returns the tick that [`Harness::tick`] runs next.
    fn next(&self) -> Tick {
        self.app.world().resource::<TickTime>().tick.next()
    }

    fn join(&mut self, index: u32) -> SessionKey {
        let session = SessionId { index, generation: 0 };
        self.join_as(session, PeerKind::Throng)
    }

    fn join_as(&mut self, session: SessionId, kind: PeerKind) -> SessionKey {
        let key = SessionKey { worker: 0, session };
        let (name, at) = (PlayerName::default(), self.now());
        let client_id = u64::from(session.index);
        self.worker.announce(ToSimulation::Joined {
            key,
            client_id,
            number: 1,
            name,
            kind,
            at,
        });
        key
    }

    fn leave(&mut self, key: SessionKey) {
        let reason = LeaveReason::Client;
        self.worker.announce(ToSimulation::Left { key, reason });
    }

    fn steer(&mut self, key: SessionKey, input: SteerInput) {
        let (tick, arrived_at) = (self.next(), self.now());
        let protocol = self.app.world().resource::<Protocol>();
        let bytes = protocol.encode_input(&input).unwrap();
        let view = None;
        self.worker.input(ToSimulation::Input {
            key,
            tick,
            view,
            arrived_at,
            bytes,
        });
    }

    /// Sends the players' inputs for the next tick: most steer, and now and then one of them leaves.
    fn play(&mut self, keys: &mut Vec<SessionKey>, seed: u64) {
        let tick = self.next();
        for (index, &key) in keys.iter().enumerate() {
            let mut random = Seed(seed).of(GlobalId(u64::MAX - index as u64), tick);
            let input = SteerInput {
                turn: random.within(-1.0, 1.0),
                thrust: random.within(-1.0, 1.0),
            };
            if random.within(0.0, 1.0) < 0.9 {
                self.steer(key, input);
            }
        }
        if tick.0.is_multiple_of(8) {
            let key = keys.swap_remove(seed as usize % keys.len());
            self.leave(key);
        }
    }
}
