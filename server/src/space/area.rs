//! The cells that players see: for every square with viewers in it, the leaves in reach.
//!
//! Viewers in the same small square with the same radius share one [`Area`], so a crowd of thousands in one
//! place costs a few dozen areas. A viewer keeps its square until it has left it by a margin. An area is
//! built again only when cells in its reach split, merge, open or close.

use std::collections::BTreeMap;
use std::sync::Arc;

use glam::Vec2;
use throng_shared::prefetch::prefetch;
use throng_shared::protocol::pose::POSITION_QUANTUM;

use super::index::SpatialIndex;
use super::tree::{LeafId, ROOT_SHIFT, RoomId, RootKey};

/// Side of the square of viewers that share an area, in units.
const SQUARE: f32 = 8.0;
/// How far a viewer moves beyond its square before it takes another, in units.
const MARGIN: f32 = 2.0;
/// Factor by which a viewer's area reaches beyond its radius, so that a known entity leaves only when it is
/// clearly out of sight.
pub(crate) const REACH_FACTOR: f32 = 1.1;

/// The leaf cells that a viewer can see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Area {
    /// The leaves, nearest first. Every entity within [`REACH_FACTOR`] times the radius of the viewer's eye
    /// is in one of them.
    pub leaves: Box<[LeafId]>,
    /// For each leaf, a lower bound in units of the distance of its entities from any eye that has this area;
    /// ascending.
    pub nearest: Box<[f32]>,
}

impl Area {
    /// Prefetches the leaves.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.leaves);
        prefetch(&*self.nearest);
    }
}

/// Which area a viewer has: its room, its square and the bits of its radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AreaKey {
    room: RoomId,
    x: i32,
    y: i32,
    radius: u32,
}

impl AreaKey {
    /// Returns the key for an eye. Within the margin the eye keeps its key `old`. `None` for an eye that sees
    /// nothing: its radius is not positive, or its position is not finite.
    fn update(room: RoomId, eye: Vec2, radius: f32, old: Option<Self>) -> Option<Self> {
        if !(eye.is_finite() && radius > 0.0) {
            return None;
        }
        let old = old.filter(|old| {
            let beyond = (eye - old.centre()).abs() - Vec2::splat(SQUARE / 2.0 + MARGIN);
            old.room == room && old.radius == radius.to_bits() && beyond.max_element() <= 0.0
        });
        let corner = (eye / SQUARE).floor();
        old.or(Some(Self {
            room,
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

    /// Returns the farthest distance of an eye with this key from the centre.
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
            // One root wider than the reach, so that rounding cannot exclude a root.
            at(f64::from(centre) - reach).saturating_sub(1)..=at(f64::from(centre) + reach).saturating_add(1)
        };
        let (xs, ys) = (range(centre.x), range(centre.y));
        let touches = |(x, y, room): &RootKey| *room == self.room && xs.contains(x) && ys.contains(y);
        roots.iter().any(touches)
    }

    fn build(self, index: &SpatialIndex) -> Area {
        let mut leaves = Vec::new();
        index.leaves_near(self.room, self.centre(), self.reach(), |leaf, distance2| {
            leaves.push((distance2, leaf));
        });
        leaves.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let near = |distance2: f64| {
            let units = distance2.sqrt() * f64::from(POSITION_QUANTUM);
            // Reduced, never increased, by the rounding of positions to `f32`: it stays a lower bound.
            (units * (1.0 - 1e-5) - f64::from(Self::stray()) - f64::from(POSITION_QUANTUM)).max(0.0) as f32
        };
        Area {
            leaves: leaves.iter().map(|&(_, leaf)| leaf).collect(),
            nearest: leaves.iter().map(|&(distance2, _)| near(distance2)).collect(),
        }
    }
}

/// A viewer's reference to its area: the area's key, and its index in the table that counts the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaHold {
    key: AreaKey,
    place: u32,
}

/// All areas that have viewers.
#[derive(Debug, Default)]
pub struct AreaTable {
    places: BTreeMap<AreaKey, u32>,
    /// By index. One without viewers is free.
    areas: Vec<SharedArea>,
    free: Vec<u32>,
    stale: Vec<StaleArea>,
    nothing: Arc<Area>,
    /// Whether an area has a viewer but was never built.
    any_new: bool,
    built: u64,
}

#[derive(Debug)]
struct SharedArea {
    key: AreaKey,
    area: Arc<Area>,
    viewers: u32,
    /// Whether the area has to be built.
    stale: bool,
}

impl AreaTable {
    /// Counts a viewer, which had the hold `old`, into the area that it sees now. Its area stays the same
    /// while the eye is within the margin of its square. Returns `None` for an eye that sees nothing: its
    /// radius is not positive, or its position is not finite.
    pub fn update(
        &mut self,
        room: RoomId,
        eye: Vec2,
        radius: f32,
        old: Option<AreaHold>,
    ) -> Option<AreaHold> {
        let key = AreaKey::update(room, eye, radius, old.map(|old| old.key));
        if key == old.map(|old| old.key) {
            return old;
        }
        let hold = key.map(|key| self.enter(key));
        if let Some(old) = old {
            self.release(old);
        }
        hold
    }

