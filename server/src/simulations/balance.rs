//! Balances the load of the simulations by moving cells between them. Pure: the same loads give the same
//! moves in every simulation.

use std::collections::BTreeMap;

use throng_shared::protocol::ids::SimulationId;

use super::partition::{Cell, Partition};

/// The load, in percent of the mean, above which a simulation gives cells to others.
const TOLERANCE_PERCENT: u64 = 115;

/// A cell that is to be assigned to another simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellMove {
    /// The cell to be assigned.
    pub cell: Cell,
    /// The simulation that is to own the cell.
    pub to: SimulationId,
}

/// Returns the next cell to move if the loads are uneven. It moves from the busiest simulation to a less busy
/// one, and leaves both less busy than the busiest was. `loads` has the load of every cell that is not empty,
/// for example its number of entities.
#[must_use]
pub(super) fn next_move(partition: &Partition, loads: &BTreeMap<Cell, u64>) -> Option<CellMove> {
    let mut totals = vec![0u64; usize::from(partition.simulations())];
    for (&cell, load) in loads {
        totals[usize::from(partition.owner_of(cell).0)] += load;
    }
    let mean = totals.iter().sum::<u64>() / totals.len() as u64;
    let (busiest, &most) = totals
        .iter()
        .enumerate()
        .max_by_key(|&(index, &total)| (total, usize::MAX - index))?;
    if most * 100 <= mean * TOLERANCE_PERCENT {
        return None;
    }
    let busiest = SimulationId(busiest as u8);
    let least = (0..)
        .map(SimulationId)
        .zip(&totals)
        .min_by_key(|&(_, total)| total)?
        .0;
    let adjacent_owners = |cell| {
        adjacent_cells(cell)
            .map(|cell| partition.owner_of(cell))
            .collect()
    };
    // A simulation with adjacent cells is preferred, so that parts of the plane stay connected. If none
    // helps, the least busy simulation gets a detached cell.
    best_move(partition, loads, &totals, busiest, adjacent_owners)
        .or_else(|| best_move(partition, loads, &totals, busiest, |_| vec![least]))
}

/// Returns the best move of a cell of `busiest` to one of the simulations that `takers` returns for the cell.
fn best_move(
    partition: &Partition,
    loads: &BTreeMap<Cell, u64>,
    totals: &[u64],
    busiest: SimulationId,
    takers: impl Fn(Cell) -> Vec<SimulationId>,
) -> Option<CellMove> {
    let most = totals[usize::from(busiest.0)];
    let mut best: Option<(u64, CellMove)> = None;
    for (&cell, &load) in loads {
        if load == 0 || partition.owner_of(cell) != busiest {
            continue;
        }
        for to in takers(cell) {
            let after = totals[usize::from(to.0)] + load;
            // The load of the busier of the two after the move. The smallest is best, and of equal ones the
            // first cell's.
            let peak = after.max(most - load);
            if to != busiest && after < most && best.is_none_or(|(least, _)| peak < least) {
                best = Some((peak, CellMove { cell, to }));
            }
        }
    }
    best.map(|(_, next)| next)
}

fn adjacent_cells(cell: Cell) -> impl Iterator<Item = Cell> {
    [(-1, 0), (1, 0), (0, -1), (0, 1)]
        .into_iter()
        .map(move |(x, y)| Cell {
            x: cell.x + x,
            y: cell.y + y,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals(partition: &Partition, loads: &BTreeMap<Cell, u64>) -> Vec<u64> {
        let mut totals = vec![0; usize::from(partition.simulations())];
        for (&cell, load) in loads {
            totals[usize::from(partition.owner_of(cell).0)] += load;
        }
        totals
    }

    #[test]
    fn balancing_spreads_the_load_of_one_corner_over_all_simulations() {
        let mut partition = Partition::stripes(4, 1.0, 32.0);
        let loads: BTreeMap<_, _> = (-16..-8)
            .flat_map(|x| (-16..16).map(move |y| (Cell { x, y }, 10)))
            .collect();
        assert_eq!(totals(&partition, &loads), [2_560, 0, 0, 0]);
        let mut moves = 0;
        while let Some(next) = next_move(&partition, &loads) {
            assert!(partition.assign(next.cell, next.to));
            moves += 1;
            assert!(moves < 2_000, "goes on for ever");
        }
        let after = totals(&partition, &loads);
        assert_eq!(after.iter().sum::<u64>(), 2_560);
        assert!(
            after.iter().all(|&load| load <= 640 * 115 / 100 + 10),
            "{after:?}"
        );
    }

    proptest! {
        #[test]
        fn every_balancing_move_lowers_the_peak_load_and_the_moves_end(
            simulations in 1u8..=8,
            cells in prop::collection::vec((-8i32..8, -8i32..8, 0u64..100), 0..120),
        ) {
            let mut partition = Partition::stripes(simulations, 1.0, 16.0);
            let loads: BTreeMap<_, _> = cells.into_iter().map(|(x, y, load)| (Cell { x, y }, load)).collect();
            let sum = totals(&partition, &loads).iter().sum::<u64>();
            // The sorted loads fall lexicographically with every move, so this bound is generous.
            for moves in 0.. {
                let before = totals(&partition, &loads);
                let Some(next) = next_move(&partition, &loads) else { break };
                let from = partition.owner_of(next.cell);
                partition.assign(next.cell, next.to);
                let after = totals(&partition, &loads);
                let peak = before[usize::from(from.0)];
                prop_assert!(after[usize::from(from.0)] < peak && after[usize::from(next.to.0)] < peak);
                prop_assert_eq!(after.iter().sum::<u64>(), sum);
                prop_assert!(moves < 5_000);
            }
        }
    }
}
