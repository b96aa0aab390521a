//! Who belongs to whom, and in which colour that is shown.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use throng_shared::protocol::ids::TeamId;
use throng_shared::skirmish::PILOT_TEAMS;
use throng_shared::skirmish::components::Drone;

use super::colors;
use crate::world::Own;

/// The sides of ships and drones.
#[derive(SystemParam)]
pub struct Teams<'w, 's> {
    sides: Query<'w, 's, &'static TeamId>,
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
        self.sides
            .get(entity)
            .map_or(colors::HULL, |side| team_color(*side))
    }
}

/// The colour of a pilots' team, linear.
pub fn team_color(team: TeamId) -> Vec3 {
    let place = PILOT_TEAMS.iter().position(|other| *other == team);
    place.map_or(colors::HULL, |place| colors::TEAMS[place])
}
