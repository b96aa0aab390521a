//! Encoded differences, shared by all clients of a worker.
//!
//! Most clients that see an entity have acknowledged the same recent tick of it, so most differences are
//! asked for many times. Direct-mapped by age and slot, filled when first asked for in a tick: 16 bytes for
//! each slot and each age in use.

use throng_shared::protocol::delta::DeltaBits;
use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// Baselines up to this many ticks old are cached.
pub(super) const CACHED_AGE_MAX: u32 = 8;

/// What is to be said of an entity to those who have its state of a given tick. In two words, so that it is
/// handed on in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    bits: u64,
    /// Length of the difference, and [`HAS_COMPONENTS`].
    rest: u32,
}

const HAS_COMPONENTS: u32 = 1 << 8;

impl Change {
    /// `delta` is `None` where only an absolute state will do; `has_components` says whether components, or
    /// who may see them, may have changed as well.
    pub(super) fn new(delta: Option<DeltaBits>, has_components: bool) -> Self {
        let delta = delta.unwrap_or_default();
        Self {
            bits: delta.bits,
            rest: u32::from(delta.len) | if has_components { HAS_COMPONENTS } else { 0 },
        }
    }

    /// The difference; `len` is 0 where only an absolute state will do.
    #[inline(always)]
    pub(super) fn delta(self) -> DeltaBits {
        DeltaBits {
            bits: self.bits,
            len: self.rest as u8,
        }
    }

    #[inline(always)]
    pub(super) fn has_components(self) -> bool {
        self.rest & HAS_COMPONENTS != 0
    }
}

/// A change and the tick for which it was encoded.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    bits: u64,
    /// The change's, and [`IS_FILLED`].
    rest: u32,
    tick: Tick,
}

const IS_FILLED: u32 = 1 << 16;

/// The differences of one simulation's newest frame.
#[derive(Debug, Default)]
pub(super) struct EncodeCache {
    ages: [Vec<Entry>; CACHED_AGE_MAX as usize],
    pub(super) lookups: u64,
    pub(super) misses: u64,
}

impl EncodeCache {
    /// The change of `slot` from `age` (1..=[`CACHED_AGE_MAX`]) ticks before `tick` until `tick`, encoded by
    /// `encode` when this is the first time it is asked for.
    #[inline(always)]
    pub(super) fn get(&mut self, tick: Tick, age: u32, slot: Slot, encode: impl FnOnce() -> Change) -> Change {
        if let Some(entry) = self.ages[age as usize - 1].get(slot.index())
            && entry.tick == tick
            && entry.rest & IS_FILLED != 0
        {
            return Change {
                bits: entry.bits,
                rest: entry.rest,
            };
        }
        let change = encode();
        self.put(tick, age, slot, change);
        change
    }

    #[inline(never)]
    fn put(&mut self, tick: Tick, age: u32, slot: Slot, change: Change) {
        self.misses += 1;
        let entries = &mut self.ages[age as usize - 1];
        if slot.index() >= entries.len() {
            entries.resize((slot.index() + 1).next_multiple_of(256), Entry::default());
        }
        entries[slot.index()] = Entry {
            bits: change.bits,
            rest: change.rest | IS_FILLED,
            tick,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(bits: u64) -> Change {
        Change::new(Some(DeltaBits { bits, len: 20 }), bits & 1 == 1)
    }

    #[test]
    fn an_entry_serves_its_slot_age_and_tick_only() {
        assert_eq!(size_of::<Entry>(), 16);
        let mut cache = EncodeCache::default();
        // Tick 0 is a tick like others, not an empty entry's.
        for (tick, age, slot, bits) in [(0, 1, 300, 1), (0, 8, 300, 2), (0, 1, 299, 3), (1, 1, 300, 4)] {
            let first = cache.get(Tick(tick), age, Slot(slot), || change(bits));
            let again = cache.get(Tick(tick), age, Slot(slot), || unreachable!("it is in the cache"));
            for found in [first, again] {
                assert_eq!(found.delta(), change(bits).delta());
                assert_eq!(found.has_components(), bits & 1 == 1);
            }
        }
        assert_eq!(cache.misses, 4);
    }
}
