//! Simulation ticks: the one clock that frames, snapshots and inputs share.
//!
//! Owns the conversion between a tick and its 16-bit wire form. Guarantees that a wire tick is
//! recovered without error if it is within 32,767 ticks (27 minutes at 20 Hz) of the reference.
//! Knows nothing about wall-clock time: the tick rate belongs to the program that runs the loop.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Number of a simulation step, the same for every simulation of a realm.
///
/// The derived order is the plain order of the numbers, which is right during one server's lifetime
/// (6.8 years at 20 Hz). [`Tick::since`] and [`Tick::is_after`] also hold across the wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tick(pub u32);

impl Tick {
    /// Returns the low 16 bits, as sent in packets.
    #[inline]
    #[must_use]
    pub const fn wire(self) -> u16 {
        self.0 as u16
    }

    /// Returns the tick nearest to `reference` whose wire form is `wire`.
    ///
    /// Of two that are equally far (32,768 ticks away) it returns the older one.
    #[inline]
    #[must_use]
    pub const fn unwrap_near(wire: u16, reference: Self) -> Self {
        // Read as a signed number, the wrapped difference is the shorter way around the 16-bit circle.
        let ahead = wire.wrapping_sub(reference.wire()) as i16;
        Self(reference.0.wrapping_add_signed(ahead as i32))
    }

    /// Returns the ticks from `older` to `self`; negative when `older` is in fact the newer one.
    #[inline]
    #[must_use]
    pub const fn since(self, older: Self) -> i32 {
        self.0.wrapping_sub(older.0) as i32
    }

    /// Returns whether `self` comes after `other`, also across the wrap-around of the counter.
    #[inline]
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.since(other) > 0
    }

    /// Returns the tick after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl Add<u32> for Tick {
    type Output = Self;

    #[inline]
    fn add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }
}

impl AddAssign<u32> for Tick {
    #[inline]
    fn add_assign(&mut self, ticks: u32) {
        *self = *self + ticks;
    }
}

impl Sub<u32> for Tick {
    type Output = Self;

    #[inline]
    fn sub(self, ticks: u32) -> Self {
        Self(self.0.wrapping_sub(ticks))
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_unwrap_across_the_16_bit_and_the_32_bit_wrap() {
        for edge in [0x0000_ffffu32, 0x7fff_ffff, u32::MAX] {
            for (from, to) in [(-3i32, 4i32), (4, -3), (-300, 300), (300, -300)] {
                let reference = Tick(edge.wrapping_add_signed(from));
                let tick = Tick(edge.wrapping_add_signed(to));
                assert_eq!(Tick::unwrap_near(tick.wire(), reference), tick);
                assert_eq!(tick.since(reference), to - from);
                assert_eq!(tick.is_after(reference), to > from);
            }
        }
        assert_eq!(Tick(u32::MAX).next(), Tick(0));
    }

    proptest! {
        #[test]
        fn ticks_unwrap_within_half_the_wire_range(reference: u32, ahead in -32_768i32..=32_767) {
            let tick = Tick(reference.wrapping_add_signed(ahead));
            prop_assert_eq!(Tick::unwrap_near(tick.wire(), Tick(reference)), tick);
            prop_assert_eq!(tick.since(Tick(reference)), ahead);
        }

        #[test]
        fn adding_and_subtracting_ticks_cancel(tick: u32, ticks: u32) {
            let mut moved = Tick(tick);
            moved += ticks;
            prop_assert_eq!(moved - ticks, Tick(tick));
        }
    }
}
