//! Spatial queries: the entities within a radius, and the nearest entities.
//!
//! They read the index of the last tick and equal brute force over its positions, bit by bit. They examine
//! few more entities than they return, and count those that they examine.

use std::collections::BinaryHeap;

use glam::Vec2;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::POSITION_QUANTUM;

use super::cells::{Block, CellIndex};
use super::index::SpatialIndex;
use super::tree::{LeafId, RoomId};

/// An entity that a query found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The entity's slot.
    pub slot: Slot,
    /// The entity's position, in units.
    pub position: Vec2,
    /// Square of its distance from the query's centre.
    pub distance2: f32,
}

impl SpatialIndex {
    /// Fills `found` with all entities of room 0 at most `radius` units from `centre`, nearest first, equal
    /// distances by slot. `cells` is the index frozen last. Returns how many entities were examined. No
    /// entity is within a radius that is negative or not a number.
    pub fn within(&self, cells: &CellIndex, centre: Vec2, radius: f32, found: &mut Vec<Found>) -> usize {
        self.within_room(cells, RoomId::default(), centre, radius, found)
    }

    /// Does what [`Self::within`] does, in any room.
    pub fn within_room(
        &self,
        cells: &CellIndex,
        room: RoomId,
        centre: Vec2,
        radius: f32,
        found: &mut Vec<Found>,
    ) -> usize {
        found.clear();
        let mut examined = 0;
        if !centre.is_finite() || radius.is_nan() || radius < 0.0 {
            return examined;
        }
        self.leaves_near(room, centre, radius, |leaf, _| {
            examined += examine(cells, leaf, centre, |candidate| {
                if candidate.distance2 <= radius * radius {
                    found.push(candidate);
                }
            });
        });
        found.sort_unstable_by(order);
        examined
    }

    /// Fills `found` with the `count` entities of room 0 nearest to `centre` among those at most `radius`
    /// units (which may be infinite) away, nearest first, equal distances by slot. Returns how many were
    /// examined.
    pub fn nearest(
        &self,
        cells: &CellIndex,
        centre: Vec2,
        count: usize,
        radius: f32,
        found: &mut Vec<Found>,
    ) -> usize {
        self.nearest_in_room(cells, RoomId::default(), centre, count, radius, found)
    }

    /// Does what [`Self::nearest`] does, in any room.
    pub fn nearest_in_room(
        &self,
        cells: &CellIndex,
        room: RoomId,
        centre: Vec2,
        count: usize,
        radius: f32,
        found: &mut Vec<Found>,
    ) -> usize {
        found.clear();
        let mut examined = 0;
        if count == 0 || !centre.is_finite() || radius.is_nan() || radius < 0.0 {
            return examined;
        }
        let mut best: BinaryHeap<Ranked> = BinaryHeap::with_capacity(count + 1);
        let mut ring: Vec<(f64, LeafId)> = Vec::new();
        let (mut inner2, mut reach) = (-1.0, NEAREST_REACH.min(radius));
        loop {
            let mut touched = 0;
            ring.clear();
            let outer2 = self.leaves_near(room, centre, reach, |leaf, distance2| {
                touched += 1;
                if distance2 > inner2 {
                    ring.push((distance2, leaf));
                }
            });
            ring.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for &(distance2, leaf) in &ring {
                let worst = best.peek().map_or(f32::INFINITY, |worst| worst.0.distance2);
                if best.len() == count && within_reach(centre, worst.sqrt()).powi(2) < distance2 {
                    break;
                }
                examined += examine(cells, leaf, centre, |candidate| {
                    if candidate.distance2 <= radius * radius {
                        best.push(Ranked(candidate));
                        if best.len() > count {
                            best.pop();
                        }
                    }
                });
            }
            let worst = best.peek().map_or(f32::INFINITY, |worst| worst.0.distance2);
            let complete = best.len() == count && worst <= reach * reach;
            if complete || reach >= radius.min(WORLD_REACH) || touched == self.hash.leaf_count() {
                break;
            }
            (inner2, reach) = (outer2, (reach * 2.0).min(radius));
        }
        found.extend(best.into_iter().map(|ranked| ranked.0));
        found.sort_unstable_by(order);
        examined
    }

