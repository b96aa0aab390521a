//! Moments between two ticks, as a tick and a fraction.

use throng_shared::protocol::input::ViewTick;
use throng_shared::tick::Tick;

/// A tick and the elapsed fraction of the way to the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FractionalTick {
    /// The last tick at or before the moment.
    pub tick: Tick,
    /// The fraction of the tick that has elapsed, from 0 to below 1.
    pub fraction: f32,
}

impl FractionalTick {
    /// Returns the moment `ticks` after `origin`, or before it if negative.
    #[must_use]
    pub fn after(origin: Tick, ticks: f64) -> Self {
        let floor = ticks.floor();
        Self {
            tick: Tick(origin.0.wrapping_add_signed(floor as i32)),
            // Rounding to f32 may reach 1, which is the next tick already.
            fraction: ((ticks - floor) as f32).min(1.0 - f32::EPSILON),
        }
    }

    /// Returns the ticks from `earlier` to this moment; negative if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> f32 {
        self.tick.since(earlier.tick) as f32 + (self.fraction - earlier.fraction)
    }

    /// Returns the moment as it is sent to the server for lag compensation, in 1/256 tick.
    #[must_use]
    pub fn view(self) -> ViewTick {
        ViewTick::new(self.tick, (self.fraction * 256.0) as u8)
    }
}

impl From<Tick> for FractionalTick {
    fn from(tick: Tick) -> Self {
        Self { tick, fraction: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fractional_tick_distance_matches_the_exact_difference(origin: u32, a in -1_000.0f64..1_000.0, b in -1_000.0f64..1_000.0) {
            let (first, second) = (FractionalTick::after(Tick(origin), a), FractionalTick::after(Tick(origin), b));
            prop_assert!((f64::from(first.since(second)) - (a - b)).abs() < 1e-3);
            prop_assert!((0.0..1.0).contains(&first.fraction));
        }
    }

    #[test]
    fn view_has_a_resolution_of_256ths() {
        let moment = FractionalTick::after(Tick(u32::MAX), 1.5);
        assert_eq!(moment.tick, Tick(0));
        assert_eq!(moment.view(), ViewTick::new(Tick(0), 128));
    }
}
