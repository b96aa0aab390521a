//! The spatial hash: square roots found by hash, each a quadtree of leaves.
//!
//! A leaf splits above [`SPLIT_ABOVE`] entities and four sibling leaves merge below [`MERGE_BELOW`]; both
//! wait for [`SpatialHash::settle`], so that a tick's moves count only by their net effect. Leaf ids are
//! dense and reused.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use throng_shared::protocol::ids::Slot;
use throng_shared::tick::Tick;

/// A leaf with more entities splits, unless it is as small as leaves get.
pub const SPLIT_ABOVE: u32 = 64;
/// Four sibling leaves with fewer entities together become one. Far below the split, so that entities
/// crossing a border to and fro do not make cells flicker.
pub const MERGE_BELOW: u32 = 24;
/// A root's side is 2^12 quanta, 40.96 units: about a view's radius, so that a sparse view covers few
/// cells and a query around it looks at about twice what it returns.
pub const ROOT_SHIFT: u8 = 12;
/// The smallest leaf's side is 2^4 quanta, 0.16 units. Entities in one such place share a leaf, however
/// many they are.
pub const LEAF_SHIFT_MIN: u8 = 4;
/// An empty root is forgotten after this many ticks: soon enough to bound memory by where entities are,
/// late enough that one passing through does not rebuild the views around it.
const EMPTY_ROOT_TICKS: i32 = 256;

const NONE: u32 = u32::MAX;

/// A leaf cell. Dense, reused, and meaningful only together with the index of the same frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafId(pub u32);

/// What happened to the cells since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceCounters {
    /// Leaves that became four.
    pub splits: u64,
    /// Times that four leaves became one.
    pub merges: u64,
    /// Roots that an entity entered first.
    pub roots_opened: u64,
    /// Roots that were forgotten because nobody had been there for long.
    pub roots_closed: u64,
}

/// Coordinates of a root: its corner over 2^[`ROOT_SHIFT`].
pub(super) type RootKey = (i32, i32);

/// Places slots in leaf cells.
#[derive(Debug, Default)]
pub struct SpatialHash {
    roots: HashMap<RootKey, u32, BuildHasherDefault<KeyHasher>>,
    nodes: Vec<Node>,
    /// First nodes of free blocks of four.
    free_blocks: Vec<u32>,
    free_roots: Vec<u32>,
    leaves: Vec<Leaf>,
    free_leaves: Vec<u32>,
    entries: Vec<Entry>,
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
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
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
    node: u32,
    count: u32,
    head: u32,
}

/// Where a slot is: its position and its place in the leaf's doubly linked list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) x: i32,
    pub(super) y: i32,
    leaf: u32,
    next: u32,
    previous: u32,
}

