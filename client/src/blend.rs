//! Values between values: what interpolation and the smoothing of corrections are made of.

use std::f32::consts::{PI, TAU};
use std::time::Duration;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::Component;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

/// A component of which there are values in between.
pub trait Blend: Component<Mutability = Mutable> + Clone + PartialEq {
    /// `self` moved by `share` of the way that leads from `from` to `to`. A share below 0 or above 1 goes
    /// beyond them.
    #[must_use]
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self;

    /// How far apart two values are, 0 or more, in the component's unit.
    fn distance(&self, other: &Self) -> f32;

    /// The value at `share` of the way to `to`.
    #[must_use]
    fn blended(&self, to: &Self, share: f32) -> Self {
        self.shifted(self, to, share)
    }
}

impl Blend for Position {
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(self.0 + (to.0 - from.0) * share)
    }

    fn distance(&self, other: &Self) -> f32 {
        self.0.distance(other.0)
    }
}

impl Blend for Velocity {
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(self.0 + (to.0 - from.0) * share)
    }

    fn distance(&self, other: &Self) -> f32 {
        self.0.distance(other.0)
    }
}

impl Blend for Heading {
    /// Goes the shorter way around.
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(turned(self.0 + turned(to.0 - from.0) * share))
    }

    fn distance(&self, other: &Self) -> f32 {
        turned(self.0 - other.0).abs()
    }
}

/// An angle in -pi..pi.
fn turned(angle: f32) -> f32 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// What to draw of a `T`: the present for what is predicted, a moment ago for all others. The `T` beside it is
/// what the server last said. Absent until there is something to show.
#[derive(Component, Debug, Clone, Copy, PartialEq)]
pub struct Shown<T>(pub T);

/// How what is shown is led to a corrected value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothing {
    /// Time in which a correction falls to a third.
    pub time: Duration,
    /// The fastest correction, in the component's unit a second.
    pub speed_max: f32,
    /// Corrections above this, in the component's unit, are shown at once: a teleport.
    pub snap_above: f32,
}

/// The part of a correction that is not yet shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offset<T> {
    /// The way from the true value to the shown one, how long it is, and the share that is left of it.
    way: Option<(T, T, f32)>,
    share: f32,
}

impl<T> Default for Offset<T> {
    fn default() -> Self {
        Self {
            way: None,
            share: 0.0,
        }
    }
}

impl<T: Blend> Offset<T> {
    /// The true value turned out to be `now` where it was shown as `before`.
    pub(crate) fn correct(&mut self, before: &T, now: &T, smoothing: &Smoothing) {
        if before == now {
            return;
        }
        let shown = self.apply(before);
        let length = now.distance(&shown);
        self.share = 1.0;
        self.way = (length > 0.0 && length <= smoothing.snap_above).then(|| (now.clone(), shown, length));
    }

    /// Lets `elapsed` pass.
    pub(crate) fn decay(&mut self, elapsed: Duration, smoothing: &Smoothing) {
        let Some((.., length)) = &self.way else { return };
        let elapsed = elapsed.as_secs_f32();
        let left = self.share * length;
        let wanted = left * (1.0 - (-elapsed / smoothing.time.as_secs_f32().max(1e-3)).exp());
        self.share -= wanted.min(smoothing.speed_max * elapsed) / length;
        if self.share * length < 1e-4 {
            self.way = None;
        }
    }

    /// What is shown for the true value `value`.
    pub(crate) fn apply(&self, value: &T) -> T {
        match &self.way {
            Some((from, to, _)) => value.shifted(from, to, self.share),
            None => value.clone(),
        }
    }
}
