//! Tests which entities are within reach, up to 64 at a time and without a branch for each.

use glam::{Vec2, Vec4};

use crate::space::{BLOCK, Block};

/// Blocks that are measured together.
pub(super) const BLOCKS: usize = u64::BITS as usize / BLOCK;

/// Squares of distances, in units, from one eye.
#[derive(Debug, Default)]
pub(super) struct Distances2([[f32; BLOCK]; BLOCKS]);

impl Distances2 {
    /// Measures the first [`BLOCKS`] blocks from `eye`. Bit `i` of the result is set if the squared distance
    /// of index `i`, counted through all blocks, is at most `reach2`, which is finite.
    #[inline(always)]
    pub(super) fn measure(&mut self, blocks: &[Block], eye: Vec2, reach2: f32) -> u64 {
        let (xs, ys, reach2) = (Vec4::splat(eye.x), Vec4::splat(eye.y), Vec4::splat(reach2));
        let (mut within, mut shift) = (0, 0);
        for (distances2, block) in self.0.iter_mut().zip(blocks) {
            let (dx, dy) = (block.xs - xs, block.ys - ys);
            let measured = dx * dx + dy * dy;
            *distances2 = measured.to_array();
            within |= u64::from(measured.cmple(reach2).bitmask()) << shift;
            shift += BLOCK;
        }
        within
    }

    /// Returns the squared distance of an index.
    #[inline(always)]
    pub(super) fn get(&self, place: usize) -> f32 {
        self.0.as_flattened()[place % (BLOCKS * BLOCK)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use throng_shared::protocol::ids::Slot;

    fn blocks(positions: &[(f32, f32)]) -> Vec<Block> {
        let of = |four: &[(f32, f32)]| {
            let at = |place: usize| four.get(place).copied().unwrap_or((f32::INFINITY, f32::INFINITY));
            Block {
                xs: Vec4::from_array([0, 1, 2, 3].map(|place| at(place).0)),
                ys: Vec4::from_array([0, 1, 2, 3].map(|place| at(place).1)),
                slots: [Slot(0); BLOCK],
            }
        };
        positions.chunks(BLOCK).map(of).collect()
    }

    proptest! {
        #[test]
        fn measuring_blocks_equals_comparing_each_entity(
            runs in prop::collection::vec(prop::collection::vec((-90.0f32..90.0, -90.0f32..90.0), 0..80), 2),
            eye in (-20.0f32..20.0, -20.0f32..20.0), reach2 in 0.0f32..9_000.0,
        ) {
            let eye = Vec2::from(eye);
            let mut distances2 = Distances2::default();
            // Values that the first run leaves behind must not affect the second.
            for positions in runs {
                let within = distances2.measure(&blocks(&positions), eye, reach2);
                for place in 0..64 {
                    let distance2 = positions.get(place).map(|&at| {
                        let offset = Vec2::from(at) - eye;
                        offset.x * offset.x + offset.y * offset.y
                    });
                    let is_within = distance2.is_some_and(|distance2| distance2 <= reach2);
                    prop_assert_eq!(within >> place & 1 == 1, is_within);
                    if let Some(distance2) = distance2 {
                        prop_assert_eq!(distances2.get(place), distance2);
                    }
                }
            }
        }
    }
}
