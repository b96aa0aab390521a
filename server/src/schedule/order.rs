//! The order of the systems of a tick: what it lacks, in the words of the phases.
//!
//! Owns the build of `FixedUpdate` and the search for systems that are in a phase of another schedule. Guarantees that
//! a system without a place in the tick is named once, with the line to write, and not with every system that it could
//! conflict with.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::graph::Direction;
use bevy_ecs::schedule::{
    AmbiguousSystemConflictsWarning, ConflictingSystems, InternedSystemSet, NodeId, Schedule,
    ScheduleBuildError, ScheduleBuildWarning, ScheduleGraph, ScheduleLabel, SystemKey, SystemSetKey,
};
use bevy_ecs::system::System;

/// Systems and pairs of systems that one message names.
const NAMED_MAX: usize = 20;

/// What the schedule has between its phases: the systems, and the plugin that makes some of them.
const BETWEEN_PHASES: [&str; 4] = ["begin_laps", "begin_tick", "judge_tick", "SchedulePlugin"];

/// Builds the schedule of the tick.
///
/// # Errors
/// Returns what the game has to write if the systems have no order.
pub(super) fn build(world: &mut World, phases: &[InternedSystemSet]) -> Result<(), String> {
    world.schedule_scope(FixedUpdate, |world, schedule| {
        let Err(error) = schedule.initialize(world) else {
            return Ok(());
        };
        Err(match &error {
            ScheduleBuildError::Elevated(ScheduleBuildWarning::Ambiguity(
                AmbiguousSystemConflictsWarning(conflicts),
            )) => explain(conflicts, schedule.graph(), world, phases),
            _ => error.to_string(schedule.graph(), world),
        })
    })
}

/// Returns what to write for each system that has no phase, and for each pair of one phase that has no order.
fn explain(
    conflicts: &ConflictingSystems,
    graph: &ScheduleGraph,
    world: &World,
    phases: &[InternedSystemSet],
) -> String {
    let keys = keys_of(graph, phases);
    let name = |system: SystemKey| graph.systems[system].name().to_string();
    let (mut lost, mut pairs) = (BTreeSet::new(), Vec::new());
    for (one, other, components) in conflicts.iter() {
        let outside = [*one, *other].map(|system| (system, phase_of(graph, system, &keys)));
        let without = outside.iter().filter(|(_, phase)| phase.is_none());
        let without = without.map(|&(system, _)| name(system));
        lost.extend(without.filter(|name| !is_between_phases(name)));
        if let [(one, Some(phase)), (other, Some(_))] = outside {
            let names = components
                .iter()
                .filter_map(|&id| world.components().get_name(id));
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            let used = match &names[..] {
                [] => "the whole `World`".to_owned(),
                names => names.join(", "),
            };
            pairs.push(format!(
                "the systems `{}` and `{}`, both in `ServerSystems::{:?}`, use {used} and have no order: write \
                 `(one, other).chain()`, or `one.before(other)`",
                name(one),
                name(other),
                &graph.system_sets[phase],
            ));
        }
    }
    let lost = lost.iter().map(|system| {
        format!(
            "the system `{system}` is in no `ServerSystems` set, so that it has no place in the tick: add \
             `.in_set(ServerSystems::Simulate)` to it in `add_systems(FixedUpdate, ..)`"
        )
    });
    let lines: Vec<String> = lost.chain(pairs).collect();
    let mut text = "the systems of the tick have no fixed order:\n".to_owned();
    for line in lines.iter().take(NAMED_MAX) {
        let _ = writeln!(text, " - {line}");
    }
    if lines.len() > NAMED_MAX {
        let _ = writeln!(text, " - and {} more", lines.len() - NAMED_MAX);
    }
    text
}

/// A system that is in a phase, in a schedule that has none.
pub(super) struct Stray {
    pub(super) system: String,
    pub(super) schedule: String,
    pub(super) phase: String,
}

/// Returns the systems that are in a phase and not in `FixedUpdate`, up to a limit.
pub(super) fn strays(world: &World, phases: &[InternedSystemSet]) -> Vec<Stray> {
    let schedules = world.resource::<Schedules>().iter();
    let others = schedules.filter(|(_, schedule)| schedule.label() != FixedUpdate.intern());
    let mut found: Vec<Stray> = others
        .flat_map(|(_, schedule)| strays_of(schedule, phases))
        .collect();
    found.sort_by(|one, other| (&one.schedule, &one.system).cmp(&(&other.schedule, &other.system)));
    found.truncate(NAMED_MAX);
    found
}

fn strays_of(schedule: &Schedule, phases: &[InternedSystemSet]) -> Vec<Stray> {
    let graph = schedule.graph();
    let keys = keys_of(graph, phases);
    if keys.is_empty() {
        return Vec::new();
    }
    // A schedule that has run has taken the systems out of its graph.
    let built = schedule.systems().into_iter().flatten();
    let systems = graph.systems.iter().map(|(key, system, _)| (key, system));
    let named = built.chain(systems).filter_map(|(key, system)| {
        let phase = phase_of(graph, key, &keys)?;
        Some(Stray {
            system: system.name().to_string(),
            schedule: format!("{:?}", schedule.label()),
            phase: format!("{:?}", &graph.system_sets[phase]),
        })
    });
    named.collect()
}

/// Returns the keys of the phases that a schedule knows.
fn keys_of(graph: &ScheduleGraph, phases: &[InternedSystemSet]) -> Vec<SystemSetKey> {
    phases
        .iter()
        .filter_map(|&phase| graph.system_sets.get_key(phase))
        .collect()
}

/// Returns the phase of a system: the one among the sets that contain it, directly or through other sets.
fn phase_of(graph: &ScheduleGraph, system: SystemKey, phases: &[SystemSetKey]) -> Option<SystemSetKey> {
    let (mut seen, mut open) = (Vec::new(), vec![NodeId::System(system)]);
    while let Some(node) = open.pop() {
        let parents = graph
            .hierarchy()
            .graph()
            .neighbors_directed(node, Direction::Incoming);
        for set in parents.filter_map(|parent| parent.as_set()) {
            if phases.contains(&set) {
                return Some(set);
            }
            if !seen.contains(&set) {
                seen.push(set);
                open.push(NodeId::Set(set));
            }
        }
    }
    None
}

/// Returns whether a system is one of those that the schedule has between its phases, in none of them.
pub(super) fn is_between_phases(system: &str) -> bool {
    let path = system
        .trim_start_matches('<')
        .strip_prefix("throng_server::schedule::");
    path.is_some_and(|path| BETWEEN_PHASES.iter().any(|own| path.starts_with(own)))
}

/// Returns the systems of `FixedUpdate` that are in this phase, before it is built.
pub(super) fn systems_in(graph: &ScheduleGraph, phase: InternedSystemSet) -> BTreeSet<SystemKey> {
    let keys = keys_of(graph, &[phase]);
    let systems = graph.systems.iter().map(|(key, ..)| key);
    systems
        .filter(|&key| phase_of(graph, key, &keys).is_some())
        .collect()
}
