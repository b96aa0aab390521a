//! The spatial hash, updated with every position, and the index that is frozen from it every tick.

use std::sync::Arc;

use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

use super::cells::{CellIndex, Layer, PAGE_LEAVES};
use super::tree::{LeafId, RoomId, RootKey, SpatialHash};

/// Ticks without a move after which an entity counts as resting. Long enough that an entity that pauses
/// between steps does not cause its page to be sorted again and again.
const REST_TICKS: i32 = 16;

const NOT_MOVING: u32 = u32::MAX;

/// The positions of all slots, for queries during the tick and for the frame at its end.
///
/// Once per tick: [`SpatialIndex::place`] and [`SpatialIndex::remove`] what changed, then
/// [`SpatialIndex::rebalance`], then [`SpatialIndex::freeze`].
#[derive(Debug, Default)]
pub struct SpatialIndex {
    pub(super) hash: SpatialHash,
    resting: Arc<Vec<Arc<Layer>>>,
    movers: Vec<Slot>,
    /// By slot: its index among the movers, and the tick of its last move.
    motion: Vec<LeafMotion>,
    dirty_pages: Vec<bool>,
    any_dirty: bool,
    changed_leaves: Vec<LeafId>,
    changed_roots: Vec<RootKey>,
}

#[derive(Clone, Copy, Debug)]
struct LeafMotion {
    place: u32,
    moved: Tick,
}

impl SpatialIndex {
    /// Puts a new slot at a position in quanta. It counts as resting until it moves.
    pub fn insert(&mut self, slot: Slot, x: i32, y: i32) {
        if slot.index() >= self.motion.len() {
            self.motion.resize(
                slot.index() + 1,
                LeafMotion {
                    place: NOT_MOVING,
                    moved: Tick(0),
                },
            );
        }
        self.hash.place(slot, x, y);
        self.mark_page_dirty(slot);
    }

    /// Moves a slot that is in the index to a position in quanta. Constant time.
    #[inline]
    pub fn place(&mut self, slot: Slot, x: i32, y: i32, tick: Tick) {
        let motion = &mut self.motion[slot.index()];
        motion.moved = tick;
        if motion.place == NOT_MOVING {
            motion.place = self.movers.len() as u32;
            self.movers.push(slot);
            self.mark_page_dirty(slot);
        }
        self.hash.place(slot, x, y);
    }

    /// Puts a slot into a room, where it is or will be inserted.
    pub fn set_room(&mut self, slot: Slot, room: RoomId) {
        self.mark_page_dirty(slot);
        self.hash.set_room(slot, room);
        self.mark_page_dirty(slot);
    }

    /// Removes a slot from the index.
    pub fn remove(&mut self, slot: Slot) {
        self.mark_page_dirty(slot);
        self.hash.remove(slot);
        self.stop(slot);
    }

    /// Splits and merges cells, and marks as resting the entities that have not moved for a while.
    pub fn rebalance(&mut self, tick: Tick) {
        self.hash.rebalance(tick);
        self.hash
            .take_changes(&mut self.changed_leaves, &mut self.changed_roots);
        self.changed_roots.sort_unstable();
        self.changed_roots.dedup();
        for at in 0..self.changed_leaves.len() {
            self.mark_dirty(self.changed_leaves[at]);
        }
        let mut at = 0;
        while let Some(&slot) = self.movers.get(at) {
            if tick.since(self.motion[slot.index()].moved) < REST_TICKS {
                at += 1;
                continue;
            }
            self.stop(slot);
            self.mark_page_dirty(slot);
        }
    }

    /// Writes the index of this tick into `into`, whose old content is discarded. Sorts the movers, and the
    /// pages in which an entity at rest came, left or began to move.
    pub fn freeze(&mut self, into: &mut CellIndex) {
        self.sort_dirty_pages();
        into.resting = Arc::clone(&self.resting);
        into.movers.sort(&self.hash, &self.movers);
    }

    /// Returns the hash of the cells.
    #[must_use]
    pub fn hash(&self) -> &SpatialHash {
        &self.hash
    }

    /// Returns the number of entities that have moved in the last ticks.
    #[must_use]
    pub fn mover_count(&self) -> usize {
        self.movers.len()
    }

    /// Returns the roots in which this tick's [`SpatialIndex::rebalance`] changed cells, sorted.
    pub(super) fn changed_roots(&self) -> &[RootKey] {
        &self.changed_roots
    }

    fn stop(&mut self, slot: Slot) {
        let Some(motion) = self.motion.get_mut(slot.index()) else {
            return;
        };
        let place = std::mem::replace(&mut motion.place, NOT_MOVING);
        if place != NOT_MOVING {
            self.movers.swap_remove(place as usize);
            if let Some(moved) = self.movers.get(place as usize) {
                self.motion[moved.index()].place = place;
            }
        }
    }

