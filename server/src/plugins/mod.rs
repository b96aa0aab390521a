//! A whole simulation as one group of plugins: what the server, the simulator and tests all add.
//!
//! Owns the choice of parts and their order. Guarantees nothing of its own. Refuses sockets and clocks: the
//! links to the net workers and the time come in from outside.

mod meter;

use std::num::NonZeroU32;
use std::sync::Arc;

use bevy_app::{PluginGroup, PluginGroupBuilder};
use throng_shared::protocol::ids::SimulationId;
use throng_shared::tick::Tick;

pub use meter::{MeterPlugin, SimulationFigures};

use crate::input::ReceivePlugin;
use crate::observe::ServerStats;
use crate::runner::{Clock, RunnerPlugin, Shutdown};
use crate::schedule::SchedulePlugin;
use crate::simulation::SimulationPlugin;

/// One simulation, to which a game adds its plugins. The net workers' links are a resource of their own.
pub struct ServerPlugins {
    /// Ticks a second.
    pub tick_rate_hz: NonZeroU32,
    /// The time that the loop keeps and that meters read.
    pub clock: Clock,
    /// Ends the loop.
    pub shutdown: Shutdown,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Threads for parallel systems; up to 1 means none besides the simulation's own.
    pub threads: usize,
    /// Which simulation of the process this is.
    pub simulation: SimulationId,
    /// Where the figures go.
    pub stats: Arc<ServerStats>,
}

impl PluginGroup for ServerPlugins {
    fn build(self) -> PluginGroupBuilder {
        let Self {
            tick_rate_hz,
            clock,
            shutdown,
            seed,
            threads,
            simulation,
            stats,
        } = self;
        PluginGroupBuilder::start::<Self>()
            .add(SchedulePlugin)
            .add(RunnerPlugin {
                tick_rate_hz,
                clock,
                shutdown,
            })
            .add(ReceivePlugin)
            .add(SimulationPlugin {
                simulation,
                seed,
                threads,
                start: Tick(0),
            })
            .add(MeterPlugin { stats, simulation })
    }
}
