//! Spatial queries: who is within a radius, who are the nearest.
//!
//! They read the index of the last tick and equal brute force over its positions, bit by bit; they look at
//! little more than they return, which they count.

use std::collections::BinaryHeap;

use glam::Vec2;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::POSITION_QUANTUM;

use super::cells::CellIndex;
use super::index::SpatialIndex;
use super::tree::LeafId;

/// An entity that a query found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its slot.
    pub slot: Slot,
    /// Its position, in units.
    pub position: Vec2,
    /// Square of its distance from the query's centre.
    pub distance2: f32,
}

impl SpatialIndex {
    /// Fills `found` with everybody at most `radius` units from `centre`, nearest first, equal distances by
    /// slot. `cells` is the index frozen last. Returns how many entities were examined. Nothing is within
    /// a radius that is negative or not a number.
    pub fn within(&self, cells: &CellIndex, centre: Vec2, radius: f32, found: &mut Vec<Found>) -> usize {
        found.clear();
        let mut examined = 0;
        if !centre.is_finite() || radius.is_nan() || radius < 0.0 {
            return examined;
        }
        self.leaves_near(centre, radius, |leaf, _| {
            examined += examine(cells, leaf, centre, |candidate| {
                if candidate.distance2 <= radius * radius {
                    found.push(candidate);
                }
            });
        });
        found.sort_unstable_by(order);
        examined
    }

    /// Fills `found` with the `count` entities nearest to `centre` among those at most `radius` units
    /// (which may be infinite) away, nearest first, equal distances by slot. Returns how many were examined.
    pub fn nearest(
        &self,
        cells: &CellIndex,
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
            let outer2 = self.leaves_near(centre, reach, |leaf, distance2| {
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
            if complete || reach >= radius || touched == self.hash.leaf_count() {
                break;
            }
            (inner2, reach) = (outer2, (reach * 2.0).min(radius));
        }
        found.extend(best.into_iter().map(|ranked| ranked.0));
        found.sort_unstable_by(order);
        examined
    }

    /// Visits the leaves that can hold a position within `radius` units, with the square of their distance
    /// in quanta. Returns the square of the reach that was used.
    pub(super) fn leaves_near(&self, centre: Vec2, radius: f32, visit: impl FnMut(LeafId, f64)) -> f64 {
        let scale = 1.0 / f64::from(POSITION_QUANTUM);
        let reach = within_reach(centre, radius);
        self.hash.leaves_within(
            f64::from(centre.x) * scale,
            f64::from(centre.y) * scale,
            reach,
            visit,
        );
        reach * reach
    }
}

/// Radius in which the search for the nearest begins, in units; doubled until it suffices.
const NEAREST_REACH: f32 = 8.0;

/// The radius in quanta, widened by what positions lose as `f32`: the exact test follows per entity.
fn within_reach(centre: Vec2, radius: f32) -> f64 {
    let scale = 1.0 / f64::from(POSITION_QUANTUM);
    let size = f64::from(centre.x.abs().max(centre.y.abs())) + f64::from(radius);
    (f64::from(radius) + size * 1e-6) * scale + 2.0
}

fn examine(cells: &CellIndex, leaf: LeafId, centre: Vec2, mut visit: impl FnMut(Found)) -> usize {
    let mut examined = 0;
    for rows in cells.leaf(leaf) {
        examined += rows.slots.len();
        for ((&slot, &x), &y) in rows.slots.iter().zip(rows.xs).zip(rows.ys) {
            let position = Vec2::new(x, y);
            visit(Found {
                slot,
                position,
                distance2: position.distance_squared(centre),
            });
        }
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
