//! The one schedule: the order of all systems in a tick.
//!
//! Owns the order of the [`ServerSystems`], the measured time of each phase, and the rules under which
//! systems run. Guarantees that every system of a tick runs on the simulation's thread in an order that the
//! code fixes: two systems of one set that conflict and are not ordered are an error when the schedule is
//! built. Nothing else in the crate configures sets. A new phase needs a variant and an entry in
//! [`ServerSystems::ORDER`]; its order, its time and its name in the statistics follow from these.

mod order;
mod stopwatch;

use std::ops::Index;
use std::time::Duration;

use bevy_app::{App, FixedFirst, FixedUpdate, Plugin};
use bevy_ecs::error::{BevyError, ErrorContext};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings, SingleThreadedExecutor};
use throng_shared::failures::{failure_to_log, set_missing_error_handler};

use crate::runner::{Clock, TickJump, TickTime};
use stopwatch::Stopwatch;

/// The phases of a tick, all in `FixedUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerSystems {
    /// Applies what the other simulations sent in their last tick: entities, effects, ghosts. Waits for them.
    /// [`TickTime`] has the number of the last tick until this phase ends.
    Exchange,
    /// Fills the [`Inbox`](crate::input::Inbox) and applies it: joins and departures of sessions, inputs,
    /// messages.
    Receive,
    /// Gives every player its input for this tick.
    Input,
    /// Runs the systems of gameplay.
    Simulate,
    /// Updates rows, cells and views from what gameplay changed.
    Index,
    /// Publishes the frame to its readers. Changes nothing that is replicated.
    Publish,
    /// Packs the tick's messages to the other simulations.
    Dispatch,
    /// Hands the inbox and the frame to the recorder, and empties the inbox.
    Record,
    /// Reports the tick's figures. The time of this phase in a report is that of the tick before.
    Meter,
}

impl ServerSystems {
    /// All phases, in the order in which they run.
    pub const ORDER: [Self; 9] = [
        Self::Exchange,
        Self::Receive,
        Self::Input,
        Self::Simulate,
        Self::Index,
        Self::Publish,
        Self::Dispatch,
        Self::Record,
        Self::Meter,
    ];

    /// Returns the phase's name in a report, in lower case.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}").to_ascii_lowercase()
    }
}

/// The time that each phase took in the last tick. Zero under a clock that stands still.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct TickTimings {
    phases: [Duration; ServerSystems::ORDER.len()],
    mark: Duration,
}

impl TickTimings {
    /// Returns the time from the start of `Receive` to the end of `Publish`: what the simulation itself
    /// costs.
    #[must_use]
    pub fn total(&self) -> Duration {
        let own = ServerSystems::Receive as usize..=ServerSystems::Publish as usize;
        self.phases[own].iter().sum()
    }

    fn begin(&mut self, clock: &Clock) {
        self.mark = clock.now();
    }

    fn end(&mut self, phase: ServerSystems, clock: &Clock) {
        let now = clock.now();
        self.phases[phase as usize] = now.saturating_sub(self.mark);
        self.mark = now;
    }
}

impl Index<ServerSystems> for TickTimings {
    type Output = Duration;

    fn index(&self, phase: ServerSystems) -> &Duration {
        &self.phases[phase as usize]
    }
}

/// Configures the sets, the executor and the handling of errors.
pub struct SchedulePlugin;

impl Plugin for SchedulePlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<TickTimings>()
            .init_resource::<Clock>()
            .init_resource::<TickTime>()
            .init_resource::<TickJump>()
            .init_resource::<Stopwatch>()
            .add_systems(FixedFirst, build_tick);
        for pair in ServerSystems::ORDER.windows(2) {
            app.configure_sets(FixedUpdate, (pair[0], pair[1]).chain());
        }
        app.edit_schedule(FixedUpdate, |schedule| {
            schedule.set_executor(SingleThreadedExecutor::new());
            schedule.set_build_settings(ScheduleBuildSettings {
                ambiguity_detection: LogLevel::Error,
                ..ScheduleBuildSettings::default()
            });
        });
        app.add_systems(
            FixedUpdate,
            (
                begin_laps.before(ServerSystems::ORDER[0]),
                begin_tick
                    .after(ServerSystems::Exchange)
                    .before(ServerSystems::Receive),
                judge_tick,
            ),
        );
        for (index, phase) in ServerSystems::ORDER.into_iter().enumerate() {
            let lap = move |mut timings: ResMut<TickTimings>, clock: Res<Clock>| timings.end(phase, &clock);
            let lap = lap.after(phase);
            match ServerSystems::ORDER.get(index + 1) {
                Some(&next) => app.add_systems(FixedUpdate, lap.before(next)),
                None => app.add_systems(FixedUpdate, lap.before(judge_tick)),
            };
        }
    }

    fn finish(&self, app: &mut App) {
        set_missing_error_handler(app, log_error);
    }
}

/// Builds the schedule of the tick, before its first run. Panics with what the game has to write if the order of its
/// systems is open.
pub(crate) fn build_tick(world: &mut World, mut is_built: Local<bool>) {
    if std::mem::replace(&mut *is_built, true) {
        return;
    }
    let phases = ServerSystems::ORDER.map(|phase| phase.intern());
    for order::Stray {
        system,
        schedule,
        phase,
    } in order::strays(world, &phases)
    {
        tracing::error!(
            "the system {system} is in `ServerSystems::{phase}` and in the schedule `{schedule}`, which has no phases: write \
             `add_systems(FixedUpdate, ..)` in the place of `add_systems({schedule}, ..)`"
        );
    }
    stopwatch::attach(world, ServerSystems::Exchange.intern());
    if let Err(text) = order::build(world, &phases) {
        panic!("{text}");
    }
    stopwatch::sort(world);
}

