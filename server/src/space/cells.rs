//! The index of slots by leaf cell that every frame carries.
//!
//! It has two layers: entities at rest, in pages that frames share while no entity in them changes, and
//! moving entities, sorted again every tick. A reader reads both.

use std::sync::Arc;

use glam::{Vec2, Vec4};
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::Pose;

use super::tree::{LeafId, SpatialHash, TreeEntry};

/// Leaves in one page of the resting layer: few enough to sort the page again when one entity changes.
pub(super) const PAGE_LEAVES: usize = 64;

/// Slots and positions by leaf.
#[derive(Clone, Debug, Default)]
pub struct CellIndex {
    pub(super) resting: Arc<Vec<Arc<Layer>>>,
    pub(super) movers: Layer,
}

/// Entities that one [`Block`] has room for.
pub(crate) const BLOCK: usize = 4;

/// Entities of one leaf that are processed together: index `i` is the entity of `slots[i]`. The last block of
/// a leaf has indices without an entity, at an infinite position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// Positions along x, in units, exactly as in the frame's rows.
    pub xs: Vec4,
    /// Positions along y, in the same units.
    pub ys: Vec4,
    /// The entities' slots in the frame.
    pub slots: [Slot; BLOCK],
}

impl Block {
    const EMPTY: Self = Self {
        xs: Vec4::INFINITY,
        ys: Vec4::INFINITY,
        slots: [Slot(0); BLOCK],
    };

    /// Returns the entities with their positions.
    pub fn rows(&self) -> impl Iterator<Item = (Slot, Vec2)> {
        let Self { xs, ys, slots } = *self;
        (0..BLOCK)
            .map(move |at| (slots[at], Vec2::new(xs[at], ys[at])))
            .filter(|(_, position)| position.is_finite())
    }

    #[inline]
    fn set(&mut self, at: usize, slot: Slot, position: Vec2) {
        (self.xs[at], self.ys[at]) = (position.x, position.y);
        self.slots[at] = slot;
    }
}

impl CellIndex {
    /// Returns the entities of a leaf: those at rest, and those that move. Empty for a leaf that is not in
    /// this index.
    #[inline]
    #[must_use]
    pub fn leaf(&self, leaf: LeafId) -> [&[Block]; 2] {
        let leaf = leaf.0 as usize;
        let resting = self.resting.get(leaf / PAGE_LEAVES);
        [
            resting.map_or(&[], |page| page.leaf(leaf % PAGE_LEAVES)),
            self.movers.leaf(leaf),
        ]
    }
}

/// The entities of one layer, sorted by leaf.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    /// Leaf `n` has the blocks `starts[n]..starts[n + 1]`.
    starts: Vec<u32>,
    blocks: Vec<Block>,
    /// By leaf, while sorting: the index of its next entity.
    places: Vec<u32>,
}

impl Layer {
    #[inline]
    fn leaf(&self, leaf: usize) -> &[Block] {
        let Some(&[start, end]) = self.starts.get(leaf..leaf + 2) else {
            return &[];
        };
        self.blocks.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Sorts the moving entities by leaf, with a counting sort.
    pub(super) fn sort(&mut self, hash: &SpatialHash, movers: &[Slot]) {
        self.starts.clear();
        self.blocks.clear();
        self.places.clear();
        if movers.is_empty() {
            return;
        }
        self.places.resize(hash.leaf_end(), 0);
        for &slot in movers {
            if let Some(leaf) = hash.leaf_of(slot) {
                self.places[leaf.0 as usize] += 1;
            }
        }
        let mut end = 0;
        for place in &mut self.places {
            self.starts.push(end);
            let count = std::mem::replace(place, end * BLOCK as u32);
            end += count.div_ceil(BLOCK as u32);
        }
        self.starts.push(end);
        self.blocks.resize(end as usize, Block::EMPTY);
        for &slot in movers {
            let (Some(entry), Some(leaf)) = (hash.entry(slot), hash.leaf_of(slot)) else {
                continue;
            };
            let place = &mut self.places[leaf.0 as usize];
            let at = *place as usize;
            *place += 1;
            self.blocks[at / BLOCK].set(at % BLOCK, slot, units(entry));
        }
    }

    /// Returns the entities at rest in one page's leaves.
    pub(super) fn page(hash: &SpatialHash, page: usize, at_rest: impl Fn(Slot) -> bool) -> Self {
        let mut layer = Self::default();
        layer.starts.reserve_exact(PAGE_LEAVES + 1);
        for leaf in page * PAGE_LEAVES..(page + 1) * PAGE_LEAVES {
            layer.starts.push(layer.blocks.len() as u32);
            let members = hash.members(leaf).filter(|&(slot, _)| at_rest(slot));
            for (at, (slot, entry)) in members.enumerate() {
                if at % BLOCK == 0 {
                    layer.blocks.push(Block::EMPTY);
                }
                if let Some(block) = layer.blocks.last_mut() {
                    block.set(at % BLOCK, slot, units(entry));
                }
            }
        }
        layer.starts.push(layer.blocks.len() as u32);
        layer
    }
}

/// Returns the position in units as [`Pose::position`] reads it.
#[inline]
fn units(entry: TreeEntry) -> Vec2 {
    let pose = Pose {
        x: entry.x,
        y: entry.y,
        ..Pose::default()
    };
    pose.position().0
}
