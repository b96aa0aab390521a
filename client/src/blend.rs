//! Blending of component values, on which interpolation and the smoothing of corrections are built.

use std::f32::consts::{PI, TAU};
use std::time::Duration;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::Component;
use glam::Quat;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};

/// A component whose values can be blended.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shown between two of its values",
    label = "it does not implement `Blend`",
    note = "write `impl Blend for {Self}` with `shifted` and `distance`; to predict it without showing it, use `predict::<{Self}>()`"
)]
pub trait Blend: Component<Mutability = Mutable> + Clone + PartialEq {
    /// Returns `self` moved by `share` of the difference between `from` and `to`. A share below 0 or above 1
    /// extrapolates.
    #[must_use]
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self;

    /// Returns the distance between two values, 0 or more, in the component's unit.
    fn distance(&self, other: &Self) -> f32;

    /// Returns the value at `share` of the way from `self` to `to`.
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
    /// Turns the shorter way around.
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(wrapped(self.0 + wrapped(to.0 - from.0) * share))
    }

    fn distance(&self, other: &Self) -> f32 {
        wrapped(self.0 - other.0).abs()
    }
}

impl Blend for Position3d {
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(self.0 + (to.0 - from.0) * share)
    }

    fn distance(&self, other: &Self) -> f32 {
        self.0.distance(other.0)
    }
}

impl Blend for Velocity3d {
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        Self(self.0 + (to.0 - from.0) * share)
    }

    fn distance(&self, other: &Self) -> f32 {
        self.0.distance(other.0)
    }
}

impl Blend for Rotation3d {
    /// Turns the shorter way around.
    fn shifted(&self, from: &Self, to: &Self, share: f32) -> Self {
        let turn = short(to.0 * from.0.inverse());
        let (axis, angle) = turn.to_axis_angle();
        Self((Quat::from_axis_angle(axis, angle * share) * self.0).normalize())
    }

    /// Returns the angle of the shorter turn between the two, in radians.
    fn distance(&self, other: &Self) -> f32 {
        self.0.angle_between(other.0)
    }
}

/// Returns the same rotation with an angle of at most half a turn.
fn short(turn: Quat) -> Quat {
    if turn.w < 0.0 { -turn } else { turn }
}

/// Wraps an angle into -pi..pi.
fn wrapped(angle: f32) -> f32 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// The value of `T` to draw: the present one for predicted entities, a slightly past one for all others. The
/// `T` beside it is the server's newest value. Absent until there is a value to show.
#[derive(Component, Debug, Clone, Copy, PartialEq)]
pub struct Shown<T>(pub T);

/// How a shown value is blended into a corrected one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothing {
    /// Time in which the remaining correction falls to 1/e of it.
    pub time: Duration,
    /// The fastest correction, in the component's unit a second.
    pub speed_max: f32,
    /// A correction longer than this, in the component's unit, is shown at once as a teleport.
    pub snap_above: f32,
}

/// The part of a correction that is not shown yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offset<T> {
    /// The true value, the shown value and their distance at the time of the correction; `None` when nothing is
    /// left.
    difference: Option<(T, T, f32)>,
    /// The share of `difference` that is left, 1 to 0.
    share: f32,
}

impl<T> Default for Offset<T> {
    fn default() -> Self {
        Self {
            difference: None,
            share: 0.0,
        }
    }
}

impl<T: Blend> Offset<T> {
    /// Records that the true value is `now` where it was assumed to be `before`, which was shown with the
    /// offset.
    pub(crate) fn correct(&mut self, before: &T, now: &T, smoothing: &Smoothing) {
        if before == now {
            return;
        }
        let shown = self.apply(before);
        let length = now.distance(&shown);
        self.share = 1.0;
        self.difference =
            (length > 0.0 && length <= smoothing.snap_above).then(|| (now.clone(), shown, length));
    }

    /// Reduces the offset by the correction for `elapsed`.
    pub(crate) fn decay(&mut self, elapsed: Duration, smoothing: &Smoothing) {
        let Some((.., length)) = &self.difference else {
            return;
        };
        let elapsed = elapsed.as_secs_f32();
        let left = self.share * length;
        let wanted = left * (1.0 - (-elapsed / smoothing.time.as_secs_f32().max(1e-3)).exp());
        self.share -= wanted.min(smoothing.speed_max * elapsed) / length;
        if self.share * length < 1e-4 {
            self.difference = None;
        }
    }

    /// Returns the value to show for the true value `value`.
    pub(crate) fn apply(&self, value: &T) -> T {
        match &self.difference {
            Some((from, to, _)) => value.shifted(from, to, self.share),
            None => value.clone(),
        }
    }
}
