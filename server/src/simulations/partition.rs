//! The partition of the plane: which simulation owns which part. Pure: no ECS, no clock, no randomness.
//!
//! The plane is divided into square cells. Every cell has exactly one owner: the simulation that it was
//! assigned to last, or else the one whose stripe contains it. Every simulation has a copy of the partition
//! and assigns the same cells in the same tick, so that all copies are equal at every tick.

use std::collections::BTreeMap;

use glam::Vec2;
use throng_shared::protocol::ids::SimulationId;

/// The most simulations in one process: as many as one session can be sent frames of.
pub(super) const SIMULATIONS_MAX: u8 = 8;
/// Number of cells on either side of the origin. Positions beyond belong to the outermost cells.
pub(super) const CELLS_HALF: i32 = 512;

/// A square of the plane, by its column and row in units of the cell's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Column, -512..512.
    pub x: i32,
    /// Row, -512..512.
    pub y: i32,
}

/// A set of simulations, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SimulationSet(u8);

impl SimulationSet {
    /// Returns the set with `simulation` added.
    #[must_use]
    pub(crate) const fn with(self, simulation: SimulationId) -> Self {
        Self(self.0 | 1 << (simulation.0 % SIMULATIONS_MAX))
    }

    /// Returns the set with `simulation` removed.
    #[must_use]
    pub(crate) const fn without(self, simulation: SimulationId) -> Self {
        Self(self.0 & !(1 << (simulation.0 % SIMULATIONS_MAX)))
    }

    /// Returns the simulations in the set, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = SimulationId> {
        (0..SIMULATIONS_MAX)
            .filter(move |bit| self.0 >> bit & 1 == 1)
            .map(SimulationId)
    }
}

/// The owners of all cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    simulations: u8,
    side: f32,
    /// Number of columns from the origin to the edge of the map. The stripes divide the columns between the
    /// edges.
    columns_half: i32,
    moved: BTreeMap<Cell, SimulationId>,
    epoch: u64,
}

impl Partition {
    /// Creates stripes of equal width from west to east for `simulations` (1 to 8), over a
    /// map of `world_side` units around the origin, in cells of `cell_side` units.
    #[must_use]
    pub fn stripes(simulations: u8, cell_side: f32, world_side: f32) -> Self {
        let side = if cell_side.is_finite() {
            cell_side.max(0.01)
        } else {
            1.0
        };
        Self {
            simulations: simulations.clamp(1, SIMULATIONS_MAX),
            side,
            columns_half: ((world_side * 0.5 / side).ceil() as i32).clamp(1, CELLS_HALF),
            moved: BTreeMap::new(),
            epoch: 0,
        }
    }

    /// Returns the number of simulations.
    #[must_use]
    pub fn simulations(&self) -> u8 {
        self.simulations
    }

    /// Returns the number of assignments of cells so far.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the cell that contains a position. A coordinate that is not a number counts as 0.
    #[must_use]
    pub fn cell_of(&self, position: Vec2) -> Cell {
        // The conversion to an integer saturates, and converts NaN to 0.
        let cell =
            |coordinate: f32| ((coordinate / self.side).floor() as i32).clamp(-CELLS_HALF, CELLS_HALF - 1);
        Cell {
            x: cell(position.x),
            y: cell(position.y),
        }
    }

    /// Returns the simulation that owns a cell.
    #[must_use]
    pub fn owner_of(&self, cell: Cell) -> SimulationId {
        self.moved
            .get(&cell)
            .copied()
            .unwrap_or_else(|| self.stripe_of(cell))
    }

    /// Returns the simulation that owns a position.
    #[must_use]
    pub fn owner(&self, position: Vec2) -> SimulationId {
        self.owner_of(self.cell_of(position))
    }

    /// Returns the simulation that is to own an entity at `position` that belongs to `current`. The entity
    /// keeps its owner up to `margin` units from a cell of `current`, so that an entity moving along a border
    /// does not migrate in every tick.
    #[must_use]
    pub fn owner_after(&self, position: Vec2, current: SimulationId, margin: f32) -> SimulationId {
        let owner = self.owner(position);
        let stays = owner != current
            && margin > 0.0
            && self.touches(position, margin).without(current) != self.touches(position, margin);
        if stays { current } else { owner }
    }

