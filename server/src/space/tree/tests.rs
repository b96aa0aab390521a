//! Placing, splitting and merging, compared with a model.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Checks that every slot is in the one leaf that contains it, that lists and counts agree, and that limits
/// hold.
fn check(hash: &SpatialHash, model: &BTreeMap<Slot, (i32, i32)>) {
    let mut seen = BTreeMap::new();
    for (id, leaf) in hash
        .leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| leaf.node != NONE)
    {
        assert_eq!(
            hash.nodes[leaf.node as usize].content,
            NodeContent::Leaf(id as u32)
        );
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
        let NodeContent::Split(children) = node.content else {
            continue;
        };
        let leaf_count = |child: u32| match hash.nodes[child as usize].content {
            NodeContent::Leaf(leaf) => Some(hash.leaves[leaf as usize].count),
            _ => None,
        };
        let counts: Option<Vec<_>> = (children..children + 4).map(leaf_count).collect();
        assert!(counts.is_none_or(|counts| counts.iter().sum::<u32>() >= MERGE_BELOW));
    }
}

#[test]
fn leaves_split_above_64_entities_and_merge_below_24() {
    let mut hash = SpatialHash::default();
    for slot in 0..64 {
        hash.place(Slot(slot), slot as i32 * 60, slot as i32 * 60);
    }
    hash.rebalance(Tick(1));
    assert_eq!((hash.leaf_count(), hash.counters().splits), (1, 0));
    hash.place(Slot(64), 1, 1);
    hash.rebalance(Tick(2));
    assert_eq!((hash.leaf_count(), hash.counters().splits), (4, 1));
    (24..65).for_each(|slot| hash.remove(Slot(slot)));
    hash.rebalance(Tick(3));
    assert_eq!((hash.leaf_count(), hash.counters().merges), (4, 0));
    hash.remove(Slot(0));
    hash.rebalance(Tick(4));
    assert_eq!((hash.leaf_count(), hash.counters().merges), (1, 1));
}

#[test]
fn entities_at_one_position_split_to_the_smallest_leaf_and_merge_when_they_leave() {
    let mut hash = SpatialHash::default();
    (0..1_000).for_each(|slot| hash.place(Slot(slot), -7, -7));
    hash.rebalance(Tick(1));
    let depth = u64::from(ROOT_SHIFT - LEAF_SHIFT_MIN);
    assert_eq!(
        (hash.counters().splits, hash.leaf_count() as u64),
        (depth, 1 + 3 * depth)
    );
    (0..1_000).for_each(|slot| hash.place(Slot(slot), 1_000_000 + slot as i32 * 10_000, 0));
    hash.rebalance(Tick(2));
    assert_eq!(hash.counters().merges, depth);
    hash.rebalance(Tick(2 + EMPTY_ROOT_TICKS as u32));
    assert_eq!((hash.counters().roots_closed, hash.leaf_count()), (1, 1_000));
}

#[test]
fn positions_at_the_limits_of_the_coordinates_are_placed() {
    let mut hash = SpatialHash::default();
    let mut model = BTreeMap::new();
    for (slot, (x, y)) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (-1, 0), (0, -1)]
        .into_iter()
        .enumerate()
    {
        hash.place(Slot(slot as u32), x, y);
        model.insert(Slot(slot as u32), (x, y));
    }
    hash.rebalance(Tick(1));
    check(&hash, &model);
    let mut found = 0;
    hash.leaves_within(RoomId::default(), (0.0, 0.0), 1e300, |_, _| found += 1);
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
                hash.rebalance(Tick(tick as u32));
                check(&hash, &model);
            }
        }
        hash.rebalance(Tick(100_000));
        check(&hash, &model);
    }
}
