//! The shapes of everything, made in code: ships by class, drones by breed, missiles, stations, rocks.
//!
//! A model looks along +x, its top is +y, and it has a radius of about 1. Its vertices say which paint they
//! carry; whoever draws one brings the colours.

pub(crate) mod builder;
mod rocks;
mod ships;
mod structures;

use bevy::prelude::*;

/// What a vertex is painted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coat {
    /// The main colour.
    Body,
    /// A darker part.
    Dark,
    /// The colour of the team.
    Team,
    /// A light of the team's colour.
    Light,
    /// A window.
    Glass,
    /// The inside of an engine.
    Engine,
}

/// Coats, in the order of a [`Palette`].
const COATS: usize = 6;

/// Vertices and triangles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// Places and coats.
    pub(crate) vertices: Vec<(Vec3, Coat)>,
    /// Three for each triangle.
    pub(crate) indices: Vec<u32>,
    /// How far its farthest vertex is from its middle.
    pub(crate) reach: f32,
}

/// The colours of one drawn model: linear, with an alpha that says how much of it is its own light.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette([[f32; 4]; COATS]);

impl Palette {
    /// For a team's colour and a body's colour, both linear; `flash` (0..=1) whitens all, for a hit.
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

    /// The colour of a coat.
    pub(crate) fn color(&self, coat: Coat) -> [f32; 4] {
        self.0[coat as usize]
    }
}

/// Every model there is.
#[derive(Resource)]
pub(crate) struct Models {
    ships: Vec<Model>,
    drones: Vec<Model>,
    rocks: Vec<Model>,
    /// Any missile.
    pub(crate) missile: Model,
    /// Any station; it turns.
    pub(crate) station: Model,
}

impl Models {
    /// The shape of a class of ships; classes beyond the shapes share them.
    pub(crate) fn ship(&self, class: u8) -> &Model {
        &self.ships[usize::from(class) % self.ships.len()]
    }

    /// The shape of a breed of drones.
    pub(crate) fn drone(&self, breed: u8) -> &Model {
        &self.drones[usize::from(breed) % self.drones.len()]
    }

    /// One of the rocks, the same for the same number.
    pub(crate) fn rock(&self, number: u64) -> &Model {
        &self.rocks[(number % self.rocks.len() as u64) as usize]
    }
}

impl Default for Models {
    fn default() -> Self {
        Self {
            ships: ships::classes(),
            drones: ships::breeds(),
            rocks: rocks::variants(),
            missile: structures::missile(),
            station: structures::station(),
        }
    }
}
