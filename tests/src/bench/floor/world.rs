//! A square map in which all entities move, and the grid that finds the entities near each other.

use glam::Vec2;
use throng_shared::random::Random;

/// View radius of clients, in units.
const VIEW_RADIUS: f32 = 50.0;
/// Movement in a tick, in units: 5 units a second.
const STEP: f32 = 0.25;
/// Largest turn in a tick, in radians.
const TURN: f32 = 0.3;

/// Bytes of a sent entity: id, position, heading and speed.
pub(super) const RECORD_BYTES: usize = 12;

/// Positions of all entities, and their order by grid cells.
pub(super) struct FloorMap {
    positions: Vec<Vec2>,
    headings: Vec<f32>,
    side: f32,
    random: Random,
    /// Cells in a row. Each is at most as wide as the view radius.
    columns: usize,
    /// Index in `order` of the first entity of each cell, and the end of the last cell.
    starts: Vec<u32>,
    order: Vec<u32>,
    cells: Vec<u32>,
}

impl FloorMap {
    /// Creates a map with this many entities, of which each sees `visible` on average.
    pub(super) fn new(entities: usize, visible: u32) -> Self {
        let area = std::f32::consts::PI * VIEW_RADIUS * VIEW_RADIUS;
        let side = (area * entities as f32 / visible as f32).sqrt();
        let mut random = Random::new(1);
        let mut coordinate = || random.unit() as f32 * side;
        let positions = (0..entities)
            .map(|_| Vec2::new(coordinate(), coordinate()))
            .collect();
        let columns = (side / VIEW_RADIUS).ceil().max(1.0) as usize;
        Self {
            positions,
            headings: vec![0.0; entities],
            side,
            random,
            columns,
            starts: vec![0; columns * columns + 1],
            order: vec![0; entities],
            cells: vec![0; entities],
        }
    }

    /// Applies a player's input, so that inputs have an effect.
    pub(super) fn turn(&mut self, entity: usize, turn: u8) {
        self.headings[entity] += f32::from(turn) * 1e-6;
    }

    /// Moves all entities and sorts them into cells with a counting sort.
    pub(super) fn step(&mut self) {
        self.starts.fill(0);
        for entity in 0..self.positions.len() {
            let heading = self.headings[entity] + self.random.signed_unit() * TURN;
            let position = self.positions[entity] + Vec2::from_angle(heading) * STEP;
            let inside = position.clamp(Vec2::ZERO, Vec2::splat(self.side));
            self.headings[entity] = if inside == position {
                heading
            } else {
                heading + std::f32::consts::PI
            };
            self.positions[entity] = inside;
            let cell = self.cell(inside);
            self.cells[entity] = cell as u32;
            self.starts[cell + 1] += 1;
        }
        for cell in 1..self.starts.len() {
            self.starts[cell] += self.starts[cell - 1];
        }
        for (entity, &cell) in self.cells.iter().enumerate() {
            let next = &mut self.starts[cell as usize];
            self.order[*next as usize] = entity as u32;
            *next += 1;
        }
        // While the cells were filled, each start moved to the start of the next cell.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }

    fn cell(&self, position: Vec2) -> usize {
        let column = |along: f32| ((along / VIEW_RADIUS) as usize).min(self.columns - 1);
        column(position.y) * self.columns + column(position.x)
    }

    /// Writes a record of each entity that `entity` sees, until `out` is full. Returns the number of records.
    pub(super) fn write_view(&self, entity: usize, out: &mut [u8]) -> usize {
        let eye = self.positions[entity];
        let (column, row) = (
            ((eye.x / VIEW_RADIUS) as usize).min(self.columns - 1),
            ((eye.y / VIEW_RADIUS) as usize).min(self.columns - 1),
        );
        let mut records = out.chunks_exact_mut(RECORD_BYTES);
        let mut written = 0;
        for row in row.saturating_sub(1)..=(row + 1).min(self.columns - 1) {
            // The entities of adjacent cells in a row are also adjacent in `order`: one range covers up to three cells.
            let first = row * self.columns + column.saturating_sub(1);
            let last = row * self.columns + (column + 1).min(self.columns - 1);
            let range = self.starts[first] as usize..self.starts[last + 1] as usize;
            for &other in &self.order[range] {
                let position = self.positions[other as usize];
                if position.distance_squared(eye) > VIEW_RADIUS * VIEW_RADIUS {
                    continue;
                }
                let Some(record) = records.next() else {
                    return written;
                };
                record[..4].copy_from_slice(&other.to_le_bytes());
                // Coordinates are sent as hundredths of a unit in three bytes, the heading in 256ths of a turn.
                record[4..7].copy_from_slice(&((position.x * 100.0) as u32).to_le_bytes()[..3]);
                record[7..10].copy_from_slice(&((position.y * 100.0) as u32).to_le_bytes()[..3]);
                record[10] = (self.headings[other as usize] * 40.743_665) as i32 as u8;
                record[11] = 100;
                written += 1;
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_contains_all_entities_within_the_radius() {
        let mut world = FloorMap::new(500, 40);
        (0..10).for_each(|_| world.step());
        let mut out = [0; RECORD_BYTES * 200];
        for entity in 0..500 {
            let count = world.write_view(entity, &mut out);
            let mut seen: Vec<u32> = out[..count * RECORD_BYTES]
                .chunks_exact(RECORD_BYTES)
                .map(|record| u32::from_le_bytes(record[..4].try_into().unwrap()))
                .collect();
            seen.sort_unstable();
            let eye = world.positions[entity];
            let near = |other: &u32| {
                let position = world.positions[*other as usize];
                position.distance_squared(eye) <= VIEW_RADIUS * VIEW_RADIUS
            };
            assert_eq!(seen, (0..500).filter(near).collect::<Vec<u32>>(), "{entity}");
        }
    }
}
