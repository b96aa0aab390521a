//! Encoded differences, shared by all clients of a worker.
//!
//! Most clients that see an entity have acknowledged the same recent tick of it, so most differences are
//! needed many times. The cache is direct-mapped by age and slot, and filled at the first use in a tick: 16
//! bytes for each slot and each age in use.

use throng_shared::protocol::delta::DeltaBits;
use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// Baselines up to this many ticks old are cached.
const CACHED_AGE_MAX: u32 = 8;

/// The change of an entity since a given tick, for all clients that have its state of that tick.
///
/// Two words, so that it is passed in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    bits: u64,
    /// From the lowest bits: length of the difference 8, ticks since the row changed 8, flags.
    rest: u32,
}

const HAS_COMPONENTS: u32 = 1 << 16;
/// Used in the cache only.
const IS_FILLED: u32 = 1 << 17;

impl Change {
    /// Packs a change into two words.
    ///
    /// `delta` is `None` where the difference does not fit and the state has to be absolute. `unchanged` is
    /// the number of ticks since the row changed, at most 255. `has_components` is whether components,
    /// or the rule of who may see them, may have changed as well.
    pub(super) fn new(delta: Option<DeltaBits>, unchanged: u32, has_components: bool) -> Self {
        let delta = delta.unwrap_or_default();
        let flags = if has_components { HAS_COMPONENTS } else { 0 };
        Self {
            bits: delta.bits,
            rest: u32::from(delta.len) | unchanged.min(255) << 8 | flags,
        }
    }

    /// Returns the difference; its `len` is 0 where the state has to be absolute.
    #[inline(always)]
    pub(super) fn delta(self) -> DeltaBits {
        DeltaBits {
            bits: self.bits,
            len: self.rest as u8,
        }
    }

    /// Returns the ticks since the row changed, at most 255.
    #[inline(always)]
    pub(super) fn unchanged(self) -> u32 {
        self.rest >> 8 & 255
    }

    /// Returns whether the change is a difference without components.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        self.rest as u8 > 0 && !self.has_components()
    }

    #[inline(always)]
    pub(super) fn has_components(self) -> bool {
        self.rest & HAS_COMPONENTS != 0
    }
}

/// A change and the tick for which it was encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CacheEntry {
    bits: u64,
    /// The rest of the change, and [`IS_FILLED`].
    rest: u32,
    tick: Tick,
}

impl CacheEntry {
    /// Returns the change, if it is one of `tick`.
    #[inline(always)]
    pub(super) fn change(&self, tick: Tick) -> Option<Change> {
        (self.tick == tick && self.rest & IS_FILLED != 0).then_some(Change {
            bits: self.bits,
            rest: self.rest,
        })
    }
}

/// The differences of one simulation's newest frame.
#[derive(Debug, Default)]
pub(super) struct EncodeCache {
    ages: [Vec<CacheEntry>; CACHED_AGE_MAX as usize],
    /// Updates found in the cache, and changes that had to be encoded.
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl EncodeCache {
    /// Returns the changes within the last `age` ticks, by slot. Empty for ages that are not cached.
    #[inline(always)]
    pub(super) fn entries(&self, age: u32) -> &[CacheEntry] {
        self.ages
            .get(age.wrapping_sub(1) as usize)
            .map_or(&[], |entries| entries)
    }

    /// Returns the change of `slot` from `age` ticks before `tick` until `tick`, if it is cached.
    #[inline(always)]
    pub(super) fn find(&self, tick: Tick, age: u32, slot: Slot) -> Option<Change> {
        self.entries(age).get(slot.index())?.change(tick)
    }

    /// Stores a change for the worker's next clients, if its age is one that is cached.
    pub(super) fn put(&mut self, tick: Tick, age: u32, slot: Slot, change: Change) {
        self.misses += 1;
        let Some(entries) = self.ages.get_mut(age.wrapping_sub(1) as usize) else {
            return;
        };
        if slot.index() >= entries.len() {
            entries.resize((slot.index() + 1).next_multiple_of(256), CacheEntry::default());
        }
        entries[slot.index()] = CacheEntry {
            bits: change.bits,
            rest: change.rest | IS_FILLED,
            tick,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_change_is_found_only_by_its_slot_age_and_tick() {
        assert_eq!(size_of::<CacheEntry>(), 16);
        let mut cache = EncodeCache::default();
        // Tick 0 is an ordinary tick, and does not mark an empty entry.
        for (tick, age, slot, bits) in [(0, 1, 300, 1), (0, 8, 300, 2), (0, 1, 299, 3), (1, 1, 300, 4)] {
            let (tick, slot) = (Tick(tick), Slot(slot));
            assert_eq!(cache.find(tick, age, slot), None);
            let delta = DeltaBits { bits, len: 56 };
            cache.put(
                tick,
                age,
                slot,
                Change::new(Some(delta), 1_000 * (age - 1), bits == 2),
            );
            let found = cache.find(tick, age, slot).unwrap();
            assert_eq!((found.delta(), found.has_components()), (delta, bits == 2));
            assert_eq!(found.unchanged(), if age == 1 { 0 } else { 255 });
        }
        for age in [0, 9, 31, u32::MAX] {
            cache.put(Tick(1), age, Slot(0), Change::default());
            assert_eq!(cache.find(Tick(1), age, Slot(0)), None);
        }
    }
}
