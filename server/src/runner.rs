//! The main loop: one fixed tick per turn, at absolute deadlines.
//!
//! Owns the clock of the simulation's thread, the tick number and the overrun counters. Guarantees that every
//! [`App::update`] runs `FixedUpdate` exactly once and that ticks do not drift: each is due at a multiple
//! of the tick length after the start. When a tick ends after later deadlines, these are counted and skipped, and
//! their ticks are not caught up on. Code inside a tick reads a clock only for metering; all other code gets the time
//! from here.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bevy_app::{App, AppExit, Plugin};
use bevy_ecs::prelude::Resource;
use bevy_time::{Fixed, Real, Time, TimePlugin, TimeUpdateStrategy, Virtual};
use throng_shared::tick::Tick;

/// Clock that returns the time since the process's origin. Injected, so that a simulator can replace it.
#[derive(Resource, Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// Creates a clock that calls `read`, whose times must never decrease.
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Creates a clock that returns the machine's monotonic time since `origin`.
    #[must_use]
    pub fn since(origin: Instant) -> Self {
        Self::new(move || origin.elapsed())
    }

    /// Returns the function that reads the clock, for code without access to resources.
    pub(crate) fn reader(&self) -> Arc<dyn Fn() -> Duration + Send + Sync> {
        Arc::clone(&self.0)
    }

    /// Returns the time since the origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Default for Clock {
    /// Returns a clock that always returns zero.
    fn default() -> Self {
        Self::new(|| Duration::ZERO)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// The current tick and its start time. Gameplay reads this instead of a clock.
#[derive(Resource, Clone, Copy, Debug)]
pub struct TickTime {
    /// Number of the current tick; 0 before the first.
    pub tick: Tick,
    /// Start time of the tick since the process's origin. Only for comparisons with arrival times and for metering.
    pub started_at: Duration,
    /// Interval between two ticks, rounded down to a nanosecond.
    pub length: Duration,
}

impl Default for TickTime {
    fn default() -> Self {
        Self {
            tick: Tick(0),
            started_at: Duration::ZERO,
            length: Duration::from_millis(50),
        }
    }
}

/// Counters of overruns, readable from any thread.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct RunnerCounters(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    overruns: AtomicU64,
    skipped: AtomicU64,
}

impl RunnerCounters {
    /// Returns the number of ticks that ended after the next one was due.
    #[must_use]
    pub(crate) fn overruns(&self) -> u64 {
        self.0.overruns.load(Relaxed)
    }

    /// Returns the number of deadlines that passed without a tick.
    #[must_use]
    pub(crate) fn skipped(&self) -> u64 {
        self.0.skipped.load(Relaxed)
    }
}

/// Flag that makes the loop end after the current tick. All clones share the flag.
#[derive(Resource, Clone, Debug, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// Makes the loop end after the current tick. May be called from any thread and any number of times.
    pub fn request(&self) {
        self.0.store(true, Relaxed);
    }

    /// Returns whether a shutdown was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Time at which the first tick is due, since the process's origin. Without this resource the first tick is due when the
/// loop begins. Simulations in lockstep have the same value.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct FirstTick(pub Duration);

/// Work that the loop does between two ticks. Without a [`BetweenTicks`] resource, the loop sleeps.
pub(crate) trait Pass: Send {
    /// Works or waits until `deadline`, and returns as soon after it as possible.
    fn until(&mut self, deadline: Duration, clock: &Clock);
}

/// The work between ticks: a net worker that has no thread of its own.
///
/// The lock is needed because resources are shared. The loop takes the value out once, at its start.
#[derive(Resource)]
pub(crate) struct BetweenTicks(pub Mutex<Box<dyn Pass>>);

struct Sleep;

impl Pass for Sleep {
    fn until(&mut self, deadline: Duration, clock: &Clock) {
        thread::sleep(deadline.saturating_sub(clock.now()));
    }
}

/// Makes the app tick at `tick_rate_hz`, in [`App::run`] or by [`tick_once`].
pub struct RunnerPlugin {
    /// Number of ticks per second.
    pub tick_rate_hz: NonZeroU32,
    /// Clock of the deadlines and of metering.
    pub clock: Clock,
    /// Flag that ends the loop.
    pub shutdown: Shutdown,
}

impl Plugin for RunnerPlugin {
    fn build(&self, app: &mut App) {
        let length = tick_length(self.tick_rate_hz);
        app.add_plugins(TimePlugin)
            .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
            .insert_resource(Time::<Fixed>::from_duration(length))
            .insert_resource(self.clock.clone())
            .insert_resource(self.shutdown.clone())
            .init_resource::<TickTime>()
            .init_resource::<RunnerCounters>();
        let world = app.world_mut();
        world.resource_mut::<TickTime>().length = length;
        // The first update of a clock has no earlier reading and passes no time. It is done here, because otherwise
        // the first `App::update` would run no tick.
        world
            .resource_mut::<Time<Real>>()
            .update_with_duration(Duration::ZERO);
        // A slow tick is still one tick: its time must not be cut to the default maximum.
        world
            .resource_mut::<Time<Virtual>>()
            .set_max_delta(length.max(Duration::from_secs(1)));
        app.set_runner(run);
    }
}

/// Returns the interval between ticks, rounded down to a nanosecond.
#[must_use]
pub fn tick_length(tick_rate_hz: NonZeroU32) -> Duration {
    Duration::from_secs(1) / tick_rate_hz.get()
}

