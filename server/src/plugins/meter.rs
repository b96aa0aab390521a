//! The systems of `Meter`, which store the simulation's figures where other threads read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::SimulationId;

use crate::http::audit::AuditSink;
use crate::input::InputCounters;
use crate::observe::{ServerStats, SimulationReport};
use crate::runner::{RunnerCounters, TickTime};
use crate::schedule::{ServerSystems, TickTimings};
use crate::simulation::{Areas, Frames, Players, Routing, Slots, Space};
use crate::simulations::Simulations;

/// Reports every tick to the figures, and every frame to the audit if there is one. Of several simulations,
/// the ticks of the first one count as the process's.
pub(crate) struct MeterPlugin {
    /// The figures to which ticks are reported.
    pub stats: Arc<ServerStats>,
    /// The number of this simulation in the process.
    pub simulation: SimulationId,
}

#[derive(Resource)]
struct Meter {
    stats: Arc<ServerStats>,
    is_first: bool,
    figures: Arc<SimulationFigures>,
}

impl Plugin for MeterPlugin {
    fn build(&self, app: &mut App) {
        let figures = Arc::new(SimulationFigures::default());
        self.stats.set_simulation(self.simulation.0, figures.clone());
        app.insert_resource(Meter {
            stats: Arc::clone(&self.stats),
            is_first: self.simulation == SimulationId(0),
            figures,
        });
        app.add_systems(
            FixedUpdate,
            (report_tick, report_simulation, offer_frame)
                .chain()
                .in_set(ServerSystems::Meter),
        );
    }
}

fn report_tick(
    meter: Res<Meter>,
    time: Res<TickTime>,
    timings: Res<TickTimings>,
    runner: Res<RunnerCounters>,
) {
    let stats = &meter.stats;
    for phase in ServerSystems::ORDER {
        stats.phase_ended(phase, timings[phase]);
    }
    if !meter.is_first {
        return stats.peer_simulation_ticked(timings.total());
    }
    stats.tick_ended(time.tick.0, timings.total());
    // The runner counts a tick's overrun after the tick, so that these figures are one tick late.
    stats.set_overruns(runner.overruns(), runner.skipped());
}

fn report_simulation(
    meter: Res<Meter>,
    inputs: Res<InputCounters>,
    space: Res<Space>,
    areas: Res<Areas>,
    slots: Res<Slots>,
    players: Res<Players>,
    routing: Res<Routing>,
    simulations: Option<Res<Simulations>>,
) {
    let routes = routing.counters();
    let cells = space.0.hash().counters();
    let crossed = simulations
        .as_ref()
        .map(|simulations| simulations.counters())
        .unwrap_or_default();
    let beyond = simulations.as_ref().map_or((0, 0), |simulations| {
        (simulations.ghosts(), simulations.watchers())
    });
    if let Some(simulations) = &simulations {
        simulations
            .underway()
            .iter()
            .for_each(|&took| meter.stats.migrated(took));
    }
    // All simulations move the same cells, but figures are summed over them. Only the first one reports the
    // moves.
    let cells_moved = if meter.is_first { crossed.cells_moved } else { 0 };
    meter.figures.store([
        slots.len() as u64,
        slots.refused(),
        players.len() as u64,
        space.0.mover_count() as u64,
        space.0.hash().leaf_count() as u64,
        cells.splits,
        cells.merges,
        areas.0.len() as u64,
        areas.0.built(),
        inputs.kept,
        inputs.late,
        inputs.early,
        inputs.duplicate,
        inputs.stray,
        inputs.repeated,
        inputs.neutral,
        inputs.views_limited,
        inputs.messages_refused,
        routes.entered - routes.removed,
        routes.refused,
        crossed.emigrated,
        crossed.immigrated,
        crossed.players_came,
        crossed.effects_applied,
        crossed.failed,
        cells_moved,
        beyond.0 as u64,
        beyond.1 as u64,
    ]);
}

fn offer_frame(sink: Option<ResMut<AuditSink>>, frames: Res<Frames>) {
    if let (Some(mut sink), Some(frame)) = (sink, frames.0.newest()) {
        sink.offer(frame);
    }
}

/// The names of the figures, in the order in which [`report_simulation`] stores them.
const NAMES: [&str; 28] = [
    "entities",
    "entities_refused",
    "players",
    "movers",
    "cells",
    "cell_splits",
    "cell_merges",
    "areas",
    "areas_built",
    "inputs_kept",
    "inputs_late",
    "inputs_early",
    "inputs_duplicate",
    "inputs_stray",
    "inputs_repeated",
    "inputs_neutral",
    "views_limited",
    "messages_refused",
    "avatars_routed",
    "avatars_unrouted",
    "emigrated",
    "immigrated",
    "players_immigrated",
    "effects_applied",
    "migrations_failed",
    "cells_moved",
    "ghosts",
    "watchers",
];

/// The simulation's counters and gauges as of the newest tick, readable from any thread.
#[derive(Debug, Default)]
pub(super) struct SimulationFigures([AtomicU64; NAMES.len()]);

impl SimulationFigures {
    fn store(&self, values: [u64; NAMES.len()]) {
        for (figure, value) in self.0.iter().zip(values) {
            figure.store(value, Relaxed);
        }
    }
}

impl SimulationReport for SimulationFigures {
    fn figures(&self) -> Vec<(&'static str, u64)> {
        NAMES
            .iter()
            .zip(&self.0)
            .map(|(&name, value)| (name, value.load(Relaxed)))
            .collect()
    }
}
