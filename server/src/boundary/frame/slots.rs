//! The allocation of slots: stable rows for entities, grouped into chunks of one kind.
//!
//! Guarantees that the same sequence of calls gives the same slots, that a slot holds the same entity until it is
//! given back, and that a slot which was given back rests (is not handed out) for as long as any reader may still
//! hold a frame with its last entity. Hands out at most 2^24 - 1 slots.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use serde::{Deserialize, Serialize};
use throng_shared::limits::{CHUNK_SLOTS, HISTORY_TICKS};
use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// A group of entities that share chunks: all entities with the same set of replicated components, so that
/// the rows of a chunk change together or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKind(pub u16);

/// The allocator of the slots of one simulation.
#[derive(Debug, Default)]
pub(crate) struct SlotTable {
    /// Free slots by kind. The lowest is taken first, so that chunks fill up.
    free: Vec<BinaryHeap<Reverse<Slot>>>,
    kind_of_chunk: Vec<ChunkKind>,
    resting: VecDeque<(Tick, Slot)>,
    taken: usize,
}

/// The part of a [`SlotTable`] that a checkpoint stores. The taken slots are known from the entities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotTableImage {
    /// Kind of every chunk, by chunk index.
    chunks: Vec<u16>,
    /// Resting slots with the tick in which each was given back, in that order.
    resting: Vec<(Tick, u32)>,
}

impl SlotTable {
    /// Returns the table without its taken slots.
    #[must_use]
    pub(crate) fn image(&self) -> SlotTableImage {
        SlotTableImage {
            chunks: self.kind_of_chunk.iter().map(|kind| kind.0).collect(),
            resting: self.resting.iter().map(|&(tick, slot)| (tick, slot.0)).collect(),
        }
    }

    /// Restores the table from which `image` was made while exactly the slots `taken` were taken. Returns `None` when
    /// the two contradict each other.
    #[must_use]
    pub(crate) fn from_image(image: &SlotTableImage, taken: impl IntoIterator<Item = Slot>) -> Option<Self> {
        let end = image.chunks.len() * CHUNK_SLOTS;
        if end > Slot::MAX.index() + 1 {
            return None;
        }
        let mut used = vec![false; end];
        let mut table = Self::default();
        let resting = image.resting.iter().map(|&(_, slot)| Slot(slot));
        for (slot, rests) in taken
            .into_iter()
            .map(|slot| (slot, false))
            .chain(resting.map(|slot| (slot, true)))
        {
            let is_used = used.get_mut(slot.index()).filter(|_| slot != Slot::MAX)?;
            if std::mem::replace(is_used, true) {
                return None;
            }
            table.taken += usize::from(!rests);
        }
        for (chunk, &kind) in image.chunks.iter().enumerate() {
            let kind = usize::from(kind);
            if table.free.len() <= kind {
                table.free.resize_with(kind + 1, BinaryHeap::new);
            }
            let slots = chunk * CHUNK_SLOTS..(chunk + 1) * CHUNK_SLOTS;
            let free = slots.filter(|&slot| !used[slot] && slot < Slot::MAX.index());
            table.free[kind].extend(free.map(|slot| Reverse(Slot(slot as u32))));
        }
        table.kind_of_chunk = image.chunks.iter().map(|&kind| ChunkKind(kind)).collect();
        table.resting = image
            .resting
            .iter()
            .map(|&(tick, slot)| (tick, Slot(slot)))
            .collect();
        Some(table)
    }