/// Runs the tick that is due at `now`: one [`App::update`] with one `FixedUpdate`. The plugins must be finished.
pub fn tick_once(app: &mut App, now: Duration) {
    app.world_mut().resource_mut::<TickTime>().started_at = now;
    app.update();
}

/// Finishes the plugins, as [`App::run`] does before its loop. Needed before [`tick_once`].
pub fn finish_plugins(app: &mut App) {
    app.finish();
    app.cleanup();
}

/// Runs ticks until a shutdown is requested or the app exits.
fn run(mut app: App) -> AppExit {
    finish_plugins(&mut app);
    let world = app.world();
    let clock = world.resource::<Clock>().clone();
    let shutdown = world.resource::<Shutdown>().clone();
    let counters = world.resource::<RunnerCounters>().clone();
    let length = world.resource::<TickTime>().length;
    let mut between = match app.world_mut().remove_resource::<BetweenTicks>() {
        Some(BetweenTicks(pass)) => pass.into_inner().unwrap_or_else(PoisonError::into_inner),
        None => Box::new(Sleep),
    };
    let first = app.world().get_resource::<FirstTick>();
    let mut deadline = first.map_or_else(|| clock.now(), |first| first.0);
    while !shutdown.is_requested() {
        between.until(deadline, &clock);
        tick_once(&mut app, clock.now());
        if let Some(exit) = app.should_exit() {
            return exit;
        }
        let (next, skipped) = next_deadline(deadline, clock.now(), length);
        deadline = next;
        if skipped > 0 {
            counters.0.overruns.fetch_add(1, Relaxed);
            counters.0.skipped.fetch_add(skipped, Relaxed);
        }
    }
    AppExit::Success
}

/// Returns the first deadline after `deadline` that has not passed at `now`, and the number of deadlines skipped.
fn next_deadline(deadline: Duration, now: Duration, length: Duration) -> (Duration, u64) {
    let next = deadline + length;
    let late = now.saturating_sub(next);
    if late.is_zero() {
        return (next, 0);
    }
    let skipped = late.as_nanos().div_ceil(length.as_nanos()) as u64;
    (next + duration_times(length, skipped), skipped)
}

fn duration_times(length: Duration, count: u64) -> Duration {
    Duration::from_nanos((length.as_nanos() as u64).saturating_mul(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::SchedulePlugin;
    use bevy_app::FixedUpdate;
    use bevy_ecs::prelude::*;

    #[derive(Resource, Default)]
    struct Seen(Vec<(Tick, Duration)>);

    fn app(tick_rate_hz: u32, clock: Clock, shutdown: Shutdown) -> App {
        let mut app = App::new();
        let tick_rate_hz = NonZeroU32::new(tick_rate_hz).unwrap();
        app.add_plugins((
            SchedulePlugin,
            RunnerPlugin {
                tick_rate_hz,
                clock,
                shutdown,
            },
        ))
        .init_resource::<Seen>();
        let note = |time: Res<TickTime>, fixed: Res<Time>, mut seen: ResMut<Seen>| {
            assert_eq!(fixed.delta(), time.length);
            seen.0.push((time.tick, time.started_at));
        };
        app.add_systems(FixedUpdate, note.in_set(crate::schedule::ServerSystems::Simulate));
        app
    }

    #[test]
    fn every_update_is_exactly_one_tick() {
        for rate in [1, 3, 20, 60, 128] {
            let mut app = app(rate, Clock::default(), Shutdown::default());
            finish_plugins(&mut app);
            for n in 0..500u32 {
                tick_once(&mut app, Duration::from_secs(u64::from(n)));
            }
            let seen = &app.world().resource::<Seen>().0;
            let expected: Vec<_> = (0..500u32)
                .map(|n| (Tick(n + 1), Duration::from_secs(u64::from(n))))
                .collect();
            assert_eq!(seen, &expected, "at {rate} Hz");
        }
    }

    #[test]
    fn passed_deadlines_are_skipped_and_counted() {
        let ms = Duration::from_millis;
        assert_eq!(next_deadline(ms(100), ms(120), ms(50)), (ms(150), 0));
        assert_eq!(next_deadline(ms(100), ms(150), ms(50)), (ms(150), 0));
        assert_eq!(next_deadline(ms(100), ms(151), ms(50)), (ms(200), 1));
        assert_eq!(next_deadline(ms(100), ms(200), ms(50)), (ms(200), 1));
        assert_eq!(next_deadline(ms(100), ms(999), ms(50)), (ms(1_000), 17));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
    fn the_loop_keeps_its_rate_counts_an_overrun_and_stops_on_request() {
        let origin = Instant::now();
        let shutdown = Shutdown::default();
        let mut app = app(200, Clock::since(origin), shutdown.clone());
        let ticks = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ticks);
        let stall = move |time: Res<TickTime>| {
            count.fetch_add(1, Relaxed);
            match time.tick.0 {
                5 => thread::sleep(Duration::from_millis(23)),
                20 => shutdown.request(),
                _ => {}
            }
        };
        app.add_systems(FixedUpdate, stall.in_set(crate::schedule::ServerSystems::Input));
        let counters = app.world().resource::<RunnerCounters>().clone();
        assert_eq!(app.run(), AppExit::Success);
        assert_eq!(ticks.load(Relaxed), 20);
        assert!(
            counters.overruns() >= 1 && counters.skipped() >= 4,
            "{counters:?}"
        );
        // 19 intervals of 5 ms, of which the stalled one took five.
        assert!(
            origin.elapsed() >= Duration::from_millis(19 * 5 + 4 * 5),
            "{:?}",
            origin.elapsed()
        );
    }
}
