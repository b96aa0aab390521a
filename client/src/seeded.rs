//! A small seeded random generator (`SplitMix64`) for jitter and bots: equal seeds give equal runs. Not for
//! secrets.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight bytes of state, one multiply chain per number.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// Creates a generator whose whole output follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a uniformly distributed number in 0..1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits fill a double's mantissa exactly.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a uniformly distributed number in -1..1.
    pub fn signed_unit(&mut self) -> f32 {
        (self.unit() * 2.0 - 1.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_match_the_published_sequence() {
        let mut random = Seeded::new(1_234_567);
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
        let mut random = Seeded::new(9);
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