    /// Takes the lowest free slot of `kind`; opens a chunk when none is free. Returns `None` when all 2^24 - 1
    /// slots are taken or resting.
    pub(crate) fn take(&mut self, kind: ChunkKind) -> Option<Slot> {
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

    /// Gives a slot back at `tick`. It is handed out again only after it has rested.
    pub(crate) fn give_back(&mut self, slot: Slot, tick: Tick) {
        self.taken -= 1;
        self.resting.push_back((tick, slot));
    }

    /// Frees the slots that have rested for the whole history at `tick`.
    pub(crate) fn wake_rested(&mut self, tick: Tick) {
        while let Some(&(since, slot)) = self.resting.front() {
            if tick.since(since) < HISTORY_TICKS as i32 {
                return;
            }
            self.resting.pop_front();
            let kind = self.kind_of_chunk[slot.index() / CHUNK_SLOTS];
            self.free[usize::from(kind.0)].push(Reverse(slot));
        }
    }

    /// Returns the number of slots with an entity.
    #[must_use]
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the end of the slots in use: one past the highest slot that was ever handed out, rounded up to a chunk.
    #[must_use]
    pub(crate) fn end(&self) -> usize {
        self.kind_of_chunk.len() * CHUNK_SLOTS
    }

    fn open_chunk(&mut self, kind: ChunkKind) {
        let first = self.end();
        // The highest slot is never handed out, because its number stands for "no slot".
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
    fn entities_of_different_kinds_do_not_share_chunks() {
        let mut table = SlotTable::default();
        let a: Vec<_> = (0..300).map(|_| table.take(ChunkKind(0)).unwrap()).collect();
        let b = table.take(ChunkKind(3)).unwrap();
        let c = table.take(ChunkKind(0)).unwrap();
        assert_eq!(a, (0..300).map(Slot).collect::<Vec<_>>());
        assert_eq!(
            (b, c, table.end(), table.taken()),
            (Slot(512), Slot(300), 768, 302)
        );
    }

    #[test]
    fn take_returns_none_after_the_last_slot() {
        let mut table = SlotTable::default();
        let mut taken = 0usize;
        while table.take(ChunkKind(0)).is_some() {
            taken += 1;
        }
        assert_eq!(taken, (1 << 24) - 1);
    }

    #[test]
    fn an_image_that_contradicts_its_entities_is_refused() {
        let mut table = SlotTable::default();
        let slots: Vec<_> = (0..3).map(|_| table.take(ChunkKind(1)).unwrap()).collect();
        table.give_back(slots[1], Tick(7));
        let image = table.image();
        let accepted = |taken: &[u32]| SlotTable::from_image(&image, taken.iter().map(|&slot| Slot(slot)));
        assert!(accepted(&[0, 2]).is_some());
        assert!(accepted(&[0, 1]).is_none(), "rests");
        assert!(accepted(&[2, 2]).is_none(), "twice");
        assert!(accepted(&[256]).is_none(), "no such chunk");
        assert!(accepted(&[u32::MAX]).is_none());
    }

    proptest! {
        #[test]
        fn a_restored_table_hands_out_the_same_slots_as_the_original(
            before in prop::collection::vec((0u16..3, 0u8..4), 0..400),
            after in prop::collection::vec((0u16..3, 0u8..4), 1..400),
        ) {
            let (mut table, mut alive) = (SlotTable::default(), Vec::new());
            let step = |table: &mut SlotTable, alive: &mut Vec<Slot>, tick: usize, (kind, action): (u16, u8)| {
                let tick = Tick(tick as u32);
                table.wake_rested(tick);
                if action == 0 && !alive.is_empty() {
                    let slot = alive.remove(usize::from(kind) % alive.len());
                    table.give_back(slot, tick);
                    slot
                } else {
                    alive.push(table.take(ChunkKind(kind)).unwrap());
                    alive[alive.len() - 1]
                }
            };
            for (tick, &action) in before.iter().enumerate() {
                step(&mut table, &mut alive, tick, action);
            }
            let mut restored = SlotTable::from_image(&table.image(), alive.iter().copied()).unwrap();
            let mut restored_alive = alive.clone();
            for (tick, &action) in after.iter().enumerate() {
                let tick = before.len() + tick;
                let expected = step(&mut table, &mut alive, tick, action);
                prop_assert_eq!(step(&mut restored, &mut restored_alive, tick, action), expected);
                prop_assert_eq!((restored.taken(), restored.end()), (table.taken(), table.end()));
            }
        }

        #[test]
        fn a_slot_holds_one_entity_and_rests_64_ticks(steps in prop::collection::vec((0u16..3, 0u8..4), 1..400)) {
            let mut table = SlotTable::default();
            let mut alive: Vec<(ChunkKind, Slot)> = Vec::new();
            let mut freed: BTreeMap<Slot, Tick> = BTreeMap::new();
            for (tick, (kind, action)) in steps.into_iter().enumerate() {
                let tick = Tick(tick as u32);
                table.wake_rested(tick);
                if action == 0 && !alive.is_empty() {
                    let (_, slot) = alive.remove(usize::from(kind) % alive.len());
                    table.give_back(slot, tick);
                    freed.insert(slot, tick);
                } else {
                    let slot = table.take(ChunkKind(kind)).unwrap();
                    prop_assert!(alive.iter().all(|&(_, other)| other != slot));
                    for &(other_kind, other) in &alive {
                        prop_assert!(other.0 / 256 != slot.0 / 256 || other_kind == ChunkKind(kind));
                    }
                    if let Some(since) = freed.remove(&slot) {
                        prop_assert!(tick.since(since) >= 64);
                    }
                    alive.push((ChunkKind(kind), slot));
                }
                prop_assert_eq!(table.taken(), alive.len());
            }
        }
    }
}
