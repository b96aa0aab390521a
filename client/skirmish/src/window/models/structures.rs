//! Models of stations and missiles.

use bevy::prelude::*;

use super::builder::{ModelBuilder, section};
use super::model::{Coat, Model};

/// A wheel around a core, with lights on its rim.
pub(super) fn station() -> Model {
    let mut builder = ModelBuilder::default()
        .torus(Coat::Body, 24, 0.84, 0.13, 0.11)
        .torus(Coat::Dark, 16, 0.34, 0.16, 0.26)
        .torus(Coat::Light, 24, 0.985, 0.008, 0.025)
        .torus(Coat::Team, 16, 0.3, 0.1, 0.34);
    for spoke in 0..6 {
        let (sine, cosine) = (spoke as f32 * std::f32::consts::TAU / 6.0).sin_cos();
        let along = Vec3::new(cosine, 0.0, sine);
        let across = Vec3::new(-sine, 0.0, cosine) * 0.035;
        let up = Vec3::Y * 0.035;
        let places: Vec<Vec3> = [along * 0.3, along * 0.85]
            .into_iter()
            .flat_map(|at| [at + across, at + up, at - across, at - up])
            .collect();
        let indices = [
            0, 4, 5, 0, 5, 1, 1, 5, 6, 1, 6, 2, 2, 6, 7, 2, 7, 3, 3, 7, 4, 3, 4, 0,
        ];
        builder = builder
            .triangles(Coat::Body, &places, &indices)
            .block(
                Coat::Dark,
                along * 0.84 + Vec3::Y * 0.1,
                Vec3::new(0.07, 0.05, 0.07),
            )
            .block(Coat::Light, along * 0.84 + Vec3::Y * 0.16, Vec3::splat(0.02));
    }
    builder
        .block(Coat::Dark, Vec3::Y * 0.32, Vec3::new(0.16, 0.08, 0.16))
        .block(Coat::Body, Vec3::Y * 0.44, Vec3::new(0.09, 0.06, 0.09))
        .block(Coat::Light, Vec3::Y * 0.52, Vec3::splat(0.03))
        .finish()
}

/// A dart with fins.
pub(super) fn missile() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Body,
            0.0,
            &[
                section(-0.9, 0.2, 0.2, 0.2),
                section(0.5, 0.22, 0.22, 0.22),
                section(1.2, 0.02, 0.02, 0.02),
            ],
        )
        .wings(
            Coat::Team,
            [
                [-0.3, 0.0, 0.15],
                [-0.8, 0.0, 0.6],
                [-1.0, 0.0, 0.6],
                [-0.9, 0.0, 0.15],
            ],
            0.05,
        )
        .engine(-0.95, 0.0, 0.0, 0.2)
        .finish()
}
