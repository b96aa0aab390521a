//! A model: its vertices and triangles, the kinds of paint on them, and the colours of the paint.

use bevy::prelude::*;

/// The kind of paint of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coat {
    /// The main colour of the body.
    Body,
    /// A darker part of the body.
    Dark,
    /// A part in the colour of the team.
    Team,
    /// A light of the team's colour.
    Light,
    /// The glass of a window.
    Glass,
    /// The inside of an engine.
    Engine,
}

/// Number of coats, in the order of a [`Palette`].
const COATS: usize = 6;

/// The vertices and triangles of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Positions and coats of the vertices.
    pub(crate) vertices: Vec<(Vec3, Coat)>,
    /// Three vertex indices for each triangle.
    pub(crate) indices: Vec<u32>,
    /// Distance of the farthest vertex from the centre.
    pub(crate) reach: f32,
}

/// The colours of one drawn model: linear, with an alpha that is the share of emitted light.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette([[f32; 4]; COATS]);

impl Palette {
    /// Creates the palette for a body's and a team's colour, both linear; `flash` (0..=1) whitens all, for a
    /// hit.
    pub(crate) fn new(body: Vec3, team: Vec3, engine: f32, flash: f32) -> Self {
        let flash = flash * 0.45;
        let coat = |color: Vec3, glow: f32| {
            let color = color.lerp(Vec3::ONE, flash);
            [color.x, color.y, color.z, glow.max(flash)]
        };
        Self([
            coat(body, 0.0),
            coat(body * 0.32, 0.0),
            coat(team * 0.75, 0.1),
            coat(team * 2.6, 1.0),
            coat(Vec3::new(0.05, 0.16, 0.24) + team * 0.12, 0.35),
            coat(team * (0.4 + engine * 3.0) + Vec3::splat(engine * 0.8), 1.0),
        ])
    }

    /// Returns the colour of a coat.
    pub(crate) fn color(&self, coat: Coat) -> [f32; 4] {
        self.0[coat as usize]
    }
}
