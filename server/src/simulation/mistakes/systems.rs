//! What the systems of a schedule can read and write, as far as Bevy says.

use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::query::FilteredAccessSet;
use bevy_ecs::schedule::{InternedScheduleLabel, Schedule};
use bevy_ecs::system::System;

/// The crates whose own systems are not a game's.
const ENGINE: [&str; 3] = ["throng_server", "throng_client", "throng_shared"];

/// A system of a game, and what it may access.
pub(super) struct GameSystem {
    pub(super) name: String,
    pub(super) schedule: String,
    access: Access,
}

enum Access {
    /// The parameters of the system name what it accesses.
    Known(FilteredAccessSet),
    /// The system has the whole world, or its schedule was built before.
    Unknown,
}

impl GameSystem {
    /// Returns whether the system has a query that writes this component.
    pub(super) fn writes(&self, component: WorldComponentId) -> bool {
        matches!(&self.access, Access::Known(access) if access.combined_access().has_write(component))
    }

    /// Returns whether the system has a query that reads or writes this component.
    pub(super) fn reads(&self, component: WorldComponentId) -> bool {
        matches!(&self.access, Access::Known(access) if access.combined_access().has_read(component))
    }

    /// Returns whether the system can write anything, and its parameters do not say what.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.access, Access::Unknown)
    }
}

/// Returns the systems of a schedule that are not the engine's. A system that issues commands occurs twice: by its
/// queries, and as one that can write anything.
pub(super) fn systems_of(world: &mut World, label: InternedScheduleLabel) -> Vec<GameSystem> {
    let listed = world.try_schedule_scope(label, |world, schedule| {
        let mut found = built_systems(schedule);
        let graph = schedule.graph_mut();
        let keys: Vec<_> = graph.systems.iter().map(|(key, ..)| key).collect();
        for key in keys {
            let Some(system) = graph.systems.get_mut(key) else {
                continue;
            };
            let name = system.name().to_string();
            if is_engine(&name) {
                continue;
            }
            if system.is_exclusive() {
                found.extend(open_system(&name, label));
                continue;
            }
            // The schedule initializes it again when it is built, with the same parameters. Before, a system does not know
            // whether it has commands.
            let access = Access::Known(system.initialize(world));
            if system.has_deferred() {
                found.extend(open_system(&name, label));
            }
            found.push(GameSystem {
                name,
                schedule: format!("{label:?}"),
                access,
            });
        }
        found
    });
    // A game need not have the schedule.
    listed.unwrap_or_default()
}

/// Returns the systems of a schedule that was built, of which the parameters are not known any more.
fn built_systems(schedule: &Schedule) -> Vec<GameSystem> {
    let systems = schedule.systems().into_iter().flatten();
    let names = systems.map(|(_, system)| system.name().to_string());
    let label = schedule.label();
    names
        .filter(|name| !is_engine(name))
        .filter_map(|name| open_system(&name, label))
        .collect()
}

/// Returns a system that can write anything, unless it is Bevy's, which writes no component of a game.
fn open_system(name: &str, label: InternedScheduleLabel) -> Option<GameSystem> {
    (!name.trim_start_matches('<').starts_with("bevy_")).then(|| GameSystem {
        name: name.to_owned(),
        schedule: format!("{label:?}"),
        access: Access::Unknown,
    })
}

fn is_engine(name: &str) -> bool {
    // A closure in a trait's method has a path that begins with `<`.
    let path = name.trim_start_matches('<');
    ENGINE.contains(&path.split("::").next().unwrap_or(path))
}
