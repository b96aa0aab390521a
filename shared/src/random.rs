//! The generator of pseudo-random numbers: `SplitMix64`, the same numbers on every machine and in every release.
//!
//! Owns the generator and its finalizer [`mix`]. Guarantees that equal seeds give equal numbers: worlds, bots and
//! simulated networks are reproduced from a seed. Not for secrets, which come from
//! [`Entropy`](crate::netcode::Entropy).

use crate::hash::GOLDEN;

/// A stream of random numbers (`SplitMix64`; Steele, Lea and Flood 2014): eight bytes of state, one multiply chain per
/// number.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator whose whole output follows from `seed`.
    #[inline]
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 random bits.
    #[inline]
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Returns a number in `0..end`. Numbers below `2^64 % end` are more likely than others by `end / 2^64`.
    ///
    /// # Panics
    /// Panics if `end` is 0.
    #[inline]
    pub const fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Returns a uniformly distributed number in 0..1.
    #[inline]
    pub const fn unit(&mut self) -> f64 {
        // 53 bits fill a double's mantissa exactly.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a uniformly distributed number in -1..1.
    #[inline]
    pub const fn signed_unit(&mut self) -> f32 {
        (self.unit() * 2.0 - 1.0) as f32
    }

    /// Returns `true` with this probability, in steps of 2^-24.
    #[inline]
    pub const fn chance(&mut self, probability: f32) -> bool {
        self.within(0.0, 1.0) < probability
    }

    /// Returns a number that is evenly distributed in `low..high`, in steps of 2^-24 of the range.
    #[inline]
    pub const fn within(&mut self, low: f32, high: f32) -> f32 {
        // The highest 24 bits are exact as `f32`; 1 / 16,777,216 is 2^-24.
        low + (self.bits() >> 40) as f32 * (1.0 / 16_777_216.0) * (high - low)
    }
}

/// Scrambles the bits: the finalizer of `SplitMix64`, a bijection.
#[inline]
#[must_use]
pub const fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_match_the_published_sequence() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn unit_is_uniformly_distributed() {
        let mut random = Random::new(9);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            tenths[(random.unit() * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (900..1_100).contains(count)),
            "{tenths:?}"
        );
        assert!((0..10_000).all(|_| random.signed_unit().abs() <= 1.0));
    }
}
