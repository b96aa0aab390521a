//! Who belongs to whom, and in which colour that is shown.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use throng_shared::skirmish::components::{Drone, Ship};

use super::colors;
use crate::world::Own;

/// The sides of ships and drones.
#[derive(SystemParam)]
pub struct Teams<'w, 's> {
    ships: Query<'w, 's, &'static Ship>,
    drones: Query<'w, 's, &'static Drone>,
    own: Query<'w, 's, Entity, With<Own>>,
}

impl Teams<'_, '_> {
    /// Whether it fights the player: all drones do, and the ships of the other team.
    pub fn is_enemy(&self, entity: Entity) -> bool {
        let own = self.own.single().ok();
        self.drones.contains(entity) || own.is_some_and(|own| self.color(own) != self.color(entity))
    }

    /// The colour of its side, linear.
    pub fn color(&self, entity: Entity) -> Vec3 {
        if let Ok(drone) = self.drones.get(entity) {
            return colors::breed(drone.breed);
        }
        let class = self.ships.get(entity).map_or(0, |ship| ship.class);
        colors::TEAMS[usize::from(class) % 2]
    }
}
