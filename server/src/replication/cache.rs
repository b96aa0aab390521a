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

/// What is to be said of an entity to those who have its state of a given tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The difference; `len` is 0 where only an absolute state will do.
    pub(super) delta: DeltaBits,
    /// Whether its components, or who may see them, may have changed as well.
    pub(super) has_components: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bits: u64,
    tick: Tick,
    len: u8,
    has_components: bool,
    is_filled: bool,
}

const EMPTY: Entry = Entry {
    bits: 0,
    tick: Tick(0),
    len: 0,
    has_components: false,
    is_filled: false,
};

/// The differences of one simulation's newest frame.
#[derive(Debug, Default)]
pub(super) struct EncodeCache {
    ages: [Vec<Entry>; CACHED_AGE_MAX as usize],
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl EncodeCache {
    /// The change of `slot` from `age` (1..=[`CACHED_AGE_MAX`]) ticks before `tick` until `tick`, encoded by
    /// `encode` when this is the first time it is asked for.
    #[inline(always)]
    pub(super) fn get(
        &mut self,
        tick: Tick,
        age: u32,
        slot: Slot,
        encode: impl FnOnce() -> Change,
    ) -> Change {
        let entries = &mut self.ages[age as usize - 1];
        if let Some(entry) = entries.get(slot.index())
            && entry.tick == tick
            && entry.is_filled
        {
            self.hits += 1;
            return Change {
                delta: DeltaBits {
                    bits: entry.bits,
                    len: entry.len,
                },
                has_components: entry.has_components,
            };
        }
        self.misses += 1;
        let change = encode();
        if slot.index() >= entries.len() {
            entries.resize((slot.index() + 1).next_multiple_of(256), EMPTY);
        }
        entries[slot.index()] = Entry {
            bits: change.delta.bits,
            tick,
            len: change.delta.len,
            has_components: change.has_components,
            is_filled: true,
        };
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(bits: u64) -> Change {
        Change {
            delta: DeltaBits { bits, len: 20 },
            has_components: bits & 1 == 1,
        }
    }

    #[test]
    fn an_entry_serves_its_slot_age_and_tick_only() {
        assert_eq!(size_of::<Entry>(), 16);
        let mut cache = EncodeCache::default();
        // Tick 0 is a tick like others, not an empty entry's.
        for (tick, age, slot, bits) in [(0, 1, 300, 1), (0, 8, 300, 2), (0, 1, 299, 3), (1, 1, 300, 4)] {
            let first = cache.get(Tick(tick), age, Slot(slot), || change(bits));
            let again = cache.get(Tick(tick), age, Slot(slot), || unreachable!("it is in the cache"));
            assert_eq!((first, again), (change(bits), change(bits)));
        }
        assert_eq!((cache.hits, cache.misses), (4, 4));
    }
}