    /// Returns the owners of the cells that intersect the square of `reach` units in all four directions
    /// around `position`.
    #[must_use]
    pub(crate) fn touches(&self, position: Vec2, reach: f32) -> SimulationSet {
        let (low, high) = (self.cell_of(position - reach), self.cell_of(position + reach));
        let mut found = SimulationSet::default();
        if low == high {
            return found.with(self.owner_of(low));
        }
        for x in low.x..=high.x {
            for y in low.y..=high.y {
                found = found.with(self.owner_of(Cell { x, y }));
            }
        }
        found
    }

    /// Assigns a cell to a simulation. Returns `false`, and changes nothing, if there is no such simulation.
    pub fn assign(&mut self, cell: Cell, to: SimulationId) -> bool {
        if to.0 >= self.simulations {
            return false;
        }
        if to == self.stripe_of(cell) {
            self.moved.remove(&cell);
        } else {
            self.moved.insert(cell, to);
        }
        self.epoch += 1;
        true
    }

    fn stripe_of(&self, cell: Cell) -> SimulationId {
        let column = (cell.x + self.columns_half).clamp(0, self.columns_half * 2 - 1);
        SimulationId((column * i32::from(self.simulations) / (self.columns_half * 2)) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stripes_divide_the_map_evenly_and_the_outermost_extend_beyond_its_edges() {
        let partition = Partition::stripes(4, 10.0, 400.0);
        let owner = |x: f32| partition.owner(Vec2::new(x, 3.0)).0;
        assert_eq!([-199.0, -101.0, -99.0, -1.0].map(owner), [0, 0, 1, 1]);
        assert_eq!([1.0, 99.0, 101.0, 199.0].map(owner), [2, 2, 3, 3]);
        assert_eq!([f32::MIN, f32::MAX, f32::NAN].map(owner), [0, 3, 2]);
    }

    #[test]
    fn an_entity_keeps_its_owner_within_the_margin_only() {
        let partition = Partition::stripes(2, 10.0, 100.0);
        let after = |x: f32| partition.owner_after(Vec2::new(x, 0.0), SimulationId(0), 1.0).0;
        assert_eq!([-5.0, -0.5, 0.5, 0.99, 1.01, 5.0].map(after), [0, 0, 0, 0, 1, 1]);
        assert_eq!(
            partition.owner_after(Vec2::new(0.5, 0.0), SimulationId(0), 0.0),
            SimulationId(1)
        );
    }

    #[test]
    fn an_assigned_cell_has_its_new_owner_and_can_be_assigned_back() {
        let mut partition = Partition::stripes(2, 10.0, 100.0);
        let cell = partition.cell_of(Vec2::new(5.0, 5.0));
        let before = partition.clone();
        assert!(!partition.assign(cell, SimulationId(2)));
        assert!(partition.assign(cell, SimulationId(0)));
        assert_eq!(partition.owner_of(cell), SimulationId(0));
        assert!(partition.assign(cell, SimulationId(1)));
        assert_eq!(
            (partition.owner_of(cell), partition.epoch()),
            (SimulationId(1), 2)
        );
        assert_eq!(partition.moved, before.moved);
    }

    proptest! {
        #[test]
        fn a_square_touches_the_owners_of_all_positions_in_it(
            moves in prop::collection::vec((-8i32..8, -8i32..8, 0u8..5), 0..60),
            at in (-90.0f32..90.0, -90.0f32..90.0),
            reach in 0.0f32..25.0,
            offsets in prop::collection::vec((-1.0f32..=1.0, -1.0f32..=1.0), 1..40),
        ) {
            let mut partition = Partition::stripes(5, 10.0, 160.0);
            for (x, y, to) in moves {
                partition.assign(Cell { x, y }, SimulationId(to));
            }
            let at = Vec2::new(at.0, at.1);
            let touched = partition.touches(at, reach);
            for (x, y) in offsets {
                let owner = partition.owner(at + Vec2::new(x, y) * reach);
                prop_assert_eq!(touched.with(owner), touched);
            }
            let reached: Vec<_> = touched.iter().collect();
            prop_assert!(reached.iter().all(|owner| owner.0 < 5) && !reached.is_empty());
        }
    }
}