const ABSENT: Entry = Entry {
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
        let leaf = self.leaf_at(x, y);
        let entry = &mut self.entries[slot.index()];
        (entry.x, entry.y) = (x, y);
        self.link(slot.0, leaf);
    }

    /// Takes a slot out; nothing happens when it is not placed.
    pub fn remove(&mut self, slot: Slot) {
        let Some(&Entry {
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
            // An emptied root is marked by itself: it has no siblings to merge with.
            if parent != NONE {
                self.thinned.push(parent);
            } else if left.count == 0 {
                self.thinned.push(left.node);
            }
        }
    }

    /// Splits and merges what this tick's moves made too full or too empty, and forgets roots that have
    /// been empty for long.
    pub fn settle(&mut self, tick: Tick) {
        while let Some(leaf) = self.crowded.pop() {
            let Leaf {
                shift, count, node, ..
            } = self.leaves[leaf as usize];
            if node != NONE && count > SPLIT_ABOVE && shift > LEAF_SHIFT_MIN {
                self.split(leaf);
            }
        }
        while let Some(node) = self.thinned.pop() {
            match self.nodes[node as usize].content {
                Content::Split(children) => self.merge_if_thin(node, children),
                Content::Leaf(leaf) => self.note_empty_root(leaf, tick),
                Content::Free => {}
            }
        }
        self.close_roots(tick);
    }

    /// Moves out the leaves and roots whose cells changed since the last call: roots by coordinates, every
    /// id of a leaf that came or went. Neither sorted nor free of repeats.
    pub(super) fn take_changes(&mut self, leaves: &mut Vec<LeafId>, roots: &mut Vec<RootKey>) {
        leaves.clear();
        roots.clear();
        std::mem::swap(leaves, &mut self.changed_leaves);
        std::mem::swap(roots, &mut self.changed_roots);
    }

    /// The leaf in which a slot is placed.
    #[inline]
    #[must_use]
    pub fn leaf_of(&self, slot: Slot) -> Option<LeafId> {
        let entry = self.entries.get(slot.index())?;
        (entry.leaf != NONE).then_some(LeafId(entry.leaf))
    }

    /// One past the highest leaf id in use.
    #[must_use]
    pub fn leaf_end(&self) -> usize {
        self.leaves.len()
    }

    /// Leaves in use.
    #[must_use]
    pub fn leaf_count(&self) -> usize {
        self.leaves.len() - self.free_leaves.len()
    }

    /// What happened to the cells since the start.
    #[must_use]
    pub fn counters(&self) -> SpaceCounters {
        self.counters
    }

    /// Entities in a leaf; 0 for an id that is not in use.
    #[must_use]
    pub fn count(&self, leaf: LeafId) -> u32 {
        self.leaves.get(leaf.0 as usize).map_or(0, |leaf| leaf.count)
    }

    /// Entities in a leaf, in no particular but a reproducible order.
    pub(super) fn members(&self, leaf: usize) -> impl Iterator<Item = (Slot, Entry)> + '_ {
        let mut slot = self.leaves.get(leaf).map_or(NONE, |leaf| leaf.head);
        std::iter::from_fn(move || {
            let entry = *self.entries.get(slot as usize)?;
            let member = (Slot(slot), entry);
            slot = entry.next;
            Some(member)
        })
    }

    /// A placed slot's position, in quanta.
    #[inline]
    pub(super) fn entry(&self, slot: Slot) -> Option<Entry> {
        self.entries
            .get(slot.index())
            .copied()
            .filter(|entry| entry.leaf != NONE)
    }

    /// Calls `visit` with every leaf that touches the rectangle-to-point distance `reach` around a point,
    /// all in quanta, and with the square of the leaf's distance. The order is reproducible, not sorted.
    pub(super) fn leaves_within(&self, x: f64, y: f64, reach: f64, mut visit: impl FnMut(LeafId, f64)) {
        let side = f64::from(1 << ROOT_SHIFT);
        // Saturating conversions: a reach beyond the world is the whole world.
        let key = |quanta: f64| (quanta / side).floor() as i32;
        let (x0, x1) = (key(x - reach), key(x + reach));
        let (y0, y1) = (key(y - reach), key(y + reach));
        let keys = (i64::from(x1) - i64::from(x0) + 1).saturating_mul(i64::from(y1) - i64::from(y0) + 1);
        let mut walk = |node: u32| self.descend(node, (x, y), reach * reach, &mut visit);
        if keys <= self.roots.len() as i64 {
            for root_y in y0..=y1 {
                for root_x in x0..=x1 {
                    if let Some(&node) = self.roots.get(&(root_x, root_y)) {
                        walk(node);
                    }
                }
            }
        } else {
            // The hash is fixed, so that its order is the same in every run of the same calls.
            for (&(root_x, root_y), &node) in &self.roots {
                if (x0..=x1).contains(&root_x) && (y0..=y1).contains(&root_y) {
                    walk(node);
                }
            }
        }
    }

    fn descend(&self, node: u32, point: (f64, f64), reach2: f64, visit: &mut impl FnMut(LeafId, f64)) {
        match self.nodes[node as usize].content {
            Content::Free => {}
            Content::Leaf(leaf) => {
                let distance2 = self.leaves[leaf as usize].distance2(point);
                if distance2 <= reach2 {
                    visit(LeafId(leaf), distance2);
                }
            }
            Content::Split(children) => {
                for child in children..children + 4 {
                    self.descend(child, point, reach2, visit);
                }
            }
        }
    }

    fn leaf_at(&mut self, x: i32, y: i32) -> u32 {
        let key = (x >> ROOT_SHIFT, y >> ROOT_SHIFT);
        let Some(&root) = self.roots.get(&key) else {
            return self.open_root(key);
        };
        let (mut node, mut shift) = (root, ROOT_SHIFT);
        loop {
            match self.nodes[node as usize].content {
                Content::Leaf(leaf) => return leaf,
                Content::Split(children) => {
                    shift -= 1;
                    node = children + quadrant(x, y, shift);
                }
                Content::Free => unreachable!("a free node has no parent and is no root"),
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

    fn open_root(&mut self, key: RootKey) -> u32 {
        let node = self.free_roots.pop().unwrap_or_else(|| {
            self.nodes.push(Node {
                parent: NONE,
                content: Content::Free,
            });
            self.nodes.len() as u32 - 1
        });
        let leaf = self.new_leaf(key.0 << ROOT_SHIFT, key.1 << ROOT_SHIFT, ROOT_SHIFT, node, NONE);
        self.roots.insert(key, node);
        self.counters.roots_opened += 1;
        leaf
    }

    fn new_leaf(&mut self, x: i32, y: i32, shift: u8, node: u32, parent: u32) -> u32 {
        let leaf = Leaf {
            x,
            y,
            shift,
            node,
            count: 0,
            head: NONE,
        };
        let id = if let Some(id) = self.free_leaves.pop() {
            self.leaves[id as usize] = leaf;
            id
        } else {
            self.leaves.push(leaf);
            self.leaves.len() as u32 - 1
        };
        self.nodes[node as usize] = Node {
            parent,
            content: Content::Leaf(id),
        };
        self.note_change(id);
        id
    }

    fn free_leaf(&mut self, leaf: u32) {
        self.note_change(leaf);
        let freed = &mut self.leaves[leaf as usize];
        (freed.node, freed.count, freed.head) = (NONE, 0, NONE);
        self.free_leaves.push(leaf);
    }

    fn note_change(&mut self, leaf: u32) {
        let Leaf { x, y, .. } = self.leaves[leaf as usize];
        self.changed_leaves.push(LeafId(leaf));
        self.changed_roots.push((x >> ROOT_SHIFT, y >> ROOT_SHIFT));
    }

    fn split(&mut self, leaf: u32) {
        let Leaf {
            x,
            y,
            shift,
            node,
            head,
            ..
        } = self.leaves[leaf as usize];
        let children = self.free_blocks.pop().unwrap_or_else(|| {
            let first = self.nodes.len() as u32;
            self.nodes.extend(
                [Node {
                    parent: NONE,
                    content: Content::Free,
                }; 4],
            );
            first
        });
        self.free_leaf(leaf);
        self.nodes[node as usize].content = Content::Split(children);
        let half = shift - 1;
        let mut fresh = [NONE; 4];
        for (quadrant, fresh) in (0..4).zip(&mut fresh) {
            let (right, up) = ((quadrant & 1) << half, (quadrant >> 1) << half);
            *fresh = self.new_leaf(x + right, y + up, half, children + quadrant as u32, node);
        }
        let mut slot = head;
        while slot != NONE {
            let Entry { x, y, next, .. } = self.entries[slot as usize];
            self.link(slot, fresh[quadrant(x, y, half) as usize]);
            slot = next;
        }
        self.counters.splits += 1;
    }

    fn merge_if_thin(&mut self, node: u32, children: u32) {
        let mut total = 0;
        let mut leaves = [NONE; 4];
        for (child, leaf) in (children..).zip(&mut leaves) {
            let Content::Leaf(id) = self.nodes[child as usize].content else {
                return;
            };
            *leaf = id;
            total += self.leaves[id as usize].count;
        }
        if total >= MERGE_BELOW {
            return;
        }
        let Leaf { x, y, shift, .. } = self.leaves[leaves[0] as usize];
        let parent = self.nodes[node as usize].parent;
        let mut members = [NONE; MERGE_BELOW as usize];
        let mut found = 0;
        for leaf in leaves {
            for (slot, _) in self.members(leaf as usize) {
                members[found] = slot.0;
                found += 1;
            }
        }
        for (child, leaf) in (children..).zip(leaves) {
            self.free_leaf(leaf);
            self.nodes[child as usize] = Node {
                parent: NONE,
                content: Content::Free,
            };
        }
        self.free_blocks.push(children);
        let merged = self.new_leaf(x, y, shift + 1, node, parent);
        for &slot in &members[..found] {
            self.link(slot, merged);
        }
        self.counters.merges += 1;
        if parent != NONE {
            self.thinned.push(parent);
        } else if found == 0 {
            self.thinned.push(node);
        }
    }

    fn note_empty_root(&mut self, leaf: u32, tick: Tick) {
        let Leaf { x, y, count, .. } = self.leaves[leaf as usize];
        if count == 0 {
            self.emptied_roots
                .push_back((tick, (x >> ROOT_SHIFT, y >> ROOT_SHIFT)));
        }
    }

    /// Closes the roots noted long ago that are empty. One that was entered and left in between is noted
    /// again, so it may be closed a little early, which costs nothing but opening it again.
    fn close_roots(&mut self, tick: Tick) {
        while let Some(&(since, key)) = self.emptied_roots.front() {
            if tick.since(since) < EMPTY_ROOT_TICKS {
                return;
            }
            self.emptied_roots.pop_front();
            let Some(&node) = self.roots.get(&key) else {
                continue;
            };
            let Content::Leaf(leaf) = self.nodes[node as usize].content else {
                continue;
            };
            if self.leaves[leaf as usize].count == 0 {
                self.free_leaf(leaf);
                self.nodes[node as usize].content = Content::Free;
                self.free_roots.push(node);
                self.roots.remove(&key);
                self.counters.roots_closed += 1;
            }
        }
    }
}

impl Leaf {
    /// Corners are multiples of the side, so equal high bits are the same cell.
    #[inline]
    fn contains(&self, x: i32, y: i32) -> bool {
        ((x ^ self.x) | (y ^ self.y)) >> self.shift == 0
    }

    /// Square of the distance from a point to the positions that the leaf can hold, in quanta.
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

/// Hashes root keys the same way in every process. Positions come from the simulation, which bounds them;
/// it is the movement rules, not the hash, that keep players from choosing colliding roots.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_i32(&mut self, value: i32) {
        self.write_u32(value as u32);
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0.rotate_left(26) ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Every slot is in the one leaf that contains it, lists and counts agree, limits hold.
    fn check(hash: &SpatialHash, model: &BTreeMap<Slot, (i32, i32)>) {
        let mut seen = BTreeMap::new();
        for (id, leaf) in hash
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, leaf)| leaf.node != NONE)
        {
            assert_eq!(hash.nodes[leaf.node as usize].content, Content::Leaf(id as u32));
            let members: Vec<_> = hash.members(id).collect();
            assert_eq!(members.len(), leaf.count as usize);
            assert!(leaf.count <= SPLIT_ABOVE || leaf.shift == LEAF_SHIFT_MIN);
            for (slot, entry) in members {
                assert!(leaf.contains(entry.x, entry.y));
                assert_eq!(hash.leaf_of(slot), Some(LeafId(id as u32)));
                assert!(seen.insert(slot, (entry.x, entry.y)).is_none());
            }
        }
        assert_eq!(&seen, model);
        for node in &hash.nodes {
            let Content::Split(children) = node.content else {
                continue;
            };
            let leaf_count = |child: u32| match hash.nodes[child as usize].content {
                Content::Leaf(leaf) => Some(hash.leaves[leaf as usize].count),
                _ => None,
            };
            let counts: Option<Vec<_>> = (children..children + 4).map(leaf_count).collect();
            assert!(counts.is_none_or(|counts| counts.iter().sum::<u32>() >= MERGE_BELOW));
        }
    }

    #[test]
    fn splits_above_64_and_merges_below_24() {
        let mut hash = SpatialHash::default();
        for slot in 0..64 {
            hash.place(Slot(slot), slot as i32 * 60, slot as i32 * 60);
        }
        hash.settle(Tick(1));
        assert_eq!((hash.leaf_count(), hash.counters().splits), (1, 0));
        hash.place(Slot(64), 1, 1);
        hash.settle(Tick(2));
        assert_eq!((hash.leaf_count(), hash.counters().splits), (4, 1));
        (24..65).for_each(|slot| hash.remove(Slot(slot)));
        hash.settle(Tick(3));
        assert_eq!((hash.leaf_count(), hash.counters().merges), (4, 0));
        hash.remove(Slot(0));
        hash.settle(Tick(4));
        assert_eq!((hash.leaf_count(), hash.counters().merges), (1, 1));
    }

    #[test]
    fn a_pile_in_one_place_ends_in_the_smallest_leaf_and_comes_back() {
        let mut hash = SpatialHash::default();
        (0..1_000).for_each(|slot| hash.place(Slot(slot), -7, -7));
        hash.settle(Tick(1));
        let depth = u64::from(ROOT_SHIFT - LEAF_SHIFT_MIN);
        assert_eq!(
            (hash.counters().splits, hash.leaf_count() as u64),
            (depth, 1 + 3 * depth)
        );
        (0..1_000).for_each(|slot| hash.place(Slot(slot), 1_000_000 + slot as i32 * 10_000, 0));
        hash.settle(Tick(2));
        assert_eq!(hash.counters().merges, depth);
        hash.settle(Tick(2 + EMPTY_ROOT_TICKS as u32));
        assert_eq!((hash.counters().roots_closed, hash.leaf_count()), (1, 1_000));
    }

    #[test]
    fn the_edges_of_the_coordinates_are_places_too() {
        let mut hash = SpatialHash::default();
        let mut model = BTreeMap::new();
        for (slot, (x, y)) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (-1, 0), (0, -1)]
            .into_iter()
            .enumerate()
        {
            hash.place(Slot(slot as u32), x, y);
            model.insert(Slot(slot as u32), (x, y));
        }
        hash.settle(Tick(1));
        check(&hash, &model);
        let mut found = 0;
        hash.leaves_within(0.0, 0.0, 1e300, |_, _| found += 1);
        assert_eq!(found, 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_moves_keep_every_slot_in_its_leaf(
            steps in prop::collection::vec((0u32..300, prop::option::weighted(0.8, (-90i32..90, -90i32..90)), any::<bool>()), 1..1500),
        ) {
            let mut hash = SpatialHash::default();
            let mut model = BTreeMap::new();
            for (tick, (slot, place, far)) in steps.into_iter().enumerate() {
                let slot = Slot(slot);
                if let Some((x, y)) = place {
                    let scale = if far { 400 } else { 1 };
                    hash.place(slot, x * scale, y * scale);
                    model.insert(slot, (x * scale, y * scale));
                } else {
                    hash.remove(slot);
                    model.remove(&slot);
                }
                if tick % 16 == 0 {
                    hash.settle(Tick(tick as u32));
                    check(&hash, &model);
                }
            }
            hash.settle(Tick(100_000));
            check(&hash, &model);
        }
    }
}
