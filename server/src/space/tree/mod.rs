//! The spatial hash: square roots found by hash, each a quadtree of leaves.
//!
//! A leaf splits above [`SPLIT_ABOVE`] entities, and four sibling leaves merge below [`MERGE_BELOW`]. Both
//! wait for [`SpatialHash::rebalance`], so that only the net effect of a tick's moves counts. Leaf ids are dense
//! and reused.

mod balance;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// A leaf with more entities splits, unless it has the smallest size.
pub(super) const SPLIT_ABOVE: u32 = 64;
/// Four sibling leaves with fewer entities together merge into one. Far below the split, so that entities
/// that cross a border back and forth do not split and merge cells all the time.
pub(super) const MERGE_BELOW: u32 = 24;
/// A root's side is 2^12 quanta, 40.96 units: about a view's radius, so that a sparse view covers few
/// cells and a query around it looks at about twice what it returns.
pub(super) const ROOT_SHIFT: u8 = 12;
/// The smallest leaf's side is 2^4 quanta, 0.16 units. All entities in one such square share a leaf, however
/// many they are.
pub(super) const LEAF_SHIFT_MIN: u8 = 4;
/// An empty root is closed after this many ticks: soon enough that entities' positions bound the memory, late
/// enough that an entity passing through does not rebuild the views around it.
const EMPTY_ROOT_TICKS: i32 = 256;

const NONE: u32 = u32::MAX;

/// The index of a leaf cell. Dense, reused, and meaningful only together with the index of the same frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafId(pub u32);

/// Counts of the changes of cells since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceCounters {
    /// Leaves that were split into four.
    pub splits: u64,
    /// Times that four leaves were merged into one.
    pub merges: u64,
    /// Roots that were opened because an entity entered.
    pub roots_opened: u64,
    /// Roots that were closed because they had been empty for long.
    pub roots_closed: u64,
}

/// A part of the world with its own cells: entities in one room do not see those in another, wherever they
/// are. 0 is the room of all entities that were not put into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomId(pub u16);

/// Coordinates of a root: its corner over 2^[`ROOT_SHIFT`], and its room.
pub(super) type RootKey = (i32, i32, RoomId);

/// Places slots in leaf cells.
#[derive(Debug, Default)]
pub struct SpatialHash {
    /// The hasher does not resist chosen keys: positions come from the simulation, whose movement rules keep players
    /// from choosing colliding roots.
    roots: HashMap<RootKey, u32, FixedState>,
    nodes: Vec<Node>,
    /// The free blocks of four nodes, each by the index of its first node.
    free_blocks: Vec<u32>,
    free_roots: Vec<u32>,
    leaves: Vec<Leaf>,
    free_leaves: Vec<u32>,
    entries: Vec<TreeEntry>,
    /// By slot, up to the highest slot that was put into a room.
    rooms: Vec<RoomId>,
    /// Leaves that may have to split, and inner nodes whose children may have to merge.
    crowded: Vec<u32>,
    thinned: Vec<u32>,
    emptied_roots: VecDeque<(Tick, RootKey)>,
    changed_roots: Vec<RootKey>,
    changed_leaves: Vec<LeafId>,
    counters: SpaceCounters,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    content: NodeContent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeContent {
    Free,
    Leaf(u32),
    /// The first of four consecutive nodes.
    Split(u32),
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    x: i32,
    y: i32,
    shift: u8,
    room: RoomId,
    node: u32,
    count: u32,
    head: u32,
}

/// A slot's position, and its links in the leaf's doubly linked list.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeEntry {
    pub(super) x: i32,
    pub(super) y: i32,
    leaf: u32,
    next: u32,
    previous: u32,
}

const ABSENT: TreeEntry = TreeEntry {
    x: 0,
    y: 0,
    leaf: NONE,
    next: NONE,
    previous: NONE,
};

impl SpatialHash {
    /// Puts a slot at a position in quanta, wherever it was before. Constant time: a hash look-up and at
    /// most eight steps down when the leaf changes, a comparison when it does not.
    #[inline]
    pub fn place(&mut self, slot: Slot, x: i32, y: i32) {
        if slot.index() >= self.entries.len() {
            self.entries.resize(slot.index() + 1, ABSENT);
        }
        let entry = &mut self.entries[slot.index()];
        if entry.leaf != NONE && self.leaves[entry.leaf as usize].contains(x, y) {
            (entry.x, entry.y) = (x, y);
            return;
        }
        self.remove(slot);
        let leaf = self.leaf_at(x, y, self.room_of(slot));
        let entry = &mut self.entries[slot.index()];
        (entry.x, entry.y) = (x, y);
        self.link(slot.0, leaf);
    }

