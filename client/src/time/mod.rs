//! Time in ticks: a session's clocks, the interpolation delay, and moments between ticks.

mod clock;
mod delay;
mod fractional_tick;

pub use clock::ClockConfig;
pub(crate) use clock::ConnectionClock;
pub(crate) use delay::{DelayConfig, InterpolationDelay};
pub use fractional_tick::FractionalTick;
