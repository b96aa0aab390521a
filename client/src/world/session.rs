//! What a session tells its world besides entities: the time, which inputs were given, what has arrived.
//!
//! Owns the resources that prediction and interpolation run on. Whoever drives a session calls
//! [`receive_datagram`] and [`update_session`], or [`follow_session`] with what it noted by itself.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::arrivals::Arrivals;
use super::{Mirrored, NextInput, WorldMirror, exchange_messages};
use crate::connection::{ClientCore, ClientEvent};
use crate::delay::{DelayConfig, InterpolationDelay};
use crate::mirror::Applied;
use crate::moment::Moment;

/// Ticks whose inputs are kept: more than a client ever leads by.
const INPUTS_MAX: usize = 128;
/// Ticks for which the server replaces a missing input by the last one.
const REPEAT_TICKS_MAX: i32 = 5;

/// The client's time. Everything but [`ClientClock::now`] and [`ClientClock::delta`] is `None` without a session.
#[derive(Resource, Debug, Clone, Default)]
pub struct ClientClock {
    now: Duration,
    framed_at: Duration,
    delta: Duration,
    running: Option<Running>,
}

#[derive(Debug, Clone)]
struct Running {
    tick_length: Duration,
    delay: InterpolationDelay,
    newest: Tick,
    newest_at: Duration,
    server: Moment,
    shown: Moment,
    input: Moment,
    round_trip: Option<Duration>,
    margin: f32,
}

impl ClientClock {
    /// Time since the client began, at this frame.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Time since the frame before.
    #[must_use]
    pub fn delta(&self) -> Duration {
        self.delta
    }

    /// Time between two of the server's ticks.
    #[must_use]
    pub fn tick_length(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.tick_length)
    }

    /// The tick for which an input was given last, and how far it is to the next: the present of what is
    /// predicted.
    #[must_use]
    pub fn present(&self) -> Option<Moment> {
        self.running.as_ref().map(|running| running.input)
    }

    /// The moment at which others are shown. Never goes back within a session.
    #[must_use]
    pub fn shown(&self) -> Option<Moment> {
        self.running.as_ref().map(|running| running.shown)
    }

    /// The moment that should have arrived from the server by now.
    #[must_use]
    pub fn server(&self) -> Option<Moment> {
        self.running.as_ref().map(|running| running.server)
    }

    /// The newest tick of which a snapshot arrived, and how long ago.
    #[must_use]
    pub fn newest(&self) -> Option<(Tick, Duration)> {
        let running = self.running.as_ref()?;
        Some((running.newest, self.now.saturating_sub(running.newest_at)))
    }

    /// How far others are shown behind what should have arrived.
    #[must_use]
    pub fn interpolation_delay(&self) -> Option<Duration> {
        let running = self.running.as_ref()?;
        Some(running.tick_length.mul_f32(running.delay.ticks()))
    }

    /// Mean deviation of when snapshots arrive.
    #[must_use]
    pub fn jitter(&self) -> Option<Duration> {
        let running = self.running.as_ref()?;
        Some(running.tick_length.mul_f32(running.delay.jitter()))
    }

    /// The network's round trip, smoothed, with one simulation of a tick in it. `None` also before the first
    /// input was answered.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.running.as_ref()?.round_trip
    }

    /// How long before its tick the newest input arrived on the server that it told of, in ticks; negative when
    /// too late.
    #[must_use]
    pub fn input_margin(&self) -> Option<f32> {
        self.running.as_ref().map(|running| running.margin)
    }

    fn advance(&mut self, now: Duration) {
        self.now = now;
    }

    fn follow(&mut self, core: &mut ClientCore, now: Duration, snapshots: &[Applied]) {
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
        let running = self.running.get_or_insert_with(|| Running {
            tick_length,
            delay: InterpolationDelay::new(DelayConfig::default()),
            newest: origin,
            newest_at: now,
            server: Moment::default(),
            shown: Moment::default(),
            input: Moment::default(),
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
        running.server = Moment::after(origin, position);
        running.shown = Moment::after(origin, running.delay.advance(position));
        running.input = Moment {
            tick: input_tick,
            fraction,
        };
        running.round_trip = round_trip;
        running.margin = margin;
    }
}

/// Begins a frame: a session may have been driven several times since the last one.
pub(super) fn begin_frame(mut clock: ResMut<ClientClock>) {
    let clock = &mut *clock;
    clock.delta = clock.now.saturating_sub(clock.framed_at);
    clock.framed_at = clock.now;
}

/// The inputs given for the last ticks, as the server takes them.
#[derive(Resource, Debug, Clone, Default)]
pub struct InputHistory {
    neutral: InputBytes,
    inputs: VecDeque<(Tick, InputBytes)>,
}

impl InputHistory {
    /// What the server acts on in `tick`: the input for it; where none was given the last before it, for a few
    /// ticks, and then the neutral one.
    #[must_use]
    pub fn at(&self, tick: Tick) -> InputBytes {
        let before = self.inputs.iter().rev().find(|(given, _)| !given.is_after(tick));
        match before {
            Some((given, input)) if tick.since(*given) <= REPEAT_TICKS_MAX => *input,
            _ => self.neutral,
        }
    }

    /// The newest tick for which an input was given.
    #[must_use]
    pub fn newest(&self) -> Option<Tick> {
        self.inputs.back().map(|(tick, _)| *tick)
    }

    pub(super) fn new(neutral: InputBytes) -> Self {
        Self {
            neutral,
            inputs: VecDeque::with_capacity(INPUTS_MAX),
        }
    }

    fn push(&mut self, tick: Tick, input: InputBytes) {
        if self.inputs.len() == INPUTS_MAX {
            self.inputs.pop_front();
        }
        self.inputs.push_back((tick, input));
    }
}

/// What happened in a session since its world last followed it.
#[derive(Resource, Debug, Default)]
pub struct SessionNotes {
    /// Inputs that were asked for.
    pub inputs: Vec<(Tick, InputBytes)>,
    /// Snapshot packets that were applied.
    pub snapshots: Vec<Applied>,
}

/// Hands one datagram to the session and what it holds to the world.
pub fn receive_datagram(
    world: &mut World,
    core: &mut ClientCore,
    now: Duration,
    datagram: &mut [u8],
) -> Option<ClientEvent> {
    let event = world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
        world.resource_scope(|world, protocol: Mut<Protocol>| {
            core.receive(now, datagram, &mut mirror.observer(world, &protocol))
        })
    });
    if let Some(ClientEvent::Snapshot(applied)) = event {
        world.resource_mut::<SessionNotes>().snapshots.push(applied);
    }
    event
}