    /// Puts a slot into a room, where it is or will be placed.
    pub fn set_room(&mut self, slot: Slot, room: RoomId) {
        if self.room_of(slot) == room {
            return;
        }
        if slot.index() >= self.rooms.len() {
            self.rooms.resize(slot.index() + 1, RoomId::default());
        }
        self.rooms[slot.index()] = room;
        if let Some(TreeEntry { x, y, .. }) = self.entry(slot) {
            self.remove(slot);
            let leaf = self.leaf_at(x, y, room);
            self.link(slot.0, leaf);
        }
    }

    fn room_of(&self, slot: Slot) -> RoomId {
        self.rooms.get(slot.index()).copied().unwrap_or_default()
    }

    /// Removes a slot; does nothing when it is not placed.
    pub fn remove(&mut self, slot: Slot) {
        let Some(&TreeEntry {
            leaf, next, previous, ..
        }) = self.entries.get(slot.index())
        else {
            return;
        };
        if leaf == NONE {
            return;
        }
        if previous == NONE {
            self.leaves[leaf as usize].head = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        let entry = &mut self.entries[slot.index()];
        (entry.leaf, entry.next, entry.previous) = (NONE, NONE, NONE);
        let left = &mut self.leaves[leaf as usize];
        left.count -= 1;
        if left.count < MERGE_BELOW {
            let parent = self.nodes[left.node as usize].parent;
            // An emptied root is recorded itself: it has no siblings to merge with.
            if parent != NONE {
                self.thinned.push(parent);
            } else if left.count == 0 {
                self.thinned.push(left.node);
            }
        }
    }

    /// Moves out the leaves and roots whose cells changed since the last call: roots by coordinates, and the
    /// id of every leaf that was added or removed. Neither is sorted or free of repeats.
    pub(super) fn take_changes(&mut self, leaves: &mut Vec<LeafId>, roots: &mut Vec<RootKey>) {
        leaves.clear();
        roots.clear();
        std::mem::swap(leaves, &mut self.changed_leaves);
        std::mem::swap(roots, &mut self.changed_roots);
    }

    /// Returns the leaf in which a slot is placed.
    #[inline]
    #[must_use]
    pub fn leaf_of(&self, slot: Slot) -> Option<LeafId> {
        let entry = self.entries.get(slot.index())?;
        (entry.leaf != NONE).then_some(LeafId(entry.leaf))
    }

    /// Returns one more than the highest leaf id in use.
    #[must_use]
    pub fn leaf_end(&self) -> usize {
        self.leaves.len()
    }

    /// Returns the number of leaves in use.
    #[must_use]
    pub fn leaf_count(&self) -> usize {
        self.leaves.len() - self.free_leaves.len()
    }

    /// Returns the counts of the changes of cells since the start.
    #[must_use]
    pub fn counters(&self) -> SpaceCounters {
        self.counters
    }

    /// Returns the number of entities in a leaf; 0 for an id that is not in use.
    #[must_use]
    pub fn count(&self, leaf: LeafId) -> u32 {
        self.leaves.get(leaf.0 as usize).map_or(0, |leaf| leaf.count)
    }

    /// Returns the entities of a leaf, in an order that is not specified but reproducible.
    pub(super) fn members(&self, leaf: usize) -> impl Iterator<Item = (Slot, TreeEntry)> + '_ {
        let mut slot = self.leaves.get(leaf).map_or(NONE, |leaf| leaf.head);
        std::iter::from_fn(move || {
            let entry = *self.entries.get(slot as usize)?;
            let member = (Slot(slot), entry);
            slot = entry.next;
            Some(member)
        })
    }

    /// Returns a placed slot's position, in quanta.
    #[inline]
    pub(super) fn entry(&self, slot: Slot) -> Option<TreeEntry> {
        self.entries
            .get(slot.index())
            .copied()
            .filter(|entry| entry.leaf != NONE)
    }

