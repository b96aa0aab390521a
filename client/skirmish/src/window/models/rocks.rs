//! Models of rocks: spheres from which planes cut pieces off.

use bevy::mesh::{Indices, VertexAttributeValues};
use bevy::prelude::*;
use throng_shared::random::Random;

use super::builder::ModelBuilder;
use super::model::{Coat, Model};

/// Number of different rocks; an asteroid's id selects one.
const VARIANTS: u64 = 8;
/// Number of cutting planes for each rock.
const CUTS: usize = 18;

pub(super) fn variants() -> Vec<Model> {
    (0..VARIANTS).map(rock).collect()
}

fn rock(seed: u64) -> Model {
    let mut random = Random::new(0x0_c0ff_ee00 + seed);
    let mut unit = || random.unit() as f32 * 2.0 - 1.0;
    let cuts: Vec<(Vec3, f32)> = (0..CUTS)
        .map(|_| {
            let toward = Vec3::new(unit(), unit(), unit()).normalize_or(Vec3::Y);
            (toward, 0.72 + unit() * 0.14)
        })
        .collect();
    let stretch = Vec3::new(1.1 + unit() * 0.12, 0.92 + unit() * 0.12, 1.0);
    let (places, indices) = ball();
    let places: Vec<Vec3> = places
        .into_iter()
        .map(|place| {
            let cut = cuts.iter().fold(place, |place, (toward, depth)| {
                place - *toward * (place.dot(*toward) - depth).max(0.0)
            });
            cut * stretch * 1.12
        })
        .collect();
    ModelBuilder::default()
        .triangles(Coat::Body, &places, &indices)
        .finish()
}

/// Returns the positions and triangles of a sphere of radius 1.
fn ball() -> (Vec<Vec3>, Vec<u32>) {
    let mesh = Sphere::new(1.0).mesh().uv(11, 8);
    let places = match mesh.attribute(Mesh::ATTRIBUTE_POSITION) {
        Some(VertexAttributeValues::Float32x3(places)) => places.iter().map(|&place| place.into()).collect(),
        _ => Vec::new(),
    };
    let indices = match mesh.indices() {
        Some(Indices::U32(indices)) => indices.clone(),
        Some(Indices::U16(indices)) => indices.iter().map(|&index| index.into()).collect(),
        None => Vec::new(),
    };
    (places, indices)
}
