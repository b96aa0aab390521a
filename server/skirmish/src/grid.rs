//! The broad phase of collisions: finds which bodies may meet.
//!
//! A grid over the bounded space, filled by a counting sort in every tick. Each body is in all cells that its box
//! touches: its disc, the distance that it flies in a tick, and a margin. Guarantees that candidates and pairs have
//! no duplicates, that two bodies whose boxes overlap are a pair unless both are at rest, and that pairs are in the
//! order of their rows, independent of the cells.

use glam::Vec2;

use super::collision::{Disc, REACH};

/// Side of a cell, in units.
const CELL: f32 = 16.0;

/// Maps each cell to the rows of the bodies in it.
#[derive(Debug, Default)]
pub struct Grid {
    half: f32,
    side: usize,
    /// First entry of each cell in `entries`, and the number of entries at the end.
    starts: Vec<u32>,
    entries: Vec<u32>,
    boxes: Vec<Cells>,
    moving: Vec<bool>,
}

/// A rectangle of cells, including both corners.
#[derive(Clone, Copy, Debug, Default)]
struct Cells {
    low: [u16; 2],
    high: [u16; 2],
}

impl Cells {
    fn each(self) -> impl Iterator<Item = [u16; 2]> {
        (self.low[1]..=self.high[1]).flat_map(move |y| (self.low[0]..=self.high[0]).map(move |x| [x, y]))
    }

    /// Returns the cell that reports the overlap of two rectangles: the low corner of their intersection. Each pair
    /// is in exactly one such cell, so it is found once.
    fn meeting(self, other: Self) -> [u16; 2] {
        [self.low[0].max(other.low[0]), self.low[1].max(other.low[1])]
    }
}

impl Grid {
    /// Fills the grid with discs that fly for `tick_s` seconds, over the square of half side `half` units.
    pub fn fill(&mut self, discs: &[Disc], half: f32, tick_s: f32) {
        self.half = half;
        self.side = ((2.0 * half / CELL) as usize + 1).min(usize::from(u16::MAX));
        self.boxes.clear();
        self.moving.clear();
        self.starts.clear();
        self.starts.resize(self.side * self.side + 1, 0);
        for disc in discs {
            let moving = disc.velocity != Vec2::ZERO;
            let reach = disc.radius
                + if moving {
                    REACH + disc.velocity.length() * tick_s
                } else {
                    0.0
                };
            let cells = self.cells(disc.position, reach);
            for cell in cells.each() {
                let index = self.index(cell);
                self.starts[index] += 1;
            }
            self.boxes.push(cells);
            self.moving.push(moving);
        }
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.entries.clear();
        self.entries.resize(end as usize, 0);
        // Fills each cell from its end to its start. Iterating in reverse makes the rows of every cell ascend, and
        // leaves
        // `starts` at the first entry of each cell.
        for row in (0..discs.len()).rev() {
            for cell in self.boxes[row].each() {
                let index = self.index(cell);
                self.starts[index] -= 1;
                self.entries[self.starts[index] as usize] = row as u32;
            }
        }
    }

    /// Fills `found` with all rows whose boxes come within `radius` units of `centre`, in no particular order.
    pub fn candidates(&self, centre: Vec2, radius: f32, found: &mut Vec<u32>) {
        found.clear();
        if self.side == 0 {
            return;
        }
        let searched = self.cells(centre, radius);
        for cell in searched.each() {
            for &row in self.rows(cell) {
                if self.boxes[row as usize].meeting(searched) == cell {
                    found.push(row);
                }
            }
        }
    }

    /// Fills `pairs` with the rows that may meet in this tick, each with the lower row first, in order. `wanted`
    /// filters.
    pub fn pairs(&self, wanted: impl Fn(u32, u32) -> bool, pairs: &mut Vec<(u32, u32)>) {
        pairs.clear();
        for (row, cells) in self.boxes.iter().enumerate().filter(|&(row, _)| self.moving[row]) {
            let row = row as u32;
            for cell in cells.each() {
                for &other in self.rows(cell) {
                    // Of two moving bodies, the lower row reports the pair.
                    let reports = other > row || (other < row && !self.moving[other as usize]);
                    if reports
                        && self.boxes[other as usize].meeting(*cells) == cell
                        && wanted(row.min(other), row.max(other))
                    {
                        pairs.push((row.min(other), row.max(other)));
                    }
                }
            }
        }
        pairs.sort_unstable();
    }

    fn cells(&self, centre: Vec2, reach: f32) -> Cells {
        let last = self.side as f32 - 1.0;
        // The cast to u16 saturates if the value is out of range, and turns NaN into 0.
        let cell = |coordinate: f32| ((coordinate + self.half) / CELL).clamp(0.0, last) as u16;
        Cells {
            low: [cell(centre.x - reach), cell(centre.y - reach)],
            high: [cell(centre.x + reach), cell(centre.y + reach)],
        }
    }

    fn index(&self, [x, y]: [u16; 2]) -> usize {
        usize::from(y) * self.side + usize::from(x)
    }

    fn rows(&self, cell: [u16; 2]) -> &[u32] {
        let index = self.index(cell);
        &self.entries[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_server::prelude::Seed;
    use throng_shared::protocol::ids::GlobalId;
    use throng_shared::tick::Tick;

    #[test]
    fn pairs_and_candidates_equal_brute_force() {
        for seed in 0..20 {
            let mut random = Seed(seed).of(GlobalId(1), Tick(1));
            let mut point =
                |limit: f32| Vec2::new(random.within(-limit, limit), random.within(-limit, limit));
            let discs: Vec<Disc> = (0..400)
                .map(|n| Disc {
                    position: point(if n < 200 { 195.0 } else { 30.0 }),
                    velocity: if n % 3 == 0 { Vec2::ZERO } else { point(60.0) },
                    radius: 0.5 + (n % 40) as f32 * 0.2,
                    inverse_mass: 1.0,
                    ..Disc::default()
                })
                .collect();
            let mut grid = Grid::default();
            grid.fill(&discs, 200.0, 0.05);
            let mut pairs = Vec::new();
            grid.pairs(|_, _| true, &mut pairs);
            assert!(
                pairs.windows(2).all(|two| two[0] < two[1]),
                "seed {seed}: not sorted or not unique"
            );
            for a in 0..discs.len() as u32 {
                for b in a + 1..discs.len() as u32 {
                    let (one, two) = (&discs[a as usize], &discs[b as usize]);
                    let moved = (one.velocity.length() + two.velocity.length()) * 0.05;
                    let may_touch = one.position.distance(two.position) <= one.radius + two.radius + moved;
                    let moving = one.velocity != Vec2::ZERO || two.velocity != Vec2::ZERO;
                    if may_touch && moving {
                        assert!(pairs.binary_search(&(a, b)).is_ok(), "seed {seed}: {a} and {b}");
                    }
                }
            }
            let mut found = Vec::new();
            for n in 0..50 {
                let (centre, radius) = (point(200.0), n as f32);
                grid.candidates(centre, radius, &mut found);
                found.sort_unstable();
                assert!(
                    found.windows(2).all(|two| two[0] < two[1]),
                    "seed {seed}: duplicates"
                );
                for (row, disc) in discs.iter().enumerate() {
                    if disc.position.distance(centre) <= radius + disc.radius {
                        assert!(found.binary_search(&(row as u32)).is_ok(), "seed {seed}: {row}");
                    }
                }
            }
        }
    }
}
