//! What players see of the cells: for every place from which somebody looks, the leaves in reach.
//!
//! Viewers in the same small square with the same radius share one [`Area`], so a crowd of thousands in
//! one place costs a few dozen. A viewer keeps its square until it has left it by a margin, and an area is
//! built anew only when cells in its reach split, merge, come or go.

use std::collections::BTreeMap;
use std::sync::Arc;

use glam::Vec2;
use rayon::prelude::*;
use throng_shared::protocol::pose::POSITION_QUANTUM;

use super::index::SpatialIndex;
use super::tree::{LeafId, ROOT_SHIFT, RootKey};

/// Side of the square of viewers that share an area, in units.
const SQUARE: f32 = 8.0;
/// How far a viewer goes beyond its square before it takes another, in units.
const MARGIN: f32 = 2.0;
/// A viewer's area reaches this far beyond its radius, so that a known entity is let go of only when it is
/// clearly out of sight.
pub const REACH_FACTOR: f32 = 1.1;

/// The leaf cells that a viewer can see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Area {
    /// The leaves, nearest first. Every entity within [`REACH_FACTOR`] times the radius of the viewer's eye
    /// is in one of them.
    pub leaves: Box<[LeafId]>,
    /// For each leaf, a distance in units below which none of its entities is from any eye that has this
    /// area; ascending.
    pub nearest: Box<[f32]>,
}

/// Which area a viewer has: its square and the bits of its radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AreaKey {
    x: i32,
    y: i32,
    radius: u32,
}

impl AreaKey {
    /// The key for an eye, given the one it had. Keeps the old one within its margin. `None` for an eye
    /// that sees nothing: a radius that is not positive, or a place that is not a number.
    #[must_use]
    pub fn follow(eye: Vec2, radius: f32, old: Option<Self>) -> Option<Self> {
        if !(eye.is_finite() && radius > 0.0) {
            return None;
        }
        let old = old.filter(|old| {
            let beyond = (eye - old.centre()).abs() - Vec2::splat(SQUARE / 2.0 + MARGIN);
            old.radius == radius.to_bits() && beyond.max_element() <= 0.0
        });
        let corner = (eye / SQUARE).floor();
        old.or(Some(Self {
            x: corner.x as i32,
            y: corner.y as i32,
            radius: radius.to_bits(),
        }))
    }

    fn centre(self) -> Vec2 {
        (Vec2::new(self.x as f32, self.y as f32) + 0.5) * SQUARE
    }

    fn radius(self) -> f32 {
        f32::from_bits(self.radius)
    }

    /// Farthest that an eye with this key is from the centre.
    fn stray() -> f32 {
        (SQUARE / 2.0 + MARGIN) * std::f32::consts::SQRT_2
    }

    fn reach(self) -> f32 {
        self.radius() * REACH_FACTOR + Self::stray()
    }

    fn touches(self, roots: &[RootKey]) -> bool {
        let (centre, reach) = (self.centre(), f64::from(self.reach()));
        let side = f64::from(POSITION_QUANTUM) * f64::from(1 << ROOT_SHIFT);
        let range = |centre: f32| {
            let at = |place: f64| (place / side).floor() as i32;
            // One root wider than the reach, so that no rounding decides.
            at(f64::from(centre) - reach).saturating_sub(1)..=at(f64::from(centre) + reach).saturating_add(1)
        };
        let (xs, ys) = (range(centre.x), range(centre.y));
        roots.iter().any(|(x, y)| xs.contains(x) && ys.contains(y))
    }

    fn build(self, index: &SpatialIndex) -> Area {
        let mut leaves = Vec::new();
        index.leaves_near(self.centre(), self.reach(), |leaf, distance2| {
            leaves.push((distance2, leaf))
        });
        leaves.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let near = |distance2: f64| {
            let units = distance2.sqrt() * f64::from(POSITION_QUANTUM);
            // Shortened, never lengthened, by what positions lose as `f32`.
            (units * (1.0 - 1e-5) - f64::from(Self::stray()) - f64::from(POSITION_QUANTUM)).max(0.0) as f32
        };
        Area {
            leaves: leaves.iter().map(|&(_, leaf)| leaf).collect(),
            nearest: leaves.iter().map(|&(distance2, _)| near(distance2)).collect(),
        }
    }
}

/// The areas in use.
#[derive(Debug, Default)]
pub struct AreaTable {
    areas: BTreeMap<AreaKey, Shared>,
    stale: Vec<(AreaKey, Arc<Area>)>,
    nothing: Arc<Area>,
    built: u64,
}

#[derive(Debug, Default)]
struct Shared {
    area: Arc<Area>,
    viewers: u32,
    /// Whether it has to be built.
    stale: bool,
}

impl AreaTable {
    /// Counts a viewer in or out. An area without viewers is dropped.
    pub fn exchange(&mut self, old: Option<AreaKey>, new: Option<AreaKey>) {
        if old == new {
            return;
        }
        if let Some(key) = new {
            let fresh = Shared {
                stale: true,
                ..Shared::default()
            };
            self.areas.entry(key).or_insert(fresh).viewers += 1;
        }
        if let Some(key) = old
            && let Some(shared) = self.areas.get_mut(&key)
        {
            shared.viewers -= 1;
            if shared.viewers == 0 {
                self.areas.remove(&key);
            }
        }
    }

    /// Builds the areas that are new or lost touch with the cells in this tick's settling. `run` executes
    /// the closure it is given, on a thread pool or not.
    pub fn refresh(&mut self, index: &SpatialIndex, run: impl FnOnce(&mut (dyn FnMut() + Send))) {
        let changed = index.changed_roots();
        self.stale.clear();
        for (&key, shared) in &mut self.areas {
            if std::mem::take(&mut shared.stale) || key.touches(changed) {
                self.stale.push((key, Arc::clone(&self.nothing)));
            }
        }
        if self.stale.is_empty() {
            return;
        }
        let stale = &mut self.stale;
        run(&mut || {
            stale.par_chunks_mut(AREAS_PER_TASK).for_each(|chunk| {
                for (key, area) in chunk {
                    *area = Arc::new(key.build(index));
                }
            });
        });
        self.built += self.stale.len() as u64;
        for (key, area) in self.stale.drain(..) {
            if let Some(shared) = self.areas.get_mut(&key) {
                shared.area = area;
            }
        }
    }

    /// The area of a key that was counted in and refreshed; an empty one for `None`.
    #[must_use]
    pub fn get(&self, key: Option<AreaKey>) -> &Arc<Area> {
        key.and_then(|key| self.areas.get(&key))
            .map_or(&self.nothing, |shared| &shared.area)
    }

    /// Areas in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Whether nobody sees anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Areas built since the start.
    #[must_use]
    pub fn built(&self) -> u64 {
        self.built
    }
}

/// Areas that one task builds: some 50 us.
const AREAS_PER_TASK: usize = 32;
