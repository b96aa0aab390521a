//! Random numbers that depend only on the seed, the entity and the tick.
//!
//! There is no generator with a state that would make numbers depend on the order of calls. A number is a
//! function of (seed, entity, tick), so that any chunk of entities can be computed on any thread.

use bevy_ecs::prelude::Resource;
use throng_shared::hash::GOLDEN;
use throng_shared::protocol::ids::GlobalId;
pub use throng_shared::random::Random;
use throng_shared::random::mix;
use throng_shared::tick::Tick;

/// The seed of a simulation, from which all its random numbers follow.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// Returns the random numbers of one entity in one tick.
    #[inline]
    #[must_use]
    pub fn of(self, entity: GlobalId, tick: Tick) -> Random {
        let of_entity = mix(self.0 ^ mix(entity.0));
        Random::new(of_entity ^ u64::from(tick.0).wrapping_mul(GOLDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_even_over_entities_and_over_ticks() {
        for over_ticks in [false, true] {
            let mut buckets = [0u32; 16];
            for n in 0..160_000u32 {
                let (entity, tick) = if over_ticks { (7, n) } else { (n, 7) };
                let turn = Seed(1)
                    .of(GlobalId(u64::from(entity)), Tick(tick))
                    .within(-0.3, 0.3);
                assert!((-0.3..0.3).contains(&turn));
                buckets[((turn + 0.3) / 0.6 * 16.0) as usize] += 1;
            }
            // 10,000 each; four standard deviations are 400.
            assert!(
                buckets.iter().all(|&count| (9_600..10_400).contains(&count)),
                "{buckets:?}"
            );
        }
    }

    #[test]
    fn random_numbers_depend_on_seed_entity_and_tick() {
        let bits = |seed, entity, tick| Seed(seed).of(GlobalId(entity), Tick(tick)).bits();
        assert_eq!(bits(1, 2, 3), bits(1, 2, 3));
        assert!(bits(1, 2, 3) != bits(2, 2, 3) && bits(1, 2, 3) != bits(1, 3, 3));
        assert!(bits(1, 2, 3) != bits(1, 2, 4) && bits(1, 2, 3) != bits(3, 2, 1));
    }
}