/// Lets the session send what is due, with the world's input and messages, and the world follow it.
pub fn update_session(
    world: &mut World,
    core: &mut ClientCore,
    now: Duration,
    out: impl FnMut(&[u8]),
) -> Option<ClientEvent> {
    world.resource_scope(|world, protocol: Mut<Protocol>| exchange_messages(world, &protocol, core));
    tell_view(world, core);
    let next = world.resource::<NextInput>().0;
    let mut notes = std::mem::take(&mut *world.resource_mut::<SessionNotes>());
    let note = |tick| {
        notes.inputs.push((tick, next));
        next
    };
    let event = core.update(now, note, out);
    follow_session(
        world,
        Some(core).filter(|core| core.ended().is_none()),
        now,
        &mut notes,
    );
    *world.resource_mut::<SessionNotes>() = notes;
    event
}

/// Tells the session which moment the world shows.
pub(super) fn tell_view(world: &World, core: &mut ClientCore) {
    if let Some(shown) = world.resource::<ClientClock>().shown() {
        core.set_view(shown.view());
    }
}

/// Follows a session to `now`, and takes its `notes`; without a session the world is emptied.
pub fn follow_session(
    world: &mut World,
    core: Option<&mut ClientCore>,
    now: Duration,
    notes: &mut SessionNotes,
) {
    world.resource_mut::<ClientClock>().advance(now);
    let Some(core) = core else {
        notes.inputs.clear();
        notes.snapshots.clear();
        return end_session(world);
    };
    let mut inputs = world.resource_mut::<InputHistory>();
    for (tick, input) in notes.inputs.drain(..) {
        inputs.push(tick, input);
    }
    world
        .resource_mut::<ClientClock>()
        .follow(core, now, &notes.snapshots);
    let own = world.resource::<WorldMirror>().own();
    let own_tick = own.and_then(|own| world.get::<Mirrored>(own)).map(|own| own.tick);
    let mut arrivals = world.resource_mut::<Arrivals>();
    arrivals.note(&notes.snapshots);
    arrivals.follow_own(own_tick);
    notes.snapshots.clear();
}

fn end_session(world: &mut World) {
    world.resource_mut::<ClientClock>().running = None;
    world.resource_mut::<InputHistory>().inputs.clear();
    world.resource_mut::<Arrivals>().clear();
    world.resource_scope(|world, mut mirror: Mut<WorldMirror>| mirror.clear(world));
}
