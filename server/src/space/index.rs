//! The spatial hash kept in step with positions, and the index frozen from it every tick.

use std::sync::Arc;

use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

use super::cells::{CellIndex, Layer, PAGE_LEAVES};
use super::tree::{LeafId, RootKey, SpatialHash};

/// Ticks without a move after which an entity counts as resting. Long enough that one that pauses between
/// steps does not make its page be sorted again and again.
const REST_TICKS: i32 = 16;

const NOT_MOVING: u32 = u32::MAX;

/// Where every slot is, for queries during the tick and for the frame at its end.
///
/// Once per tick: [`SpatialIndex::place`] and [`SpatialIndex::remove`] what changed, then
/// [`SpatialIndex::settle`], then [`SpatialIndex::freeze`].
#[derive(Debug, Default)]
pub struct SpatialIndex {
    pub(super) hash: SpatialHash,
    resting: Arc<Vec<Arc<Layer>>>,
    movers: Vec<Slot>,
    /// By slot: its place among the movers, and the tick of its last move.
    motion: Vec<Motion>,
    stirred_pages: Vec<bool>,
    any_stirred: bool,
    changed_leaves: Vec<LeafId>,
    changed_roots: Vec<RootKey>,
}

#[derive(Clone, Copy, Debug)]
struct Motion {
    place: u32,
    moved: Tick,
}

impl SpatialIndex {
    /// Puts a new slot at a position in quanta. It counts as resting until it moves.
    pub fn insert(&mut self, slot: Slot, x: i32, y: i32) {
        if slot.index() >= self.motion.len() {
            self.motion.resize(
                slot.index() + 1,
                Motion {
                    place: NOT_MOVING,
                    moved: Tick(0),
                },
            );
        }
        self.hash.place(slot, x, y);
        self.stir_page_of(slot);
    }

    /// Moves a slot that is in the index to a position in quanta. Constant time.
    #[inline]
    pub fn place(&mut self, slot: Slot, x: i32, y: i32, tick: Tick) {
        let motion = &mut self.motion[slot.index()];
        motion.moved = tick;
        if motion.place == NOT_MOVING {
            motion.place = self.movers.len() as u32;
            self.movers.push(slot);
            self.stir_page_of(slot);
        }
        self.hash.place(slot, x, y);
    }

    /// Takes a slot out.
    pub fn remove(&mut self, slot: Slot) {
        self.stir_page_of(slot);
        self.hash.remove(slot);
        self.stop(slot);
    }

    /// Splits and merges cells, and lets those that have not moved for a while rest.
    pub fn settle(&mut self, tick: Tick) {
        self.hash.settle(tick);
        self.hash
            .take_changes(&mut self.changed_leaves, &mut self.changed_roots);
        self.changed_roots.sort_unstable();
        self.changed_roots.dedup();
        for at in 0..self.changed_leaves.len() {
            self.stir(self.changed_leaves[at]);
        }
        let mut at = 0;
        while let Some(&slot) = self.movers.get(at) {
            if tick.since(self.motion[slot.index()].moved) < REST_TICKS {
                at += 1;
                continue;
            }
            self.stop(slot);
            self.stir_page_of(slot);
        }
    }

    /// Writes the index of this tick into `into`, whose content does not matter. Sorts the movers and the
    /// pages in which somebody at rest came, went or stirred.
    pub fn freeze(&mut self, into: &mut CellIndex) {
        self.sort_stirred_pages();
        into.resting = Arc::clone(&self.resting);
        into.movers.sort(&self.hash, &self.movers);
    }

    /// The cells.
    #[must_use]
    pub fn hash(&self) -> &SpatialHash {
        &self.hash
    }

    /// Entities that have moved in the last ticks.
    #[must_use]
    pub fn mover_count(&self) -> usize {
        self.movers.len()
    }

    /// Roots in which cells came or went in this tick's [`SpatialIndex::settle`], sorted.
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

    fn stir_page_of(&mut self, slot: Slot) {
        if let Some(leaf) = self.hash.leaf_of(slot) {
            self.stir(leaf);
        }
    }

    fn stir(&mut self, leaf: LeafId) {
        let page = leaf.0 as usize / PAGE_LEAVES;
        if page >= self.stirred_pages.len() {
            self.stirred_pages.resize(page + 1, false);
        }
        self.stirred_pages[page] = true;
        self.any_stirred = true;
    }

    fn sort_stirred_pages(&mut self) {
        if !std::mem::take(&mut self.any_stirred) {
            return;
        }
        let pages = Arc::make_mut(&mut self.resting);
        pages.resize_with(self.hash.leaf_end().div_ceil(PAGE_LEAVES), Arc::default);
        for (page, stirred) in self.stirred_pages.iter_mut().enumerate() {
            if std::mem::take(stirred) {
                let at_rest = |slot: Slot| self.motion[slot.index()].place == NOT_MOVING;
                pages[page] = Arc::new(Layer::page(&self.hash, page, at_rest));
            }
        }
    }
}
