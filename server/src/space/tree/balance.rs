//! Opening, splitting, merging and closing of cells.

use throng_shared::tick::Tick;

use super::{
    EMPTY_ROOT_TICKS, LEAF_SHIFT_MIN, Leaf, LeafId, MERGE_BELOW, NONE, Node, NodeContent, ROOT_SHIFT,
    RootKey, SPLIT_ABOVE, SpatialHash, TreeEntry, quadrant,
};

impl SpatialHash {
    /// Splits and merges the cells that this tick's moves made too full or too empty, and closes roots that
    /// have been empty for long.
    pub fn rebalance(&mut self, tick: Tick) {
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
                NodeContent::Split(children) => self.merge_if_thin(node, children),
                NodeContent::Leaf(leaf) => self.note_empty_root(leaf, tick),
                NodeContent::Free => {}
            }
        }
        self.close_roots(tick);
    }

    fn split(&mut self, leaf: u32) {
        let Leaf {
            x,
            y,
            shift,
            room,
            node,
            head,
            ..
        } = self.leaves[leaf as usize];
        let children = self.free_blocks.pop().unwrap_or_else(|| {
            let first = self.nodes.len() as u32;
            self.nodes.extend(
                [Node {
                    parent: NONE,
                    content: NodeContent::Free,
                }; 4],
            );
            first
        });
        self.free_leaf(leaf);
        self.nodes[node as usize].content = NodeContent::Split(children);
        let half = shift - 1;
        let mut fresh = [NONE; 4];
        for (quadrant, fresh) in (0..4).zip(&mut fresh) {
            let (right, up) = ((quadrant & 1) << half, (quadrant >> 1) << half);
            let (x, y) = (x + right, y + up);
            *fresh = self.new_leaf((x, y, room), half, children + quadrant as u32, node);
        }
        let mut slot = head;
        while slot != NONE {
            let TreeEntry { x, y, next, .. } = self.entries[slot as usize];
            self.link(slot, fresh[quadrant(x, y, half) as usize]);
            slot = next;
        }
        self.counters.splits += 1;
    }

    fn merge_if_thin(&mut self, node: u32, children: u32) {
        let mut total = 0;
        let mut leaves = [NONE; 4];
        for (child, leaf) in (children..).zip(&mut leaves) {
            let NodeContent::Leaf(id) = self.nodes[child as usize].content else {
                return;
            };
            *leaf = id;
            total += self.leaves[id as usize].count;
        }
        if total >= MERGE_BELOW {
            return;
        }
        let Leaf {
            x, y, shift, room, ..
        } = self.leaves[leaves[0] as usize];
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
                content: NodeContent::Free,
            };
        }
        self.free_blocks.push(children);
        let merged = self.new_leaf((x, y, room), shift + 1, node, parent);
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

    pub(super) fn open_root(&mut self, key: RootKey) -> u32 {
        let node = self.free_roots.pop().unwrap_or_else(|| {
            self.nodes.push(Node {
                parent: NONE,
                content: NodeContent::Free,
            });
            self.nodes.len() as u32 - 1
        });
        let corner = (key.0 << ROOT_SHIFT, key.1 << ROOT_SHIFT, key.2);
        let leaf = self.new_leaf(corner, ROOT_SHIFT, node, NONE);
        self.roots.insert(key, node);
        self.counters.roots_opened += 1;
        leaf
    }

    fn note_empty_root(&mut self, leaf: u32, tick: Tick) {
        let leaf = self.leaves[leaf as usize];
        if leaf.count == 0 {
            self.emptied_roots.push_back((tick, leaf.root()));
        }
    }

    /// Closes the roots that are empty and were recorded as empty long ago. A root that was entered and left
    /// in between is recorded again, so it may close a little early; the only cost is to open it again.
    fn close_roots(&mut self, tick: Tick) {
        while let Some(&(since, key)) = self.emptied_roots.front() {
            if tick.since(since) < EMPTY_ROOT_TICKS {
                return;
            }
            self.emptied_roots.pop_front();
            let Some(&node) = self.roots.get(&key) else {
                continue;
            };
            let NodeContent::Leaf(leaf) = self.nodes[node as usize].content else {
                continue;
            };
            if self.leaves[leaf as usize].count == 0 {
                self.free_leaf(leaf);
                self.nodes[node as usize].content = NodeContent::Free;
                self.free_roots.push(node);
                self.roots.remove(&key);
                self.counters.roots_closed += 1;
            }
        }
    }

    fn new_leaf(&mut self, (x, y, room): RootKey, shift: u8, node: u32, parent: u32) -> u32 {
        let leaf = Leaf {
            x,
            y,
            shift,
            room,
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
            content: NodeContent::Leaf(id),
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
        self.changed_leaves.push(LeafId(leaf));
        self.changed_roots.push(self.leaves[leaf as usize].root());
    }
}