fn begin_laps(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.begin(&clock);
}

fn begin_tick(mut time: ResMut<TickTime>, mut jump: ResMut<TickJump>) {
    jump.apply(&mut time);
}

/// Looks for the systems that were too slow, if the tick was.
fn judge_tick(mut stopwatch: ResMut<Stopwatch>, timings: Res<TickTimings>, time: Res<TickTime>) {
    // The last phase has just ended.
    stopwatch.judge(timings.total(), time.length, timings.mark);
}

/// Logs the failure of a system or command, after which the server continues. Failures in every tick do not
/// fill the log.
fn log_error(error: BevyError, context: ErrorContext) {
    if let Some(line) = failure_to_log(&error, &context) {
        tracing::error!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::finish_plugins;
    use bevy_ecs::schedule::ScheduleLabel;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[derive(Resource, Default)]
    struct Order(Vec<&'static str>);

    fn app() -> App {
        let mut app = App::new();
        app.add_plugins(SchedulePlugin).init_resource::<Order>();
        app
    }

    fn run(app: &mut App) {
        app.world_mut().run_schedule(FixedUpdate);
    }

    #[test]
    fn phases_run_in_order_in_whichever_order_they_are_added() {
        let mut app = app();
        let note = |name| move |mut order: ResMut<Order>| order.0.push(name);
        app.add_systems(
            FixedUpdate,
            (
                note("publish").in_set(ServerSystems::Publish),
                note("meter").in_set(ServerSystems::Meter),
                note("simulate").in_set(ServerSystems::Simulate),
                note("dispatch").in_set(ServerSystems::Dispatch),
                note("input").in_set(ServerSystems::Input),
                note("index").in_set(ServerSystems::Index),
                note("record").in_set(ServerSystems::Record),
                note("receive").in_set(ServerSystems::Receive),
                note("exchange").in_set(ServerSystems::Exchange),
            ),
        );
        run(&mut app);
        let order = &app.world().resource::<Order>().0;
        let expected = [
            "exchange", "receive", "input", "simulate", "index", "publish", "dispatch", "record", "meter",
        ];
        assert_eq!(order, &expected);
        assert_eq!(ServerSystems::ORDER.map(ServerSystems::name), expected);
        assert_eq!(app.world().resource::<TickTime>().tick.0, 1);
    }

    #[test]
    fn each_phase_indexes_its_own_time() {
        for (index, phase) in ServerSystems::ORDER.into_iter().enumerate() {
            assert_eq!(phase as usize, index);
        }
        assert_eq!(ServerSystems::Meter as usize + 1, ServerSystems::ORDER.len());
    }

    #[test]
    fn every_phase_is_timed_and_the_total_runs_from_receive_to_publish() {
        let clock = Arc::new(AtomicU64::new(0));
        let mut app = app();
        let read = Arc::clone(&clock);
        app.insert_resource(Clock::new(move || Duration::from_millis(read.load(Relaxed))));
        for (index, phase) in ServerSystems::ORDER.into_iter().enumerate() {
            let clock = Arc::clone(&clock);
            let work = move || {
                clock.fetch_add(1 << index, Relaxed);
            };
            app.add_systems(FixedUpdate, work.in_set(phase));
        }
        run(&mut app);
        let timings = app.world().resource::<TickTimings>();
        for (index, phase) in ServerSystems::ORDER.into_iter().enumerate() {
            assert_eq!(timings[phase], Duration::from_millis(1 << index), "{phase:?}");
        }
        assert_eq!(timings.total(), Duration::from_millis(0b11_1110));
    }

    #[test]
    fn unordered_conflicting_systems_are_an_error() {
        let mut app = app();
        let one = |mut order: ResMut<Order>| order.0.push("one");
        let other = |mut order: ResMut<Order>| order.0.push("other");
        app.add_systems(
            FixedUpdate,
            (
                one.in_set(ServerSystems::Simulate),
                other.in_set(ServerSystems::Simulate),
            ),
        );
        let world = app.world_mut();
        let built = world.schedule_scope(FixedUpdate, |world, schedule| schedule.initialize(world).is_err());
        assert!(built, "{:?}", FixedUpdate.intern());
    }

    #[test]
    fn a_set_of_the_game_has_the_phase_that_contains_it() {
        #[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
        struct Rules;

        let built = |is_placed: bool| {
            let mut app = app();
            let one = |mut order: ResMut<Order>| order.0.push("one");
            let other = |mut order: ResMut<Order>| order.0.push("other");
            if is_placed {
                app.configure_sets(FixedUpdate, Rules.in_set(ServerSystems::Input));
            }
            app.add_systems(
                FixedUpdate,
                (one.in_set(Rules), other.in_set(ServerSystems::Simulate)),
            );
            order::build(app.world_mut(), &ServerSystems::ORDER.map(|phase| phase.intern()))
        };
        assert_eq!(built(true), Ok(()));
        let text = built(false).unwrap_err();
        assert!(text.contains("is in no `ServerSystems` set"), "{text}");
    }

    #[test]
    fn a_failing_system_does_not_end_the_tick() {
        let mut app = app();
        app.add_systems(
            FixedUpdate,
            (
                (|| -> Result { Err("on purpose".into()) }).in_set(ServerSystems::Input),
                (|mut order: ResMut<Order>| order.0.push("later")).in_set(ServerSystems::Simulate),
            ),
        );
        finish_plugins(&mut app);
        run(&mut app);
        assert_eq!(app.world().resource::<Order>().0, ["later"]);
    }
}
