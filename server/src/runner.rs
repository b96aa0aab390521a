//! The main loop: one fixed tick per turn, at absolute deadlines.
//!
//! Owns the clock of the simulation's thread, the tick number and the overrun counters. Guarantees that every
//! [`App::update`] runs `FixedUpdate` exactly once and that ticks do not drift: tick n is due n - 1 tick lengths after
//! the first. A loop that is late runs up to ten ticks back to back. A loop that is later than that, or that does not
//! catch up, skips tick numbers, so that the number follows the clock again; [`TickTime::skipped`] has their count.
//! No number occurs twice. Code inside a tick reads a clock only for metering; all other code gets the time from here.

mod deadlines;
#[cfg(test)]
mod tests;

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

use deadlines::Deadlines;
pub(crate) use deadlines::SKIPPED_MAX;

/// Time that a loop which catches up leaves between two ticks. In it the net workers read the inputs that waited for
/// the ticks.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(2);

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

/// The current tick and its times. Gameplay reads this instead of a clock.
///
/// One tick is one step of [`TickTime::length`], also after skipped numbers: the time of `Time<Fixed>` counts ticks that
/// ran, while the number follows the clock.
#[derive(Resource, Clone, Copy, Debug)]
pub struct TickTime {
    /// Number of the current tick; 0 before the first.
    pub tick: Tick,
    /// Number of tick numbers between the last tick and this one that have no tick; normally 0. A server that was
    /// stopped, or is too slow for its rate, skips them.
    pub skipped: u32,
    /// Start time of the tick since the process's origin. Only for metering.
    pub started_at: Duration,
    /// Time at which the tick was due, since the process's origin: at or before its start. Only for comparisons with
    /// arrival times.
    pub due_at: Duration,
    /// Interval between two ticks, rounded down to a nanosecond.
    pub length: Duration,
}

impl TickTime {
    /// Returns whether work that happens once in `every` tick numbers happens in this tick: whether this number plus
    /// `offset` is a multiple of `every`, or that of a number that was skipped just before it.
    ///
    /// A comparison of the tick's number alone misses the work of skipped numbers, on a slow server for ever.
    #[must_use]
    pub fn is_due(&self, every: u32, offset: u64) -> bool {
        let since = u64::from(self.tick.0).wrapping_add(offset) % u64::from(every.max(1));
        since <= u64::from(self.skipped)
    }
}

impl Default for TickTime {
    fn default() -> Self {
        Self {
            tick: Tick(0),
            skipped: 0,
            started_at: Duration::ZERO,
            due_at: Duration::ZERO,
            length: Duration::from_millis(50),
        }
    }
}

/// The tick numbers to skip before the next tick. The loop proposes them; of several simulations in lockstep, `Exchange`
/// takes the largest proposal.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct TickJump {
    proposed: u32,
    agreed: u32,
}

impl TickJump {
    /// Returns the numbers to skip: those proposed, or those that the simulations agreed on since.
    pub(crate) fn skipped(self) -> u32 {
        self.agreed
    }

    /// Sets the numbers to skip on which all simulations agree, which are not fewer than those proposed.
    pub(crate) fn agree(&mut self, skipped: u32) {
        self.agreed = skipped;
    }

    /// Advances `time` to the next tick.
    pub(crate) fn apply(&mut self, time: &mut TickTime) {
        let Self { proposed, agreed } = std::mem::take(self);
        time.skipped = agreed;
        time.tick = (time.tick + agreed).next();
        time.due_at += time.length * agreed.saturating_sub(proposed);
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

    /// Returns the number of tick numbers that were skipped.
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
        let left = deadline.saturating_sub(clock.now());
        if left.is_zero() {
            // Other threads of the server get a turn, even when this one is always late.
            return thread::yield_now();
        }
        thread::sleep(left);
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
            .init_resource::<TickJump>()
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
    tick_late(app, now, now, 0);
}

/// Runs the next tick after skipping `skipped` tick numbers. The tick was due at `due_at` and starts at `now`. The
/// plugins must be finished. Of several simulations in lockstep, all skip as many as the one that skips the most.
pub fn tick_late(app: &mut App, due_at: Duration, now: Duration, skipped: u32) {
    propose_skip(app, skipped);
    let mut time = app.world_mut().resource_mut::<TickTime>();
    (time.started_at, time.due_at) = (now, due_at);
    app.update();
}

/// Proposes the tick numbers to skip before the next tick.
pub(crate) fn propose_skip(app: &mut App, skipped: u32) {
    app.insert_resource(TickJump {
        proposed: skipped,
        agreed: skipped,
    });
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
    let first = first.map_or_else(|| clock.now(), |first| first.0);
    let mut deadlines = Deadlines::new(first, length);
    while !shutdown.is_requested() {
        between.until(deadlines.due(), &clock);
        if deadlines.is_catching_up(clock.now()) {
            between.until(clock.now() + CATCH_UP_PAUSE, &clock);
        }
        let now = clock.now();
        let skipped = deadlines.skipped(now);
        tick_late(&mut app, deadlines.due_after(skipped), now, skipped);
        if let Some(exit) = app.should_exit() {
            return exit;
        }
        let skipped = app.world().resource::<TickTime>().skipped;
        let is_late = deadlines.advance(skipped, now, clock.now());
        counters.0.overruns.fetch_add(u64::from(is_late), Relaxed);
        counters.0.skipped.fetch_add(u64::from(skipped), Relaxed);
    }
    AppExit::Success
}
