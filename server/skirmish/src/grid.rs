//! The broad phase: which bodies may meet.
//!
//! A grid over the bounded space, filled anew every tick by counting. Each body is in all cells that its box
//! touches: where it is, how far it flies in a tick, and a reach beyond. Guarantees that candidates and pairs
//! come without duplicates, that two bodies whose boxes overlap are a pair unless both are at rest, and that
//! pairs are in the order of their rows, however the cells lie.

use glam::Vec2;

use super::collision::Disc;

/// Side of a cell, in units.
const CELL: f32 = 16.0;
/// What a box reaches beyond the way of its disc, in units: room for what acceleration adds in a tick and for
/// the way on after a collision.
pub const REACH: f32 = 1.5;

/// Which bodies are in which cell.
#[derive(Debug, Default)]
pub struct Grid {
    half: f32,
    side: usize,
    /// First entry of each cell; one more at the end.
    starts: Vec<u32>,
    entries: Vec<u32>,
    boxes: Vec<Cells>,
    moving: Vec<bool>,
}

/// A rectangle of cells, both corners included.
#[derive(Clone, Copy, Debug, Default)]
struct Cells {
    low: [u16; 2],
    high: [u16; 2],
}

impl Cells {
    fn each(self) -> impl Iterator<Item = [u16; 2]> {
        (self.low[1]..=self.high[1]).flat_map(move |y| (self.low[0]..=self.high[0]).map(move |x| [x, y]))
    }

    /// The one cell in which a meeting of two rectangles that overlap is reported.
    fn meeting(self, other: Self) -> [u16; 2] {
        [self.low[0].max(other.low[0]), self.low[1].max(other.low[1])]
    }
}

impl Grid {
    /// Puts every disc, which flies for `tick_s`, into the grid over the square of half side `half`.
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
                let at = self.place(cell);
                self.starts[at] += 1;
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
        // From the end of each cell to its start, so the last shall be first: rows ascend in every cell.
        for row in (0..discs.len()).rev() {
            for cell in self.boxes[row].each() {
                let at = self.place(cell);
                self.starts[at] -= 1;
                self.entries[self.starts[at] as usize] = row as u32;
            }
        }
    }

    /// Fills `found` with all rows whose boxes come within `radius` of `centre`, in no particular order.
    pub fn candidates(&self, centre: Vec2, radius: f32, found: &mut Vec<u32>) {
        found.clear();
        if self.side == 0 {
            return;
        }
        let asked = self.cells(centre, radius);
        for cell in asked.each() {
            for &row in self.rows(cell) {
                if self.boxes[row as usize].meeting(asked) == cell {
                    found.push(row);
                }
            }
        }
    }

    /// Fills `pairs` with the rows that may meet in this tick, the lower first, in order.
    pub fn pairs(&self, wanted: impl Fn(u32, u32) -> bool, pairs: &mut Vec<(u32, u32)>) {
        pairs.clear();
        for (row, cells) in self.boxes.iter().enumerate().filter(|&(row, _)| self.moving[row]) {
            let row = row as u32;
            for cell in cells.each() {
                for &other in self.rows(cell) {
                    // Of two that move, the lower one reports the pair.
                    let is_mine = other > row || (other < row && !self.moving[other as usize]);
                    if is_mine
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
        // A float that is out of range, or not a number, saturates.
        let cell = |at: f32| ((at + self.half) / CELL).clamp(0.0, last) as u16;
        Cells {
            low: [cell(centre.x - reach), cell(centre.y - reach)],
            high: [cell(centre.x + reach), cell(centre.y + reach)],
        }
    }

    fn place(&self, [x, y]: [u16; 2]) -> usize {
        usize::from(y) * self.side + usize::from(x)
    }

    fn rows(&self, cell: [u16; 2]) -> &[u32] {
        let at = self.place(cell);
        &self.entries[self.starts[at] as usize..self.starts[at + 1] as usize]
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
            let mut at = |limit: f32| Vec2::new(random.within(-limit, limit), random.within(-limit, limit));
            let discs: Vec<Disc> = (0..400)
                .map(|n| Disc {
                    position: at(if n < 200 { 195.0 } else { 30.0 }),
                    velocity: if n % 3 == 0 { Vec2::ZERO } else { at(60.0) },
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
                "seed {seed}: sorted, none twice"
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
                let (centre, radius) = (at(200.0), n as f32);
                grid.candidates(centre, radius, &mut found);
                found.sort_unstable();
                assert!(
                    found.windows(2).all(|two| two[0] < two[1]),
                    "seed {seed}: none twice"
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
