//! Places in time between ticks.

use throng_shared::protocol::input::ViewTick;
use throng_shared::tick::Tick;

/// A tick and the part of the way to the next one that has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FractionalTick {
    /// The tick.
    pub tick: Tick,
    /// From 0 to below 1.
    pub fraction: f32,
}

impl FractionalTick {
    /// The moment `ticks` after `origin`, or before it where negative.
    #[must_use]
    pub fn after(origin: Tick, ticks: f64) -> Self {
        let whole = ticks.floor();
        Self {
            tick: Tick(origin.0.wrapping_add_signed(whole as i32)),
            // Rounding to f32 may reach 1, which is the next tick already.
            fraction: ((ticks - whole) as f32).min(1.0 - f32::EPSILON),
        }
    }

    /// Ticks from `earlier` to this moment; negative when that is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> f32 {
        self.tick.since(earlier.tick) as f32 + (self.fraction - earlier.fraction)
    }

    /// As the server is told it, for lag compensation.
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
        fn distances_are_those_of_the_numbers(origin: u32, a in -1_000.0f64..1_000.0, b in -1_000.0f64..1_000.0) {
            let (first, second) = (FractionalTick::after(Tick(origin), a), FractionalTick::after(Tick(origin), b));
            prop_assert!((f64::from(first.since(second)) - (a - b)).abs() < 1e-3);
            prop_assert!((0.0..1.0).contains(&first.fraction));
        }
    }

    #[test]
    fn the_server_is_told_256ths() {
        let moment = FractionalTick::after(Tick(u32::MAX), 1.5);
        assert_eq!(moment.tick, Tick(0));
        assert_eq!(moment.view(), ViewTick::new(Tick(0), 128));
    }
}
