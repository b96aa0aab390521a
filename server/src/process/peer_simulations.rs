//! The simulations of one process: how each is built, and the threads of all but the first.
//!
//! An app cannot leave the thread on which it was built. So each simulation but the first is built on its own
//! thread when the server runs. Guarantees that a simulation which ends stops the others too: one alone is only a
//! part of the world.

use std::any::Any;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bevy_app::{App, Plugin, Plugins};
use throng_shared::protocol::ids::SimulationId;

use crate::config::ServerSettings;
use crate::http::audit::AuditSink;
use crate::observe::ServerStats;
use crate::plugins::ServerPlugins;
use crate::runner::{Clock, FirstTick, Shutdown};
use crate::simulation::Linger;
use crate::simulations::{Exchange, MapShape, SimulationsPlugin};
use crate::transport::{SimulationTransport, ThrongRenetPlugin};

/// The parts from which every simulation of the process is built.
#[derive(Clone)]
pub(super) struct SimulationParts<G> {
    pub(super) config: ServerSettings,
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    pub(super) stats: Arc<ServerStats>,
    /// The game's plugins; each simulation has its own copy.
    pub(super) game: G,
}

impl<G> SimulationParts<G> {
    /// Builds the first simulation, and prepares the others. Without sinks no frames are kept for audits.
    pub(super) fn build<M: 'static>(
        self,
        transport: ThrongRenetPlugin,
        sinks: Vec<AuditSink>,
    ) -> (App, PeerSimulations)
    where
        G: Plugins<M> + Clone + Send + 'static,
    {
        let simulations = self.config.simulations;
        let mut sinks = sinks.into_iter();
        let own_sink = sinks.next();
        let mut mesh = Exchange::mesh(simulations).into_iter();
        // A single simulation exchanges nothing, and runs as it would without this module.
        let own_exchange = mesh.next().filter(|_| simulations > 1);
        let mut peer_simulations = PeerSimulations::default();
        for exchange in mesh {
            peer_simulations.add(&self, exchange, transport.add_simulation(), sinks.next());
        }
        (
            self.app(SimulationId(0), own_exchange, transport, own_sink),
            peer_simulations,
        )
    }

    /// Builds the app of one simulation. Without an exchange it is the only simulation.
    fn app<M>(
        self,
        simulation: SimulationId,
        exchange: Option<Exchange>,
        transport: impl Plugin,
        sink: Option<AuditSink>,
    ) -> App
    where
        G: Plugins<M>,
    {
        let config = &self.config;
        let mut app = App::new();
        let plugins = ServerPlugins {
            tick_rate_hz: NonZeroU32::new(u32::from(config.tick_rate)).unwrap_or(NonZeroU32::MIN),
            clock: self.clock,
            shutdown: self.shutdown,
            seed: config.seed,
            threads: config.simulation_threads,
            simulation,
            stats: self.stats,
        };
        app.add_plugins(plugins)
            .insert_resource(Linger(config.linger()))
            .add_plugins(self.game)
            .add_plugins(transport);
        if let Some(exchange) = exchange {
            let shape = app
                .world()
                .get_resource::<MapShape>()
                .copied()
                .unwrap_or_default();
            let (partition, settings) = shape.divide(config.simulations);
            app.add_plugins(SimulationsPlugin::new(exchange, partition, settings));
        }
        if let Some(sink) = sink {
            app.insert_resource(sink);
        }
        app
    }
}

/// Starts a simulation on its thread. The argument is the time of the first tick.
type SimulationStart = Box<dyn FnOnce(Duration) + Send>;

/// All simulations but the first, before they start.
#[derive(Default)]
pub(super) struct PeerSimulations {
    waiting: Vec<(SimulationId, Shutdown, SimulationStart)>,
}

/// The threads of all simulations but the first.
pub(super) struct SimulationThreads(Vec<JoinHandle<Result<(), Box<dyn Any + Send>>>>);

impl PeerSimulations {
    /// Adds a simulation, which starts with [`Self::start`].
    fn add<M: 'static, G>(
        &mut self,
        parts: &SimulationParts<G>,
        exchange: Exchange,
        transport: SimulationTransport,
        sink: Option<AuditSink>,
    ) where
        G: Plugins<M> + Clone + Send + 'static,
    {
        let (simulation, parts) = (exchange.me(), parts.clone());
        let shutdown = parts.shutdown.clone();
        let run = move |first_tick| {
            let mut app = parts.app(simulation, Some(exchange), transport, sink);
            app.insert_resource(FirstTick(first_tick));
            app.run();
        };
        self.waiting.push((simulation, shutdown, Box::new(run)));
    }

    /// Starts the simulations, each on its own thread. If the system provides no thread, the server stops.
    pub(super) fn start(self, first_tick: Duration) -> SimulationThreads {
        let threads = self
            .waiting
            .into_iter()
            .filter_map(|(simulation, shutdown, run)| {
                let stop = shutdown.clone();
                let run = move || {
                    let ran = catch_unwind(AssertUnwindSafe(|| run(first_tick)));
                    // The server stops even if this thread gets no further.
                    stop.request();
                    if ran.is_err() {
                        tracing::error!(
                            simulation = simulation.0,
                            "a simulation panicked: the server stops"
                        );
                    }
                    ran
                };
                let thread = thread::Builder::new()
                    .name(format!("sim-{}", simulation.0))
                    .spawn(run);
                thread
                    .inspect_err(|error| {
                        shutdown.request();
                        tracing::error!(%error, simulation = simulation.0, "cannot start a thread: the server stops");
                    })
                    .ok()
            });
        SimulationThreads(threads.collect())
    }
}

impl SimulationThreads {
    /// Waits until all threads have ended, and resumes a panic if one panicked.
    pub(super) fn join(self) {
        let ends: Vec<_> = self.0.into_iter().map(JoinHandle::join).collect();
        for end in ends {
            if let Err(panic) | Ok(Err(panic)) = end {
                resume_unwind(panic);
            }
        }
    }
}
