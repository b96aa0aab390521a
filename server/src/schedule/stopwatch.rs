//! The time of each system of a tick, for the log of a server that is too slow for its rate.
//!
//! Bevy's executor measures nothing, so each system has a run condition that is always true and stores the time. A tick
//! within its time costs one reading of the clock for each system and no more; the times are evaluated after a tick that
//! took longer than it may. Guarantees that a system is named once. Refuses to name a system at its first slow tick: on a
//! busy machine any system can be interrupted, and a world may be built in its first tick.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{BoxedCondition, ConditionWithAccess, InternedSystemSet, SystemKey};

use super::order::{is_between_phases, systems_in};
use crate::runner::Clock;

/// Slow ticks of one system after which the log names it.
const SLOW_TICKS: u8 = 2;
/// Slow ticks without a system that takes the whole tick after which the log names the slowest systems.
const CROWDED_TICKS: u8 = 10;
/// Number of systems that are named together.
const SLOWEST: usize = 3;

/// The systems of the tick with the times at which they started.
#[derive(Resource, Default)]
pub(super) struct Stopwatch {
    /// In the order in which they run.
    systems: Vec<TimedSystem>,
    crowded_ticks: u8,
}

struct TimedSystem {
    key: SystemKey,
    name: String,
    /// Whether a long time is not the system's own: it waits for other simulations, or measures.
    is_exempt: bool,
    started_ns: Arc<AtomicU64>,
    slow_ticks: u8,
}

/// Adds the measurement to every system of the tick. For a schedule that is not built yet. `waiting` is the phase that
/// waits for other simulations.
pub(super) fn attach(world: &mut World, waiting: InternedSystemSet) {
    let clock = world.resource::<Clock>().reader();
    let systems = world.schedule_scope(FixedUpdate, |_, schedule| {
        let graph = schedule.graph_mut();
        let waiting = systems_in(graph, waiting);
        let is_sync_point = std::any::TypeId::of::<ApplyDeferred>();
        let found = graph.systems.iter();
        let mut systems: Vec<TimedSystem> = found
            .filter(|(_, system, _)| system.system_type() != is_sync_point)
            .map(|(key, system, _)| {
                let name = system.name().to_string();
                TimedSystem {
                    key,
                    is_exempt: waiting.contains(&key) || is_between_phases(&name),
                    name,
                    started_ns: Arc::default(),
                    slow_ticks: 0,
                }
            })
            .collect();
        for system in &mut systems {
            let (clock, started_ns) = (Arc::clone(&clock), Arc::clone(&system.started_ns));
            let note_start = move || {
                started_ns.store(clock().as_nanos() as u64, Relaxed);
                true
            };
            let condition: BoxedCondition = Box::new(IntoSystem::into_system(note_start));
            if let Some(conditions) = graph.systems.get_conditions_mut(system.key) {
                // Before the game's own conditions, so that their time is the system's.
                conditions.insert(0, ConditionWithAccess::new(condition));
            }
        }
        systems
    });
    world.insert_resource(Stopwatch {
        systems,
        crowded_ticks: 0,
    });
}

/// Sorts the systems in the order in which they run. For the schedule that was just built.
pub(super) fn sort(world: &mut World) {
    world.schedule_scope(FixedUpdate, |world, schedule| {
        let Ok(systems) = schedule.systems() else { return };
        let order: Vec<SystemKey> = systems.map(|(key, _)| key).collect();
        let position = |system: &TimedSystem| order.iter().position(|&key| key == system.key);
        world
            .resource_mut::<Stopwatch>()
            .systems
            .sort_by_cached_key(position);
    });
}

impl Stopwatch {
    /// Logs which systems took too long, if the tick did. `took` is the time of the whole tick, which ends `now`.
    pub(super) fn judge(&mut self, took: Duration, length: Duration, now: Duration) {
        if took >= length && !length.is_zero() {
            self.judge_slow(took, length, now);
        }
    }

    #[cold]
    fn judge_slow(&mut self, took: Duration, length: Duration, now: Duration) {
        let starts = self.systems.iter().map(|system| system.started_ns.load(Relaxed));
        let ends: Vec<u64> = starts.skip(1).chain([now.as_nanos() as u64]).collect();
        let mut times = Vec::new();
        let mut is_explained = false;
        for (system, end) in self.systems.iter_mut().zip(ends) {
            let own = Duration::from_nanos(end.saturating_sub(system.started_ns.load(Relaxed)));
            if system.is_exempt {
                continue;
            }
            times.push((Reverse(own), system.name.as_str()));
            if own < length {
                continue;
            }
            is_explained = true;
            system.slow_ticks = system.slow_ticks.saturating_add(1);
            if system.slow_ticks == SLOW_TICKS {
                let name = &system.name;
                tracing::warn!(
                    "the system {name} takes longer than a tick: {} of {}. The world stutters for all players. Let it do \
                     less in a tick, or its work in several (`TickTime::is_due`), or lower `--tick-rate`{}",
                    ms(own),
                    ms(length),
                    debug_hint()
                );
            }
        }
        if is_explained {
            return;
        }
        self.crowded_ticks = self.crowded_ticks.saturating_add(1);
        if self.crowded_ticks == CROWDED_TICKS {
            times.sort_unstable();
            let slowest = times.iter().take(SLOWEST);
            let slowest: Vec<_> = slowest
                .map(|(Reverse(own), name)| format!("{name} {}", ms(*own)))
                .collect();
            tracing::warn!(
                "the systems take longer than a tick together: {} of {}. The slowest: {}{}",
                ms(took),
                ms(length),
                slowest.join(", "),
                debug_hint()
            );
        }
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn debug_hint() -> &'static str {
    if cfg!(debug_assertions) {
        ". This is a debug build: try `--release` first"
    } else {
        ""
    }
}
