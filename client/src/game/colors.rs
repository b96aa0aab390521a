//! The colours of the world: teams, rocks, light. Linear, unless a name says otherwise.

use bevy::prelude::*;

/// Colours of the two pilots' teams.
pub const TEAMS: [Vec3; 2] = [Vec3::new(0.06, 0.42, 1.0), Vec3::new(1.0, 0.3, 0.05)];
/// Colours of the breeds of drones.
pub const BREEDS: [Vec3; 2] = [Vec3::new(0.36, 0.95, 0.12), Vec3::new(0.95, 0.06, 0.42)];
/// Colours of the hulls of both.
pub const HULL: Vec3 = Vec3::new(0.3, 0.33, 0.38);
/// Hulls of drones.
pub const DRONE_HULL: Vec3 = Vec3::new(0.13, 0.135, 0.16);
/// A rock without ore.
pub const ROCK: Vec3 = Vec3::new(0.115, 0.1, 0.095);
/// A rock with much ore.
pub const ORE: Vec3 = Vec3::new(0.3, 0.17, 0.045);
/// What ore and wrecks shine like.
pub const ORE_LIGHT: Vec3 = Vec3::new(1.0, 0.6, 0.12);
/// A station.
pub const STATION: Vec3 = Vec3::new(0.19, 0.21, 0.245);
/// A station's lights.
pub const STATION_LIGHT: Vec3 = Vec3::new(0.15, 0.85, 0.75);
/// Fire.
pub const FIRE: Vec3 = Vec3::new(1.0, 0.42, 0.1);
/// A shield that is hit.
pub const SHIELD: Vec3 = Vec3::new(0.2, 0.55, 1.0);

/// The colour of a breed.
pub fn breed(breed: u8) -> Vec3 {
    BREEDS[usize::from(breed) % BREEDS.len()]
}

/// A linear colour for text and panels.
pub fn ui(color: Vec3) -> Color {
    Color::linear_rgb(color.x, color.y, color.z)
}
