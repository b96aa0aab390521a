//! Time in ticks: the clocks of a session, the delay of interpolation, and times between ticks.

mod clock;
mod delay;
mod fractional_tick;

pub use clock::ClockConfig;
pub(crate) use clock::ConnectionClock;
pub(crate) use delay::{DelayConfig, InterpolationDelay};
pub use fractional_tick::FractionalTick;
