//! Builds models from hulls, plates and rings.

use bevy::prelude::*;

use super::model::{Coat, Model};

/// A cross-section of a hull.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HullSection {
    /// Position along the ship's length.
    pub(crate) x: f32,
    /// Half the width of the section.
    pub(crate) wide: f32,
    /// Height of the top edge.
    pub(crate) top: f32,
    /// Depth of the bottom edge, downwards.
    pub(crate) bottom: f32,
}

/// Returns a cross-section of a hull, in one line.
pub(crate) const fn section(x: f32, wide: f32, top: f32, bottom: f32) -> HullSection {
    HullSection { x, wide, top, bottom }
}

/// A model under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelBuilder {
    model: Model,
}

impl ModelBuilder {
    /// Returns the finished model.
    pub(crate) fn finish(self) -> Model {
        let far = self.model.vertices.iter().map(|(place, _)| place.length());
        Model {
            reach: far.fold(0.0, f32::max),
            ..self.model
        }
    }

    fn vertex(&mut self, place: Vec3, coat: Coat) -> u32 {
        self.model.vertices.push((place, coat));
        self.model.vertices.len() as u32 - 1
    }

    fn quad(&mut self, [a, b, c, d]: [u32; 4]) {
        self.model.indices.extend([a, b, c, a, c, d]);
    }

    /// Adds a hull of six-sided sections from stern to bow, with its centre at `z`.
    #[must_use]
    pub(crate) fn hull(mut self, coat: Coat, z: f32, sections: &[HullSection]) -> Self {
        let ring = |section: &HullSection| {
            let HullSection { x, wide, top, bottom } = *section;
            [
                Vec3::new(x, top, z + wide * 0.4),
                Vec3::new(x, 0.0, z + wide),
                Vec3::new(x, -bottom, z + wide * 0.5),
                Vec3::new(x, -bottom, z - wide * 0.5),
                Vec3::new(x, 0.0, z - wide),
                Vec3::new(x, top, z - wide * 0.4),
            ]
        };
        let rings: Vec<[u32; 6]> = sections
            .iter()
            .map(|section| ring(section).map(|place| self.vertex(place, coat)))
            .collect();
        for (here, next) in rings.iter().zip(rings.iter().skip(1)) {
            for side in 0..6 {
                let after = (side + 1) % 6;
                self.quad([here[side], next[side], next[after], here[after]]);
            }
        }
        for end in [rings.first(), rings.last()].into_iter().flatten() {
            self.quad([end[0], end[1], end[4], end[5]]);
            self.quad([end[1], end[2], end[3], end[4]]);
        }
        self
    }

    /// Adds a flat plate of four corners (x, y, z) with a thickness, and its mirror image on the other side.
    #[must_use]
    pub(crate) fn wings(mut self, coat: Coat, corners: [[f32; 3]; 4], thick: f32) -> Self {
        for side in [1.0, -1.0] {
            let corner = |[x, y, z]: [f32; 3], up: f32| Vec3::new(x, y + up, z * side);
            let top = corners.map(|at| self.vertex(corner(at, thick / 2.0), coat));
            let bottom = corners.map(|at| self.vertex(corner(at, -thick / 2.0), coat));
            self.quad(top);
            self.quad(bottom);
            for edge in 0..4 {
                let after = (edge + 1) % 4;
                self.quad([top[edge], top[after], bottom[after], bottom[edge]]);
            }
        }
        self
    }

    /// Adds an engine's glowing end, a six-sided disc that faces backwards, on both sides when `z` is not 0.
    #[must_use]
    pub(crate) fn engine(mut self, x: f32, y: f32, z: f32, radius: f32) -> Self {
        let sides: &[f32] = if z == 0.0 { &[1.0] } else { &[1.0, -1.0] };
        for side in sides {
            let middle = self.vertex(Vec3::new(x, y, z * side), Coat::Engine);
            let rim: Vec<u32> = (0..6)
                .map(|corner| {
                    let (sine, cosine) = (corner as f32 * std::f32::consts::TAU / 6.0).sin_cos();
                    self.vertex(
                        Vec3::new(x, y + sine * radius, z * side + cosine * radius),
                        Coat::Engine,
                    )
                })
                .collect();
            for corner in 0..6 {
                let after = (corner + 1) % 6;
                self.model.indices.extend([middle, rim[corner], rim[after]]);
            }
        }
        self
    }

    /// Adds a ring in the plane, of `pieces` segments, `wide` across and `high`.
    #[must_use]
    pub(crate) fn torus(mut self, coat: Coat, pieces: usize, radius: f32, wide: f32, high: f32) -> Self {
        let rings: Vec<[u32; 4]> = (0..pieces)
            .map(|piece| {
                let (sine, cosine) = (piece as f32 * std::f32::consts::TAU / pieces as f32).sin_cos();
                let at = |out: f32, y: f32| Vec3::new(cosine * (radius + out), y, sine * (radius + out));
                [at(wide, 0.0), at(0.0, high), at(-wide, 0.0), at(0.0, -high)]
                    .map(|place| self.vertex(place, coat))
            })
            .collect();
        for piece in 0..pieces {
            let (here, next) = (rings[piece], rings[(piece + 1) % pieces]);
            for side in 0..4 {
                let after = (side + 1) % 4;
                self.quad([here[side], next[side], next[after], here[after]]);
            }
        }
        self
    }

    /// Adds a box around `at` with half extents `half`.
    #[must_use]
    pub(crate) fn block(mut self, coat: Coat, at: Vec3, half: Vec3) -> Self {
        let corner = |sign: [f32; 3]| at + half * Vec3::from_array(sign);
        let low = [
            [-1.0, -1.0, -1.0],
            [1.0, -1.0, -1.0],
            [1.0, -1.0, 1.0],
            [-1.0, -1.0, 1.0],
        ];
        let bottom = low.map(|sign| self.vertex(corner(sign), coat));
        let top = low.map(|[x, _, z]| self.vertex(corner([x, 1.0, z]), coat));
        self.quad(bottom);
        self.quad(top);
        for edge in 0..4 {
            let after = (edge + 1) % 4;
            self.quad([bottom[edge], bottom[after], top[after], top[edge]]);
        }
        self
    }

    /// Adds triangles without changing them.
    #[must_use]
    pub(crate) fn triangles(mut self, coat: Coat, places: &[Vec3], indices: &[u32]) -> Self {
        let first = self.model.vertices.len() as u32;
        self.model
            .vertices
            .extend(places.iter().map(|place| (*place, coat)));
        self.model
            .indices
            .extend(indices.iter().map(|index| first + index));
        self
    }
}
