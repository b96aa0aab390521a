//! Which slots are taken: stable rows for entities, grouped into chunks of one kind.
//!
//! Guarantees that the same sequence of calls gives the same slots, that a slot keeps its entity's state
//! for as long as the entity lives, and that a freed one rests for as long as any reader may still hold a
//! frame with its last tenant. Refuses to hand out more than 2^24 - 1 slots.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use throng_shared::limits::{CHUNK_SLOTS, HISTORY_TICKS};
use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// A group of entities that share chunks: those with the same set of replicated components, so that
/// a chunk's rows change together or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

/// The slots of one simulation.
#[derive(Debug, Default)]
pub struct SlotTable {
    /// Free slots of every kind, lowest first, so that chunks fill up.
    free: Vec<BinaryHeap<Reverse<Slot>>>,
    kind_of_chunk: Vec<Kind>,
    resting: VecDeque<(Tick, Slot)>,
    taken: usize,
}

impl SlotTable {
    /// Takes the lowest free slot of `kind`, opening a chunk when none is free. `None` when all 2^24 - 1
    /// slots are taken or resting.
    pub fn take(&mut self, kind: Kind) -> Option<Slot> {
        let index = usize::from(kind.0);
        if self.free.len() <= index {
            self.free.resize_with(index + 1, BinaryHeap::new);
        }
        if self.free[index].is_empty() {
            self.open_chunk(kind);
        }
        let Reverse(slot) = self.free[index].pop()?;
        self.taken += 1;
        Some(slot)
    }

    /// Gives a slot back at `tick`. It is handed out again after it has rested.
    pub fn give_back(&mut self, slot: Slot, tick: Tick) {
        self.taken -= 1;
        self.resting.push_back((tick, slot));
    }

    /// Frees the slots that have rested for the whole history at `tick`.
    pub fn wake_rested(&mut self, tick: Tick) {
        while let Some(&(since, slot)) = self.resting.front() {
            if tick.since(since) < HISTORY_TICKS as i32 {
                return;
            }
            self.resting.pop_front();
            let kind = self.kind_of_chunk[slot.index() / CHUNK_SLOTS];
            self.free[usize::from(kind.0)].push(Reverse(slot));
        }
    }

    /// Slots with an entity.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// One past the highest slot that was ever handed out, rounded up to a chunk.
    #[must_use]
    pub fn end(&self) -> usize {
        self.kind_of_chunk.len() * CHUNK_SLOTS
    }

    fn open_chunk(&mut self, kind: Kind) {
        let first = self.end();
        // The highest slot stays out, so that "no slot" never looks like one.
        let slots = (first..first + CHUNK_SLOTS).filter(|&slot| slot < Slot::MAX.index());
        let slots: Vec<_> = slots.map(|slot| Reverse(Slot(slot as u32))).collect();
        if !slots.is_empty() {
            self.kind_of_chunk.push(kind);
            self.free[usize::from(kind.0)].extend(slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn kinds_do_not_share_chunks() {
        let mut table = SlotTable::default();
        let a: Vec<_> = (0..300).map(|_| table.take(Kind(0)).unwrap()).collect();
        let b = table.take(Kind(3)).unwrap();
        let c = table.take(Kind(0)).unwrap();
        assert_eq!(a, (0..300).map(Slot).collect::<Vec<_>>());
        assert_eq!(
            (b, c, table.end(), table.taken()),
            (Slot(512), Slot(300), 768, 302)
        );
    }

    #[test]
    fn stops_at_the_last_slot() {
        let mut table = SlotTable::default();
        let mut taken = 0usize;
        while table.take(Kind(0)).is_some() {
            taken += 1;
        }
        assert_eq!(taken, (1 << 24) - 1);
    }

    proptest! {
        #[test]
        fn a_slot_has_one_tenant_and_rests_64_ticks(steps in prop::collection::vec((0u16..3, 0u8..4), 1..400)) {
            let mut table = SlotTable::default();
            let mut alive: Vec<(Kind, Slot)> = Vec::new();
            let mut freed: BTreeMap<Slot, Tick> = BTreeMap::new();
            for (tick, (kind, what)) in steps.into_iter().enumerate() {
                let tick = Tick(tick as u32);
                table.wake_rested(tick);
                if what == 0 && !alive.is_empty() {
                    let (_, slot) = alive.remove(usize::from(kind) % alive.len());
                    table.give_back(slot, tick);
                    freed.insert(slot, tick);
                } else {
                    let slot = table.take(Kind(kind)).unwrap();
                    prop_assert!(alive.iter().all(|&(_, other)| other != slot));
                    for &(other_kind, other) in &alive {
                        prop_assert!(other.0 / 256 != slot.0 / 256 || other_kind == Kind(kind));
                    }
                    if let Some(since) = freed.remove(&slot) {
                        prop_assert!(tick.since(since) >= 64);
                    }
                    alive.push((Kind(kind), slot));
                }
                prop_assert_eq!(table.taken(), alive.len());
            }
        }
    }
}
