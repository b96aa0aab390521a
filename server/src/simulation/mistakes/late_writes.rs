//! Replicated components that systems write between two ticks, such as rules in `Update`.
//!
//! Bevy runs `Update` once a frame and after the tick: what a system writes there is sent a tick late, in single player
//! it is written as often as frames are drawn, and the order of unordered systems is open. Guarantees that a game without
//! such systems pays nothing. Refuses to judge a system by its parameters alone: a component has to be written on a
//! replicated entity before the log has a line.

use bevy_app::{MainScheduleOrder, RunFixedMainLoop};
use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedScheduleLabel, ScheduleLabel};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::{ComponentEntry, Protocol};

use super::super::replicated::Replicated;
use super::systems::{GameSystem, systems_of};

/// Ticks at the start of which each is checked. Later only one of [`TICKS_BETWEEN_CHECKS`] is.
const FIRST_TICKS: u32 = 64;
const TICKS_BETWEEN_CHECKS: u32 = 16;
/// Systems that one line names.
const NAMED_MAX: usize = 3;

/// Returns a replicated entity whose component was written after a change tick.
type FindWritten = Box<dyn FnMut(&World, ChangeTick) -> Option<Entity> + Send + Sync>;

/// The systems that may write between ticks, and the components that they may write.
#[derive(Default)]
pub(super) struct LateWrites {
    /// The schedules of a frame.
    schedules: Vec<InternedScheduleLabel>,
    suspects: Vec<GameSystem>,
    watched: Vec<Watched>,
    ticks: u32,
    /// The end of the last tick.
    since: ChangeTick,
}

struct Watched {
    name: &'static str,
    component: WorldComponentId,
    find: FindWritten,
}

impl LateWrites {
    /// Notes the schedules of a frame. Not in a tick, when Bevy has taken their order out of the world.
    pub(super) fn list_schedules(&mut self, world: &World) {
        if let Some(order) = world.get_resource::<MainScheduleOrder>() {
            let tick = RunFixedMainLoop.intern();
            self.schedules = order.labels.clone();
            self.schedules.retain(|&label| label != tick);
        }
    }

    /// Lists the systems outside of the tick that may write replicated components. Runs once, before the first tick.
    pub(super) fn list_suspects(&mut self, world: &mut World) {
        let watched = replicated_components(world);
        for label in std::mem::take(&mut self.schedules) {
            let systems = systems_of(world, label).into_iter();
            self.suspects.extend(
                systems
                    .filter(|system| system.is_open() || watched.iter().any(|w| system.writes(w.component))),
            );
        }
        let is_open = self.suspects.iter().any(GameSystem::is_open);
        let may_be_written = |watched: &Watched| {
            is_open
                || self
                    .suspects
                    .iter()
                    .any(|system| system.writes(watched.component))
        };
        self.watched = watched.into_iter().filter(may_be_written).collect();
    }

    /// Notes the end of a tick.
    pub(super) fn end_tick(&mut self, world: &mut World) {
        if !self.watched.is_empty() {
            self.since = world.increment_change_tick();
        }
    }

    /// Logs the components that were written since the last tick. Runs before each tick but the first.
    pub(super) fn find(&mut self, world: &World) {
        self.ticks = self.ticks.saturating_add(1);
        if self.watched.is_empty()
            || (self.ticks > FIRST_TICKS && !self.ticks.is_multiple_of(TICKS_BETWEEN_CHECKS))
        {
            return;
        }
        let Self {
            suspects,
            watched,
            since,
            ..
        } = self;
        watched.retain_mut(|watched| {
            let Some(entity) = (watched.find)(world, *since) else {
                return true;
            };
            let entity = world.get::<Replicated>(entity).copied().unwrap_or_default().global();
            let component = watched.name;
            tracing::warn!(
                %entity,
                "the replicated component {component} was written between two ticks, by {}. It is sent a tick late, and in \
                 single player the rule runs once a frame. Let it run in the tick: `add_systems(FixedUpdate, \
                 rule.in_set(ServerSystems::Simulate))`",
                describe(suspects, watched.component)
            );
            false
        });
    }
}

/// Names the systems that may have written a component: those with a query for it, else those that can write anything.
fn describe(suspects: &[GameSystem], component: WorldComponentId) -> String {
    let mut writers: Vec<_> = suspects
        .iter()
        .filter(|system| system.writes(component))
        .collect();
    if writers.is_empty() {
        writers = suspects.iter().filter(|system| system.is_open()).collect();
    }
    let names = writers.iter().take(NAMED_MAX);
    let names: Vec<_> = names
        .map(|system| format!("the system {} in `{}`", system.name, system.schedule))
        .collect();
    let more = writers.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 {
        format!(" or one of {more} more")
    } else {
        String::new()
    };
    names.join(" or ") + &more
}

/// Returns the components that clients are sent: the pose, and those of the protocol.
fn replicated_components(world: &mut World) -> Vec<Watched> {
    let entries = world
        .get_resource::<Protocol>()
        .map_or_else(Vec::new, |protocol| protocol.components().to_vec());
    let mut all = vec![
        pose::<Position>(world, "Position"),
        pose::<Velocity>(world, "Velocity"),
        pose::<Heading>(world, "Heading"),
    ];
    if world
        .get_resource::<Protocol>()
        .is_some_and(|protocol| protocol.quanta_3d().is_some())
    {
        all.extend([
            pose::<Position3d>(world, "Position3d"),
            pose::<Velocity3d>(world, "Velocity3d"),
            pose::<Rotation3d>(world, "Rotation3d"),
        ]);
    }
    all.extend(entries.iter().map(|entry| Watched {
        name: entry.name,
        component: entry.register(world),
        find: registered(entry),
    }));
    all
}

fn pose<T: Component>(world: &mut World, name: &'static str) -> Watched {
    let mut query = world.query_filtered::<(Entity, Ref<T>), With<Replicated>>();
    Watched {
        name,
        component: world.register_component::<T>(),
        find: Box::new(move |world, since| {
            let now = world.read_change_tick();
            let mut poses = query.iter(world);
            let written = poses.find(|(_, pose)| pose.last_changed().is_newer_than(since, now));
            written.map(|(entity, _)| entity)
        }),
    }
}

fn registered(entry: &ComponentEntry) -> FindWritten {
    let mut scan = entry.changes();
    Box::new(move |world, since| {
        let mut found = None;
        scan.scan(world, since, &mut |entity| entity, &mut |entity, _| {
            if found.is_none() && world.get::<Replicated>(entity).is_some() {
                found = Some(entity);
            }
        });
        found
    })
}
