//! The one schedule: what runs in a tick, in which order.
//!
//! Owns the order of the [`ServerSystems`] and the rules under which systems run. Guarantees that every
//! system of a tick runs on the simulation's thread in an order that the code fixes: two systems of one
//! set that conflict without being ordered are an error when the schedule is built. Nothing else in the
//! crate configures sets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::error::{BevyError, ErrorContext};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings, SingleThreadedExecutor};

use crate::runner::{Clock, TickTime};

/// The phases of a tick, in `FixedUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerSystems {
    /// Takes what the net workers queued: players who came and left, inputs, messages.
    Receive,
    /// Gives every player the input of this tick.
    Input,
    /// Gameplay.
    Simulate,
    /// Brings rows, cells and views in step with what gameplay changed.
    Index,
    /// Freezes the frame and hands it to its readers. Changes nothing that is replicated.
    Publish,
}

/// How long each phase of the newest tick took. Zero under a clock that stands still.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct TickTimings {
    /// [`ServerSystems::Receive`].
    pub receive: Duration,
    /// [`ServerSystems::Input`].
    pub input: Duration,
    /// [`ServerSystems::Simulate`].
    pub simulate: Duration,
    /// [`ServerSystems::Index`].
    pub index: Duration,
    /// [`ServerSystems::Publish`].
    pub publish: Duration,
    mark: Duration,
}

impl TickTimings {
    /// From the start of `Receive` to the end of `Publish`.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.receive + self.input + self.simulate + self.index + self.publish
    }

    fn lap(&mut self, clock: &Clock) -> Duration {
        let now = clock.now();
        now.saturating_sub(std::mem::replace(&mut self.mark, now))
    }
}

/// Configures the sets, the executor and the handling of errors.
pub struct SchedulePlugin;

impl Plugin for SchedulePlugin {
    fn build(&self, app: &mut App) {
        use ServerSystems::{Index, Input, Publish, Receive, Simulate};
        app.init_resource::<TickTimings>()
            .init_resource::<Clock>()
            .init_resource::<TickTime>();
        app.configure_sets(FixedUpdate, (Receive, Input, Simulate, Index, Publish).chain());
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
                begin_tick.before(Receive),
                end_receive.after(Receive).before(Input),
                end_input.after(Input).before(Simulate),
                end_simulate.after(Simulate).before(Index),
                end_index.after(Index).before(Publish),
                end_publish.after(Publish),
            ),
        );
        if app.get_error_handler().is_none() {
            app.set_error_handler(log_error);
        }
    }
}

fn begin_tick(mut time: ResMut<TickTime>, mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    time.tick = time.tick.next();
    timings.lap(&clock);
}

fn end_receive(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.receive = timings.lap(&clock);
}

fn end_input(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.input = timings.lap(&clock);
}

fn end_simulate(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.simulate = timings.lap(&clock);
}

fn end_index(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.index = timings.lap(&clock);
}

fn end_publish(mut timings: ResMut<TickTimings>, clock: Res<Clock>) {
    timings.publish = timings.lap(&clock);
}

/// Of the failures of one system the first is logged, the second, the fourth, the eighth and so on, and from this
/// number on each time that they are so many more.
const FAILURES_BETWEEN_LINES: u64 = 1_024;

/// How often what has failed, by its kind and name: as many as there are systems, commands and observers.
static FAILURES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// A server outlives a failed system or command: it says so and goes on. What fails in every tick does not fill the
/// log.
fn log_error(error: BevyError, context: ErrorContext) {
    let (kind, name) = (context.kind(), context.name());
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    let times = failures.entry(format!("{kind} {name}")).or_default();
    *times += 1;
    if is_logged(*times) {
        let before = *times - 1;
        tracing::error!(before, "the {kind} {name} failed: {error}");
    }
}

fn is_logged(times: u64) -> bool {
    times.is_power_of_two() || times.is_multiple_of(FAILURES_BETWEEN_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_ecs::schedule::ScheduleLabel;

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
    fn phases_run_in_order_however_they_are_added() {
        let mut app = app();
        let note = |name| move |mut order: ResMut<Order>| order.0.push(name);
        app.add_systems(
            FixedUpdate,
            (
                note("publish").in_set(ServerSystems::Publish),
                note("simulate").in_set(ServerSystems::Simulate),
                note("input").in_set(ServerSystems::Input),
                note("index").in_set(ServerSystems::Index),
                note("receive").in_set(ServerSystems::Receive),
            ),
        );
        run(&mut app);
        let order = &app.world().resource::<Order>().0;
        assert_eq!(order, &["receive", "input", "simulate", "index", "publish"]);
        assert_eq!(app.world().resource::<TickTime>().tick.0, 1);
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
    fn what_fails_in_every_tick_is_logged_less_and_less() {
        let logged = |until| (1..=until).filter(|&times| is_logged(times)).count();
        assert_eq!((logged(1), logged(20), logged(1_200)), (1, 5, 11));
        assert_eq!(logged(72_000), 70 + 10, "an hour at 20 Hz");
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
        run(&mut app);
        assert_eq!(app.world().resource::<Order>().0, ["later"]);
    }
}
