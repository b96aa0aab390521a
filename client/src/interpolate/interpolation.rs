//! Parameters of interpolation, and presets for positions and headings.

use std::time::Duration;

use crate::blend::Smoothing;

/// Parameters with which a component is interpolated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpolation {
    /// How a wrong extrapolation is blended into the received states. Two states are a teleport when their
    /// distance exceeds `snap_above` times the number of ticks between them.
    pub smoothing: Smoothing,
    /// Ticks for which a motion is extrapolated beyond the newest state, at most.
    pub extrapolation_max: f32,
}

/// A preset for positions of entities that are a few units long and move a few of their lengths in a second.
pub const POSITION_INTERPOLATION: Interpolation = Interpolation {
    smoothing: Smoothing {
        time: Duration::from_millis(100),
        speed_max: 60.0,
        snap_above: 10.0,
    },
    extrapolation_max: 2.0,
};

/// A preset for headings, in radians.
pub const HEADING_INTERPOLATION: Interpolation = Interpolation {
    smoothing: Smoothing {
        time: Duration::from_millis(80),
        speed_max: 12.0,
        snap_above: std::f32::consts::TAU,
    },
    extrapolation_max: 2.0,
};
