//! A whole simulation as one group of plugins, for the server, the simulator and tests.
//!
//! Owns the choice of plugins and their order. Guarantees nothing of its own. Refuses sockets and clocks: the
//! links to the net workers and the time are passed in.

mod meter;

use std::num::NonZeroU32;
use std::sync::Arc;

use bevy_app::{PluginGroup, PluginGroupBuilder};
use throng_shared::protocol::ids::SimulationId;
use throng_shared::tick::Tick;

pub(crate) use meter::MeterPlugin;

use crate::input::ReceivePlugin;
use crate::observe::ServerStats;
use crate::runner::{Clock, RunnerPlugin, Shutdown};
use crate::schedule::SchedulePlugin;
use crate::simulation::SimulationPlugin;

/// One simulation, to which a game adds its plugins. The net workers' links are a resource that is inserted
/// separately.
pub struct ServerPlugins {
    /// The tick rate, in ticks a second.
    pub tick_rate_hz: NonZeroU32,
    /// The clock that paces the loop and that meters read.
    pub clock: Clock,
    /// The flag that ends the loop.
    pub shutdown: Shutdown,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Number of threads for parallel systems. With 0 or 1 there are none besides the simulation's own.
    pub threads: usize,
    /// The number of this simulation in the process.
    pub simulation: SimulationId,
    /// The figures to which ticks are reported.
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