    /// Visits the leaves of a room that can hold a position within `radius` units, with the square of their distance
    /// in quanta. Returns the square of the reach that was used.
    pub(super) fn leaves_near(
        &self,
        room: RoomId,
        centre: Vec2,
        radius: f32,
        visit: impl FnMut(LeafId, f64),
    ) -> f64 {
        let scale = 1.0 / f64::from(POSITION_QUANTUM);
        let reach = within_reach(centre, radius);
        let centre = (f64::from(centre.x) * scale, f64::from(centre.y) * scale);
        self.hash.leaves_within(room, centre, reach, visit);
        reach * reach
    }
}

/// Radius at which the search for the nearest begins, in units; doubled until it suffices.
const NEAREST_REACH: f32 = 8.0;

/// Farther than any two positions in quanta are from each other, in units.
const WORLD_REACH: f32 = 1e8;

/// Returns the radius in quanta, widened by the rounding of positions to `f32`: each entity is tested
/// exactly.
fn within_reach(centre: Vec2, radius: f32) -> f64 {
    let scale = 1.0 / f64::from(POSITION_QUANTUM);
    let size = f64::from(centre.x.abs().max(centre.y.abs())) + f64::from(radius);
    (f64::from(radius) + size * 1e-6) * scale + 2.0
}

fn examine(cells: &CellIndex, leaf: LeafId, centre: Vec2, mut visit: impl FnMut(Found)) -> usize {
    let mut examined = 0;
    for (slot, position) in cells.leaf(leaf).into_iter().flatten().flat_map(Block::rows) {
        examined += 1;
        visit(Found {
            slot,
            position,
            distance2: position.distance_squared(centre),
        });
    }
    examined
}

fn order(a: &Found, b: &Found) -> std::cmp::Ordering {
    a.distance2.total_cmp(&b.distance2).then(a.slot.cmp(&b.slot))
}