    fn mark_page_dirty(&mut self, slot: Slot) {
        if let Some(leaf) = self.hash.leaf_of(slot) {
            self.mark_dirty(leaf);
        }
    }

    fn mark_dirty(&mut self, leaf: LeafId) {
        let page = leaf.0 as usize / PAGE_LEAVES;
        if page >= self.dirty_pages.len() {
            self.dirty_pages.resize(page + 1, false);
        }
        self.dirty_pages[page] = true;
        self.any_dirty = true;
    }

    fn sort_dirty_pages(&mut self) {
        if !std::mem::take(&mut self.any_dirty) {
            return;
        }
        let pages = Arc::make_mut(&mut self.resting);
        pages.resize_with(self.hash.leaf_end().div_ceil(PAGE_LEAVES), Arc::default);
        for (page, dirty) in self.dirty_pages.iter_mut().enumerate() {
            if std::mem::take(dirty) {
                let at_rest = |slot: Slot| self.motion[slot.index()].place == NOT_MOVING;
                pages[page] = Arc::new(Layer::page(&self.hash, page, at_rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::Block;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn all_rows(index: &SpatialIndex, cells: &CellIndex) -> BTreeMap<Slot, (u32, i32, i32)> {
        let mut all = BTreeMap::new();
        for leaf in 0..index.hash().leaf_end() as u32 {
            for (slot, at) in cells
                .leaf(LeafId(leaf))
                .into_iter()
                .flatten()
                .flat_map(Block::rows)
            {
                let place = (leaf, (at.x * 100.0).round() as i32, (at.y * 100.0).round() as i32);
                assert!(all.insert(slot, place).is_none(), "{slot:?} is in both layers");
            }
        }
        all
    }

    #[test]
    fn pages_of_resting_entities_are_shared_between_frames() {
        let mut index = SpatialIndex::default();
        for slot in 0..5_000 {
            index.insert(Slot(slot), slot as i32 * 500, 0);
        }
        let freeze = |index: &mut SpatialIndex, tick| {
            let mut cells = CellIndex::default();
            index.rebalance(Tick(tick));
            index.freeze(&mut cells);
            cells
        };
        let first = freeze(&mut index, 1);
        let second = freeze(&mut index, 2);
        assert!(Arc::ptr_eq(&first.resting, &second.resting));
        index.place(Slot(0), 10, 10, Tick(3));
        let third = freeze(&mut index, 3);
        let same = second
            .resting
            .iter()
            .zip(third.resting.iter())
            .filter(|(a, b)| Arc::ptr_eq(a, b))
            .count();
        assert_eq!((same, index.mover_count()), (third.resting.len() - 1, 1));
        let later = freeze(&mut index, 3 + REST_TICKS as u32);
        assert_eq!(index.mover_count(), 0);
        assert_eq!(all_rows(&index, &later).len(), 5_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn a_frozen_index_holds_every_entity_once(
            steps in prop::collection::vec((0u32..400, prop::option::weighted(0.9, (0i32..64, 0i32..64))), 1..1200),
            per_tick in 1usize..60,
        ) {
            let mut index = SpatialIndex::default();
            let mut model = BTreeMap::new();
            let mut frozen: Vec<(CellIndex, BTreeMap<_, _>)> = Vec::new();
            for (tick, steps) in steps.chunks(per_tick).enumerate() {
                let tick = Tick(tick as u32);
                for &(slot, place) in steps {
                    let slot = Slot(slot);
                    match (place.map(|(x, y)| (x * x, y * y)), model.contains_key(&slot)) {
                        (Some((x, y)), true) => index.place(slot, x, y, tick),
                        (Some((x, y)), false) => index.insert(slot, x, y),
                        (None, _) => index.remove(slot),
                    }
                    match place {
                        Some((x, y)) => model.insert(slot, (x * x, y * y)),
                        None => model.remove(&slot),
                    };
                }
                index.rebalance(tick);
                let mut cells = CellIndex::default();
                index.freeze(&mut cells);
                let all = all_rows(&index, &cells);
                for (slot, &(leaf, x, y)) in &all {
                    prop_assert_eq!(index.hash().leaf_of(*slot), Some(LeafId(leaf)));
                    prop_assert_eq!(model.get(slot), Some(&(x, y)));
                }
                prop_assert_eq!(all.len(), model.len());
                frozen.push((cells, all));
                let (oldest, as_it_was) = &frozen[frozen.len().saturating_sub(20)];
                prop_assert_eq!(&all_rows(&index, oldest), as_it_was, "a frozen index changed");
            }
        }
    }
}
