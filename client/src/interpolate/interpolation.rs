//! How a component is interpolated.

use std::time::Duration;

use crate::blend::Smoothing;

/// How a component is interpolated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpolation {
    /// How a wrong guess is led to what really happened. Two states further apart than its `snap_above` for every
    /// tick between them are a teleport.
    pub smoothing: Smoothing,
    /// Ticks for which a motion goes on beyond the newest state at most.
    pub extrapolation_max: f32,
}

/// Suits positions of things that are a few units long and move a few of their lengths in a second.
pub const POSITION_INTERPOLATION: Interpolation = Interpolation {
    smoothing: Smoothing {
        time: Duration::from_millis(100),
        speed_max: 60.0,
        snap_above: 10.0,
    },
    extrapolation_max: 2.0,
};

/// Suits headings.
pub const HEADING_INTERPOLATION: Interpolation = Interpolation {
    smoothing: Smoothing {
        time: Duration::from_millis(80),
        speed_max: 12.0,
        snap_above: std::f32::consts::TAU,
    },
    extrapolation_max: 2.0,
};
