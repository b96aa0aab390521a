//! Who belongs to whom, and in which colour that is shown.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use throng_shared::skirmish::components::{Drone, Ship};

use super::colors;

/// The sides of ships and drones.
#[derive(SystemParam)]
pub struct Teams<'w, 's> {
    ships: Query<'w, 's, &'static Ship>,
    drones: Query<'w, 's, &'static Drone>,
}

impl Teams<'_, '_> {
    /// The colour of its side, linear.
    pub fn color(&self, entity: Entity) -> Vec3 {
        if let Ok(drone) = self.drones.get(entity) {
            return colors::breed(drone.breed);
        }
        let class = self.ships.get(entity).map_or(0, |ship| ship.class);
        colors::TEAMS[usize::from(class) % 2]
    }
}
