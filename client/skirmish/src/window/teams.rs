//! Sides of entities, and the colours that show them.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use skirmish_shared::components::Drone;
use throng_client::world::Own;
use throng_shared::protocol::ids::Team;

use super::colors::Colors;

/// Access to the sides of ships and drones.
#[derive(SystemParam)]
pub(crate) struct Teams<'w, 's> {
    sides: Query<'w, 's, &'static Team>,
    drones: Query<'w, 's, &'static Drone>,
    own: Query<'w, 's, Entity, With<Own>>,
    colors: Res<'w, Colors>,
}

impl Teams<'_, '_> {
    /// Returns whether an entity is an enemy of the player: all drones and the ships of the other team.
    pub(crate) fn is_enemy(&self, entity: Entity) -> bool {
        let own = self.own.single().ok();
        self.drones.contains(entity) || own.is_some_and(|own| self.color(own) != self.color(entity))
    }

    /// Returns the linear colour of an entity's side.
    pub(crate) fn color(&self, entity: Entity) -> Vec3 {
        if let Ok(drone) = self.drones.get(entity) {
            return self.colors.breed(drone.breed);
        }
        self.sides
            .get(entity)
            .map_or(self.colors.hull, |side| self.colors.team(side.0))
    }
}
