//! The client's clock as a resource for systems.

use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

use crate::connection::ClientCore;
use crate::mirror::Applied;
use crate::time::{DelayConfig, FractionalTick, InterpolationDelay};

/// The client's clock, in real time and in the server's ticks. All values except [`ClientClock::now`] and
/// [`ClientClock::delta`] are `None` without a session.
#[derive(Resource, Debug, Clone, Default)]
pub struct ClientClock {
    now: Duration,
    framed_at: Duration,
    delta: Duration,
    running: Option<RunningSession>,
}

#[derive(Debug, Clone)]
struct RunningSession {
    tick_length: Duration,
    delay: InterpolationDelay,
    newest: Tick,
    newest_at: Duration,
    server: FractionalTick,
    shown: FractionalTick,
    input: FractionalTick,
    round_trip: Option<Duration>,
    margin: f32,
}

impl ClientClock {
    /// Returns the time from the client's start to this frame.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the time since the previous frame.
    #[must_use]
    pub fn delta(&self) -> Duration {
        self.delta
    }

    /// Returns the time between two ticks of the server.
    #[must_use]
    pub fn tick_length(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.tick_length)
    }

    /// Returns the newest tick for which an input was given, with the fraction of the way to the next: the
    /// present time of predicted entities.
    #[must_use]
    pub fn present(&self) -> Option<FractionalTick> {
        self.running.as_ref().map(|running| running.input)
    }

    /// Returns the moment at which interpolated entities are shown. Never goes back within a session.
    #[must_use]
    pub fn shown(&self) -> Option<FractionalTick> {
        self.running.as_ref().map(|running| running.shown)
    }

    /// Returns the server's moment that should have arrived by now.
    #[must_use]
    pub fn server(&self) -> Option<FractionalTick> {
        self.running.as_ref().map(|running| running.server)
    }

    /// Returns the seconds from [`ClientClock::server`] to `tick`, for a countdown; negative once the tick has passed.
    #[must_use]
    pub fn until(&self, tick: Tick) -> Option<f32> {
        let running = self.running.as_ref()?;
        let ticks = FractionalTick::from(tick).since(running.server);
        Some(ticks * running.tick_length.as_secs_f32())
    }

    /// Returns the newest tick whose snapshot arrived, and the time since then.
    #[must_use]
    pub fn newest(&self) -> Option<(Tick, Duration)> {
        let running = self.running.as_ref()?;
        Some((running.newest, self.now.saturating_sub(running.newest_at)))
    }

    /// Returns how far [`ClientClock::shown`] is behind [`ClientClock::server`].
    #[must_use]
    pub fn interpolation_delay(&self) -> Option<Duration> {
        let running = self.running.as_ref()?;
        Some(running.tick_length.mul_f32(running.delay.ticks()))
    }

    /// Returns the mean deviation of the arrival times of snapshots.
    #[must_use]
    pub fn jitter(&self) -> Option<Duration> {
        let running = self.running.as_ref()?;
        Some(running.tick_length.mul_f32(running.delay.jitter()))
    }

    /// Returns the network's smoothed round trip, which includes the simulation of one tick. Also `None` before the
    /// first report about an input.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.running.as_ref()?.round_trip
    }

    /// Returns the last reported margin: how long before its tick the newest known input arrived on the server,
    /// in ticks; negative when too late.
    #[must_use]
    pub fn input_margin(&self) -> Option<f32> {
        self.running.as_ref().map(|running| running.margin)
    }

    pub(super) fn advance(&mut self, now: Duration) {
        self.now = now;
    }

    pub(super) fn end_session(&mut self) {
        self.running = None;
    }

    /// Copies the times of a session at `now`, and records the snapshots that arrived.
    pub(super) fn follow(&mut self, core: &mut ClientCore, now: Duration, snapshots: &[Applied]) {
        let margin = core
            .owner()
            .map_or(0.0, |owner| f32::from(owner.margin_16) / 16.0);
        let (tick_length, round_trip) = (
            core.tick_length(),
            core.clock().and_then(|clock| clock.round_trip()),
        );
        let (Some(tick_length), Some(clock)) = (tick_length, core.clock()) else {
            self.running = None;
            return;
        };
        let origin = clock.origin_tick();
        let position = clock.server_position(now);
        let (input_tick, fraction) = clock.input_progress(now);
        let running = self.running.get_or_insert_with(|| RunningSession {
            tick_length,
            delay: InterpolationDelay::new(DelayConfig::default()),
            newest: origin,
            newest_at: now,
            server: FractionalTick::default(),
            shown: FractionalTick::default(),
            input: FractionalTick::default(),
            round_trip: None,
            margin,
        });
        for applied in snapshots {
            if applied.tick.is_after(running.newest) {
                (running.newest, running.newest_at) = (applied.tick, now);
            }
            let ticks = f64::from(applied.tick.since(origin));
            let sequence = applied.sequence;
            running.delay.observe(applied.tick, sequence, ticks, position);
        }
        running.server = FractionalTick::after(origin, position);
        running.shown = FractionalTick::after(origin, running.delay.advance(position));
        running.input = FractionalTick {
            tick: input_tick,
            fraction,
        };
        running.round_trip = round_trip;
        running.margin = margin;
    }
}

/// Sets the frame's delta, the time since the last frame. A session may have been updated several times in it.
pub(super) fn begin_frame(mut clock: ResMut<ClientClock>) {
    let clock = &mut *clock;
    clock.delta = clock.now.saturating_sub(clock.framed_at);
    clock.framed_at = clock.now;
}
