//! The index of slots by leaf cell that every frame carries.
//!
//! Two layers: entities at rest, in pages that frames share for as long as nobody in them stirs, and
//! movers, sorted anew every tick. A reader looks into both.

use std::sync::Arc;

use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::Pose;

use super::tree::{Entry, LeafId, SpatialHash};

/// Leaves in one page of the resting layer: small enough to sort again when one entity stirs.
pub(super) const PAGE_LEAVES: usize = 64;

/// Slots and positions by leaf.
#[derive(Clone, Debug, Default)]
pub struct CellIndex {
    pub(super) resting: Arc<Vec<Arc<Layer>>>,
    pub(super) movers: Layer,
}

/// One layer's entities of one leaf: three slices of equal length.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeafRows<'a> {
    /// The slots.
    pub slots: &'a [Slot],
    /// Their positions along x, in units, exactly as in the frame's rows.
    pub xs: &'a [f32],
    /// Their positions along y.
    pub ys: &'a [f32],
}

impl CellIndex {
    /// The entities of a leaf: those at rest, and those that move. Empty for a leaf that is not in this
    /// index.
    #[inline]
    #[must_use]
    pub fn leaf(&self, leaf: LeafId) -> [LeafRows<'_>; 2] {
        let leaf = leaf.0 as usize;
        let resting = self.resting.get(leaf / PAGE_LEAVES);
        [
            resting
                .map(|page| page.leaf(leaf % PAGE_LEAVES))
                .unwrap_or_default(),
            self.movers.leaf(leaf),
        ]
    }
}

/// Entities sorted by leaf.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// Leaf `n` has the rows `starts[n]..starts[n + 1]`.
    starts: Vec<u32>,
    slots: Vec<Slot>,
    xs: Vec<f32>,
    ys: Vec<f32>,
}

impl Layer {
    #[inline]
    fn leaf(&self, leaf: usize) -> LeafRows<'_> {
        let Some(&[start, end]) = self.starts.get(leaf..leaf + 2) else {
            return LeafRows::default();
        };
        let rows = start as usize..end as usize;
        LeafRows {
            slots: &self.slots[rows.clone()],
            xs: &self.xs[rows.clone()],
            ys: &self.ys[rows],
        }
    }

    /// Sorts the movers by leaf, by counting.
    pub(super) fn sort(&mut self, hash: &SpatialHash, movers: &[Slot]) {
        self.starts.clear();
        self.slots.resize(movers.len(), Slot(0));
        self.xs.resize(movers.len(), 0.0);
        self.ys.resize(movers.len(), 0.0);
        if movers.is_empty() {
            return;
        }
        // Counted two places ahead: after summing, place n + 1 is where leaf n's next row goes, and once
        // all are placed it is where leaf n + 1 starts.
        self.starts.resize(hash.leaf_end() + 2, 0);
        for &slot in movers {
            if let Some(leaf) = hash.leaf_of(slot) {
                self.starts[leaf.0 as usize + 2] += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        for &slot in movers {
            let (Some(entry), Some(leaf)) = (hash.entry(slot), hash.leaf_of(slot)) else {
                continue;
            };
            let cursor = &mut self.starts[leaf.0 as usize + 1];
            let row = *cursor as usize;
            *cursor += 1;
            let (x, y) = units(entry);
            (self.slots[row], self.xs[row], self.ys[row]) = (slot, x, y);
        }
        self.starts.pop();
    }

    /// The entities at rest in one page's leaves.
    pub(super) fn page(hash: &SpatialHash, page: usize, at_rest: impl Fn(Slot) -> bool) -> Self {
        let mut layer = Self::default();
        layer.starts.reserve_exact(PAGE_LEAVES + 1);
        for leaf in page * PAGE_LEAVES..(page + 1) * PAGE_LEAVES {
            layer.starts.push(layer.slots.len() as u32);
            for (slot, entry) in hash.members(leaf).filter(|&(slot, _)| at_rest(slot)) {
                let (x, y) = units(entry);
                layer.slots.push(slot);
                layer.xs.push(x);
                layer.ys.push(y);
            }
        }
        layer.starts.push(layer.slots.len() as u32);
        layer
    }
}

/// The position in units as [`Pose::position`] reads it.
#[inline]
fn units(entry: Entry) -> (f32, f32) {
    let position = Pose {
        x: entry.x,
        y: entry.y,
        ..Pose::default()
    }
    .position()
    .0;
    (position.x, position.y)
}