/// Orders the heap of the nearest so that the farthest is on top.
struct Ranked(Found);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        order(&self.0, &other.0).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        order(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use throng_shared::protocol::pose::Pose;
    use throng_shared::random::Random;
    use throng_shared::tick::Tick;

    struct World {
        index: SpatialIndex,
        cells: CellIndex,
        positions: Vec<Vec2>,
    }

    fn world(places: &[(i32, i32)]) -> World {
        let mut index = SpatialIndex::default();
        for (slot, &(x, y)) in places.iter().enumerate() {
            let slot = Slot(slot as u32);
            index.insert(slot, 0, 0);
            // A third of them has never moved, so both layers contain entities.
            index.remove(slot);
            index.insert(slot, x, y);
            if !slot.0.is_multiple_of(3) {
                index.place(slot, x, y, Tick(1));
            }
        }
        index.rebalance(Tick(1));
        let mut cells = CellIndex::default();
        index.freeze(&mut cells);
        let position = |&(x, y): &(i32, i32)| {
            Pose {
                x,
                y,
                ..Pose::default()
            }
            .position()
            .0
        };
        World {
            index,
            cells,
            positions: places.iter().map(position).collect(),
        }
    }

    fn brute(world: &World, centre: Vec2, radius: f32) -> Vec<Found> {
        let all = world.positions.iter().enumerate().map(|(slot, &position)| Found {
            slot: Slot(slot as u32),
            position,
            distance2: position.distance_squared(centre),
        });
        let mut all: Vec<_> = all.filter(|found| found.distance2 <= radius * radius).collect();
        all.sort_unstable_by(order);
        all
    }

    /// Returns a square of `side` units with `count` entities spread evenly.
    fn scattered(count: usize, side: f32) -> World {
        let mut random = Random::new(1);
        let mut uniform = |limit: f32| (random.within(0.0, limit) * 100.0) as i32;
        let places: Vec<_> = (0..count).map(|_| (uniform(side), uniform(side))).collect();
        world(&places)
    }

    fn examined_over_returned(world: &World, side: f32, radius: f32) -> (f64, f64) {
        let (mut found, mut within, mut nearest) = (Vec::new(), (0, 0), (0, 0));
        for at in 0..400 {
            let centre = Vec2::new((at % 20) as f32, (at / 20) as f32) / 20.0 * side;
            within.0 += world.index.within(&world.cells, centre, radius, &mut found);
            within.1 += found.len();
            nearest.0 += world
                .index
                .nearest(&world.cells, centre, 50, f32::INFINITY, &mut found);
            nearest.1 += found.len();
        }
        let ratio = |(examined, returned): (usize, usize)| examined as f64 / returned as f64;
        (ratio(within), ratio(nearest))
    }

    #[test]
    fn queries_in_a_sparse_crowd_examine_at_most_four_times_their_results() {
        let side = 50.0 * (std::f32::consts::PI * 5_000.0 / 50.0).sqrt();
        let world = scattered(5_000, side);
        let (within, nearest) = examined_over_returned(&world, side, 50.0);
        assert!(within <= 4.0 && nearest <= 4.0, "{within} {nearest}");
    }

    #[test]
    fn queries_in_a_hotspot_examine_at_most_four_times_their_results() {
        let world = scattered(2_000, 35.0);
        assert!(world.index.hash().counters().splits > 10);
        for radius in [10.0, 50.0] {
            let (within, nearest) = examined_over_returned(&world, 35.0, radius);
            assert!(within <= 4.0 && nearest <= 4.0, "{radius} {within} {nearest}");
        }
    }

    #[test]
    fn invalid_queries_find_no_entity() {
        let world = scattered(100, 10.0);
        let mut found = Vec::new();
        for (centre, radius) in [
            (Vec2::NAN, 5.0),
            (Vec2::ZERO, f32::NAN),
            (Vec2::ZERO, -1.0),
            (Vec2::INFINITY, 1.0),
        ] {
            assert_eq!(world.index.within(&world.cells, centre, radius, &mut found), 0);
            assert_eq!(
                world.index.nearest(&world.cells, centre, 3, radius, &mut found),
                0
            );
            assert!(found.is_empty());
        }
        world
            .index
            .within(&world.cells, Vec2::ZERO, f32::INFINITY, &mut found);
        assert_eq!(found.len(), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn queries_equal_brute_force(
            places in prop::collection::vec((-9_000i32..9_000, -9_000i32..9_000), 0..400),
            pile in prop::collection::vec((-40i32..40, -40i32..40), 0..200),
            offset in prop::sample::select(vec![0i32, 1_000_000_000]),
            centre in (-120.0f32..120.0, -120.0f32..120.0),
            radius in 0.0f32..150.0,
            count in 1usize..100,
        ) {
            let shift = |&(x, y): &(i32, i32)| (x + offset, y - offset);
            let places: Vec<_> = places.iter().chain(&pile).map(shift).collect();
            let world = world(&places);
            let far = offset as f32 / 100.0;
            let centre = Vec2::new(centre.0 + far, centre.1 - far);
            let mut found = Vec::new();
            world.index.within(&world.cells, centre, radius, &mut found);
            prop_assert_eq!(&found, &brute(&world, centre, radius));
            world.index.nearest(&world.cells, centre, count, radius, &mut found);
            let mut expected = brute(&world, centre, radius);
            expected.truncate(count);
            prop_assert_eq!(&found, &expected);
            world.index.nearest(&world.cells, centre, count, f32::INFINITY, &mut found);
            let mut expected = brute(&world, centre, f32::INFINITY);
            expected.truncate(count);
            prop_assert_eq!(&found, &expected);
        }
    }
}