    /// Calls `visit` with every leaf of a room whose distance from a point is at most `reach`, all in quanta, and with
    /// the square of that distance. The order is reproducible, not sorted.
    pub(super) fn leaves_within(
        &self,
        room: RoomId,
        (x, y): (f64, f64),
        reach: f64,
        mut visit: impl FnMut(LeafId, f64),
    ) {
        let side = f64::from(1 << ROOT_SHIFT);
        // The conversions saturate: a reach beyond the world covers the whole world.
        let key = |quanta: f64| (quanta / side).floor() as i32;
        let (x0, x1) = (key(x - reach), key(x + reach));
        let (y0, y1) = (key(y - reach), key(y + reach));
        let keys = (i64::from(x1) - i64::from(x0) + 1).saturating_mul(i64::from(y1) - i64::from(y0) + 1);
        let mut walk = |node: u32| self.descend(node, (x, y), reach * reach, &mut visit);
        if keys <= self.roots.len() as i64 {
            for root_y in y0..=y1 {
                for root_x in x0..=x1 {
                    if let Some(&node) = self.roots.get(&(root_x, root_y, room)) {
                        walk(node);
                    }
                }
            }
        } else {
            // The hasher has a fixed seed, so that this order is the same in every run of the same calls.
            for (&(root_x, root_y, of), &node) in &self.roots {
                if of == room && (x0..=x1).contains(&root_x) && (y0..=y1).contains(&root_y) {
                    walk(node);
                }
            }
        }
    }

    fn descend(&self, node: u32, point: (f64, f64), reach2: f64, visit: &mut impl FnMut(LeafId, f64)) {
        match self.nodes[node as usize].content {
            NodeContent::Free => {}
            NodeContent::Leaf(leaf) => {
                let distance2 = self.leaves[leaf as usize].distance2(point);
                if distance2 <= reach2 {
                    visit(LeafId(leaf), distance2);
                }
            }
            NodeContent::Split(children) => {
                for child in children..children + 4 {
                    self.descend(child, point, reach2, visit);
                }
            }
        }
    }

    fn leaf_at(&mut self, x: i32, y: i32, room: RoomId) -> u32 {
        let key = (x >> ROOT_SHIFT, y >> ROOT_SHIFT, room);
        let Some(&root) = self.roots.get(&key) else {
            return self.open_root(key);
        };
        let (mut node, mut shift) = (root, ROOT_SHIFT);
        loop {
            match self.nodes[node as usize].content {
                NodeContent::Leaf(leaf) => return leaf,
                NodeContent::Split(children) => {
                    shift -= 1;
                    node = children + quadrant(x, y, shift);
                }
                NodeContent::Free => unreachable!("a free node has no parent and is no root"),
            }
        }
    }

    fn link(&mut self, slot: u32, leaf: u32) {
        let to = &mut self.leaves[leaf as usize];
        let next = std::mem::replace(&mut to.head, slot);
        to.count += 1;
        if to.count == SPLIT_ABOVE + 1 {
            self.crowded.push(leaf);
        }
        if next != NONE {
            self.entries[next as usize].previous = slot;
        }
        let entry = &mut self.entries[slot as usize];
        (entry.leaf, entry.next, entry.previous) = (leaf, next, NONE);
    }
}

impl Leaf {
    /// Returns whether the leaf contains a position. Corners are multiples of the side, a power of two, so a
    /// position is inside if all bits from `shift` on equal the corner's.
    #[inline]
    fn contains(&self, x: i32, y: i32) -> bool {
        ((x ^ self.x) | (y ^ self.y)) >> self.shift == 0
    }

    /// Returns the root that the leaf is a part of.
    fn root(&self) -> RootKey {
        (self.x >> ROOT_SHIFT, self.y >> ROOT_SHIFT, self.room)
    }

    /// Returns the square of the distance from a point to the positions that the leaf can hold, in quanta.
    #[inline]
    fn distance2(&self, (x, y): (f64, f64)) -> f64 {
        let last = f64::from((1 << self.shift) - 1);
        let beyond = |point: f64, first: f64| (first - point).max(point - first - last).max(0.0);
        let (dx, dy) = (beyond(x, f64::from(self.x)), beyond(y, f64::from(self.y)));
        dx * dx + dy * dy
    }
}

#[inline]
fn quadrant(x: i32, y: i32, shift: u8) -> u32 {
    ((x >> shift & 1) | (y >> shift & 1) << 1) as u32
}
