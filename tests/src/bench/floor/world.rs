//! A square world in which everybody moves, and the grid that finds who is near whom.

use glam::Vec2;
use throng_client::seeded::Seeded;

/// How far clients see, in units.
const VIEW_RADIUS: f32 = 50.0;
/// Units in a tick, at 5 units a second.
const STEP: f32 = 0.25;
/// Largest turn in a tick, radians.
const TURN: f32 = 0.3;

/// What is sent of an entity: id, position, heading and speed.
pub(super) const RECORD_BYTES: usize = 12;

/// Who is where.
pub(super) struct FloorMap {
    places: Vec<Vec2>,
    headings: Vec<f32>,
    side: f32,
    random: Seeded,
    /// Cells in a row; each is as wide as the view.
    columns: usize,
    /// Where each cell's entities begin in `order`; one more than there are cells.
    starts: Vec<u32>,
    order: Vec<u32>,
    cells: Vec<u32>,
}

impl FloorMap {
    /// So many entities, spread so that each sees `visible` on average.
    pub(super) fn new(entities: usize, visible: u32) -> Self {
        let area = std::f32::consts::PI * VIEW_RADIUS * VIEW_RADIUS;
        let side = (area * entities as f32 / visible as f32).sqrt();
        let mut random = Seeded::new(1);
        let mut place = || random.unit() as f32 * side;
        let places = (0..entities).map(|_| Vec2::new(place(), place())).collect();
        let columns = (side / VIEW_RADIUS).ceil().max(1.0) as usize;
        Self {
            places,
            headings: vec![0.0; entities],
            side,
            random,
            columns,
            starts: vec![0; columns * columns + 1],
            order: vec![0; entities],
            cells: vec![0; entities],
        }
    }

    /// A player's wish, so that inputs are used for something.
    pub(super) fn turn(&mut self, entity: usize, turn: u8) {
        self.headings[entity] += f32::from(turn) * 1e-6;
    }

    /// Moves everybody and sorts them into cells by counting.
    pub(super) fn step(&mut self) {
        self.starts.fill(0);
        for entity in 0..self.places.len() {
            let heading = self.headings[entity] + self.random.signed_unit() * TURN;
            let place = self.places[entity] + Vec2::from_angle(heading) * STEP;
            let inside = place.clamp(Vec2::ZERO, Vec2::splat(self.side));
            self.headings[entity] = if inside == place {
                heading
            } else {
                heading + std::f32::consts::PI
            };
            self.places[entity] = inside;
            let cell = self.cell(inside);
            self.cells[entity] = cell as u32;
            self.starts[cell + 1] += 1;
        }
        for cell in 1..self.starts.len() {
            self.starts[cell] += self.starts[cell - 1];
        }
        for (entity, &cell) in self.cells.iter().enumerate() {
            let at = &mut self.starts[cell as usize];
            self.order[*at as usize] = entity as u32;
            *at += 1;
        }
        // Filling moved every start to the next cell's.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }

    fn cell(&self, place: Vec2) -> usize {
        let column = |along: f32| ((along / VIEW_RADIUS) as usize).min(self.columns - 1);
        column(place.y) * self.columns + column(place.x)
    }

    /// Writes a record of everybody whom `entity` sees, as far as there is room; returns how many.
    pub(super) fn write_view(&self, entity: usize, out: &mut [u8]) -> usize {
        let eye = self.places[entity];
        let (column, row) = (
            ((eye.x / VIEW_RADIUS) as usize).min(self.columns - 1),
            ((eye.y / VIEW_RADIUS) as usize).min(self.columns - 1),
        );
        let mut records = out.chunks_exact_mut(RECORD_BYTES);
        let mut written = 0;
        for row in row.saturating_sub(1)..=(row + 1).min(self.columns - 1) {
            // Neighbouring cells of a row are neighbours in the order as well.
            let first = row * self.columns + column.saturating_sub(1);
            let last = row * self.columns + (column + 1).min(self.columns - 1);
            let range = self.starts[first] as usize..self.starts[last + 1] as usize;
            for &other in &self.order[range] {
                let place = self.places[other as usize];
                if place.distance_squared(eye) > VIEW_RADIUS * VIEW_RADIUS {
                    continue;
                }
                let Some(record) = records.next() else {
                    return written;
                };
                record[..4].copy_from_slice(&other.to_le_bytes());
                record[4..7].copy_from_slice(&((place.x * 100.0) as u32).to_le_bytes()[..3]);
                record[7..10].copy_from_slice(&((place.y * 100.0) as u32).to_le_bytes()[..3]);
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
    fn a_view_is_who_is_near() {
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
            let eye = world.places[entity];
            let near = |other: &u32| {
                let place = world.places[*other as usize];
                place.distance_squared(eye) <= VIEW_RADIUS * VIEW_RADIUS
            };
            assert_eq!(seen, (0..500).filter(near).collect::<Vec<u32>>(), "{entity}");
        }
    }
}
