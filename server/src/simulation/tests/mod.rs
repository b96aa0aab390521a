//! Behaviour of the simulation, tested by its frames in virtual time.

mod ends;
mod frames;
mod players;
mod references;
mod routes;
mod sessions;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::{App, Plugin};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::tick::Tick;

use super::{Frames, SimulationPlugin};
use crate::boundary::claims::PlayerName;
use crate::boundary::frame::Frame;
use crate::boundary::link::{LinkConfig, PeerKind, SessionKey, ToSimulation, WorkerLink, link};
use crate::input::ReceivePlugin;
use crate::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_once};
use crate::simulation::WorkerLinks;

/// A simulation with the worker's end of one link, ticked by hand at 20 Hz.
struct Harness {
    app: App,
    worker: WorkerLink,
    ticks: u32,
}

const TICK: Duration = Duration::from_millis(50);

impl Harness {
    fn new(simulation: SimulationPlugin, plugins: impl Plugin) -> Self {
        let mut app = App::new();
        app.add_plugins((
            simulation,
            RunnerPlugin {
                tick_rate_hz: NonZeroU32::new(20).unwrap(),
                clock: Clock::default(),
                shutdown: Shutdown::default(),
            },
            ReceivePlugin,
            plugins,
        ));
        let (near, worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
        app.insert_resource(WorkerLinks::new(vec![near]));
        finish_plugins(&mut app);
        Self {
            app,
            worker,
            ticks: 0,
        }
    }

    fn tick(&mut self) -> Arc<Frame> {
        let now = self.now();
        tick_once(&mut self.app, now);
        self.ticks += 1;
        while self.worker.frame().is_some() {}
        Arc::clone(self.app.world().resource::<Frames>().0.newest().unwrap())
    }

    fn now(&self) -> Duration {
        TICK * self.ticks
    }

    /// Returns the tick that [`Harness::tick`] runs next, for a simulation that starts at 0.
    fn next(&self) -> Tick {
        Tick(self.ticks + 1)
    }

    fn join(&mut self, index: u32) -> SessionKey {
        let key = SessionKey {
            worker: 0,
            session: SessionId { index, generation: 0 },
        };
        let (name, at) = (PlayerName::default(), self.now());
        let kind = PeerKind::Throng;
        self.worker.announce(ToSimulation::Joined {
            key,
            client_id: u64::from(index),
            number: 1,
            name,
            kind,
            at,
        });
        key
    }
}