    fn enter(&mut self, key: AreaKey) -> AreaHold {
        let place = *self.places.entry(key).or_insert_with(|| {
            let new = SharedArea {
                key,
                area: Arc::clone(&self.nothing),
                viewers: 0,
                stale: true,
            };
            match self.free.pop() {
                Some(place) => {
                    self.areas[place as usize] = new;
                    place
                }
                None => {
                    self.areas.push(new);
                    (self.areas.len() - 1) as u32
                }
            }
        });
        let shared = &mut self.areas[place as usize];
        shared.viewers += 1;
        self.any_new |= shared.stale;
        AreaHold { key, place }
    }

    /// Removes a viewer from its area. An area without viewers is dropped.
    pub fn release(&mut self, hold: AreaHold) {
        let Some(shared) = held(&mut self.areas, hold) else {
            return;
        };
        shared.viewers -= 1;
        if shared.viewers == 0 {
            shared.area = Arc::clone(&self.nothing);
            self.places.remove(&hold.key);
            self.free.push(hold.place);
        }
    }

    /// Lists the areas that are new or whose cells changed in this tick. Each has to be
    /// [built](StaleArea::build), in any order and on any thread, before [`AreaTable::take_built`].
    pub fn list_stale(&mut self, index: &SpatialIndex) -> &mut [StaleArea] {
        let changed = index.changed_roots();
        self.stale.clear();
        if changed.is_empty() && !std::mem::take(&mut self.any_new) {
            return &mut self.stale;
        }
        self.any_new = false;
        for (place, shared) in self.areas.iter_mut().enumerate() {
            if shared.viewers > 0 && (std::mem::take(&mut shared.stale) || shared.key.touches(changed)) {
                let hold = AreaHold {
                    key: shared.key,
                    place: place as u32,
                };
                self.stale.push(StaleArea { hold, area: None });
            }
        }
        &mut self.stale
    }

    /// Takes over the areas that were built since [`AreaTable::list_stale`].
    pub fn take_built(&mut self) {
        for stale in self.stale.drain(..) {
            if let (Some(area), Some(shared)) = (stale.area, held(&mut self.areas, stale.hold)) {
                shared.area = area;
                self.built += 1;
            }
        }
    }

    /// Returns the area of a viewer that was followed and refreshed; an empty one for `None`.
    #[must_use]
    pub fn get(&self, hold: Option<AreaHold>) -> &Arc<Area> {
        let shared = hold.and_then(|hold| {
            let shared = self.areas.get(hold.place as usize)?;
            (shared.key == hold.key).then_some(shared)
        });
        shared.map_or(&self.nothing, |shared| &shared.area)
    }

