//! The discs and contacts, and the buffers that the steps of the computation share.

use glam::Vec2;

/// Share of the approach speed that is left as rebound.
pub const RESTITUTION: f32 = 0.4;
/// Distance at which two discs count as touching, beyond their radii, in units: at most what rounding to quanta may
/// take away.
pub const SKIN: f32 = 0.02;
/// Rounds of moving and pushing in one tick.
pub(super) const ROUNDS: usize = 2;
/// Margin of a box beyond the motion of its disc, in units: room for the acceleration of a tick and for the motion
/// after a collision.
pub(crate) const REACH: f32 = 1.5;

/// A body as collisions treat it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disc {
    /// Position of the centre, in units.
    pub position: Vec2,
    /// Velocity, in units per second.
    pub velocity: Vec2,
    /// Radius, in units.
    pub radius: f32,
    /// 1 / mass; 0 for a body that nothing moves.
    pub inverse_mass: f32,
    /// Whether the disc stops at what it touches without pushing it.
    pub is_sensor: bool,
    /// Whether it was pushed in this tick.
    pub bumped: bool,
}

/// Two discs that touched in this tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// The lower row.
    pub a: u32,
    /// The higher row.
    pub b: u32,
    /// Speed of approach, in units per second.
    pub speed: f32,
}

/// A contact and its normal, from `b` to `a`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub(super) a: u32,
    pub(super) b: u32,
    pub(super) normal: Vec2,
    pub(super) speed: f32,
    pub(super) is_sensed: bool,
}

impl Touch {
    pub(super) fn contact(&self) -> Contact {
        let &Self { a, b, speed, .. } = self;
        Contact { a, b, speed }
    }
}

/// Buffers of the computation, kept between ticks to reuse their memory.
#[derive(Debug, Default)]
pub struct Solver {
    pub(super) ways: Vec<Vec2>,
    /// Positions at the start of the tick of the discs that moved then; `None` for discs at rest.
    pub(super) starts: Vec<Option<Vec2>>,
    pub(super) stops: Vec<f32>,
    pub(super) next_stops: Vec<f32>,
    pub(super) near: Vec<(u32, u32)>,
    pub(super) touching: Vec<Touch>,
    pub(super) counts: Vec<u16>,
    pub(super) pushes: Vec<Vec2>,
}
