//! The models of all bodies, made in code: ships by class, drones by breed, missiles, stations, rocks.
//!
//! A model faces +x, its top is +y, and it has a radius of about 1. Each vertex has a kind of paint; the
//! drawing code supplies the colours.

mod builder;
mod model;
mod rocks;
mod ships;
mod structures;

use bevy::prelude::*;

pub(crate) use model::{Model, Palette};

/// All models of the game.
#[derive(Resource)]
pub(crate) struct Models {
    ships: Vec<Model>,
    drones: Vec<Model>,
    rocks: Vec<Model>,
    /// The model of all missiles.
    pub(crate) missile: Model,
    /// The model of all stations, which rotate.
    pub(crate) station: Model,
}

impl Models {
    /// Returns the model of a ship class; classes beyond the available models share them.
    pub(crate) fn ship(&self, class: u8) -> &Model {
        &self.ships[usize::from(class) % self.ships.len()]
    }

    /// Returns the model of a drone breed.
    pub(crate) fn drone(&self, breed: u8) -> &Model {
        &self.drones[usize::from(breed) % self.drones.len()]
    }

    /// Returns one of the rock models, the same for the same number.
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