    /// Returns the number of areas in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether no area is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the number of areas built since the start.
    #[must_use]
    pub fn built(&self) -> u64 {
        self.built
    }
}

/// Returns the area that a hold refers to, unless its last viewer was removed.
fn held(areas: &mut [SharedArea], hold: AreaHold) -> Option<&mut SharedArea> {
    let shared = areas.get_mut(hold.place as usize)?;
    (shared.key == hold.key && shared.viewers > 0).then_some(shared)
}

/// An area that has to be built.
#[derive(Debug)]
pub struct StaleArea {
    hold: AreaHold,
    area: Option<Arc<Area>>,
}

impl StaleArea {
    /// Finds the leaves in reach, which takes about 1.5 us.
    pub fn build(&mut self, index: &SpatialIndex) {
        self.area = Some(Arc::new(self.hold.key.build(index)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::Block;
    use super::*;
    use crate::space::CellIndex;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use throng_shared::protocol::ids::Slot;
    use throng_shared::tick::Tick;

    fn refresh(areas: &mut AreaTable, index: &SpatialIndex) {
        areas
            .list_stale(index)
            .iter_mut()
            .for_each(|stale| stale.build(index));
        areas.take_built();
    }

    fn update(areas: &mut AreaTable, eye: Vec2, radius: f32, old: Option<AreaHold>) -> Option<AreaHold> {
        areas.update(RoomId::default(), eye, radius, old)
    }

    #[test]
    fn an_eye_keeps_its_square_within_the_margin() {
        let at = |x: f32| Vec2::new(x, 4.0);
        let update = |eye, radius, old| AreaKey::update(RoomId::default(), eye, radius, old);
        let key = update(at(4.0), 50.0, None);
        assert!(key.is_some());
        for x in [0.0, 8.5, 9.9, -1.9, 4.0] {
            assert_eq!(update(at(x), 50.0, key), key, "{x}");
        }
        assert_ne!(update(at(10.1), 50.0, key), key);
        assert_ne!(update(at(4.0), 51.0, key), key);
        assert_eq!(update(at(4.0), 0.0, key), None);
        assert_eq!(update(at(f32::NAN), 50.0, key), None);
        assert_eq!(update(at(4.0), f32::NAN, key), None);
    }

    #[test]
    fn areas_are_shared_and_dropped_with_their_last_viewer() {
        let mut areas = AreaTable::default();
        let a = update(&mut areas, Vec2::splat(1.0), 50.0, None);
        let b = update(&mut areas, Vec2::splat(2.0), 50.0, None);
        let c = update(&mut areas, Vec2::splat(20.0), 50.0, None);
        assert_eq!((a == b, areas.len()), (true, 2));
        refresh(&mut areas, &SpatialIndex::default());
        assert_eq!(areas.built(), 2);
        refresh(&mut areas, &SpatialIndex::default());
        assert_eq!(areas.built(), 2, "nothing changed");
        assert_eq!(update(&mut areas, Vec2::splat(20.0), 50.0, a), c);
        assert_eq!(areas.len(), 2);
        assert_eq!(update(&mut areas, Vec2::splat(2.0), 0.0, b), None);
        assert_eq!(areas.len(), 1);
    }

    #[test]
    fn an_index_is_reused_and_an_old_hold_on_it_refers_to_an_empty_area() {
        let mut areas = AreaTable::default();
        let mut index = SpatialIndex::default();
        index.insert(Slot(0), 0, 0);
        index.rebalance(Tick(1));
        let old = update(&mut areas, Vec2::splat(1.0), 50.0, None).expect("it sees");
        refresh(&mut areas, &index);
        assert_eq!(areas.get(Some(old)).leaves.len(), 1);
        areas.release(old);
        assert!(areas.is_empty() && areas.get(Some(old)).leaves.is_empty());
        let new = update(&mut areas, Vec2::splat(20.0), 50.0, None).expect("it sees");
        refresh(&mut areas, &index);
        assert_eq!((new.place, new == old, areas.areas.len()), (old.place, false, 1));
        assert!(areas.get(Some(old)).leaves.is_empty());
        areas.release(old);
        assert_eq!((areas.len(), areas.get(Some(new)).leaves.len()), (1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn an_area_contains_all_entities_in_reach_after_any_moves(
            steps in prop::collection::vec((0u32..300, -8_000i32..8_000, -8_000i32..8_000, any::<bool>()), 1..600),
            eyes in prop::collection::vec((-90.0f32..90.0, -90.0f32..90.0), 1..8),
            radius in 1.0f32..60.0,
        ) {
            let mut index = SpatialIndex::default();
            let mut areas = AreaTable::default();
            let mut holds = vec![None; eyes.len()];
            let mut known = BTreeSet::new();
            for (tick, steps) in steps.chunks(40).enumerate() {
                let tick = Tick(tick as u32 * 100);
                for &(slot, x, y, near) in steps {
                    let scale = if near { 20 } else { 1 };
                    if known.insert(slot) {
                        index.insert(Slot(slot), x / scale, y / scale);
                    } else {
                        index.place(Slot(slot), x / scale, y / scale, tick);
                    }
                }
                index.rebalance(tick);
                let mut cells = CellIndex::default();
                index.freeze(&mut cells);
                let drift = tick.0 as f32 * 0.01;
                for (hold, &(x, y)) in holds.iter_mut().zip(&eyes) {
                    *hold = update(&mut areas, Vec2::new(x + drift, y), radius, *hold);
                }
                refresh(&mut areas, &index);
                for (&hold, &(x, y)) in holds.iter().zip(&eyes) {
                    let eye = Vec2::new(x + drift, y);
                    let area = areas.get(hold);
                    let mut seen = BTreeSet::new();
                    for (&leaf, &nearest) in area.leaves.iter().zip(&area.nearest) {
                        for (slot, position) in cells.leaf(leaf).into_iter().flatten().flat_map(Block::rows) {
                            prop_assert!(eye.distance(position) >= nearest);
                            prop_assert!(seen.insert(slot));
                        }
                    }
                    let mut found = Vec::new();
                    index.within(&cells, eye, radius * REACH_FACTOR, &mut found);
                    for found in found {
                        prop_assert!(seen.contains(&found.slot), "{:?} from {eye}", found);
                    }
                }
            }
        }
    }
}
