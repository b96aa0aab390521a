//! The game's tables in the words of who draws: sizes, names, places.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use skirmish_shared::content::{DroneBreed, Laser, ShipClass, SpaceContent};

use crate::content::KnownContent;

/// What the server announced. Before it has, sizes are about right and names are missing.
#[derive(SystemParam)]
pub(crate) struct Tables<'w> {
    known: Res<'w, KnownContent>,
}

impl Tables<'_> {
    pub(crate) fn space(&self) -> Option<&SpaceContent> {
        self.known.space()
    }

    pub(crate) fn ship(&self, class: u8) -> Option<&ShipClass> {
        self.known.ship(class)
    }

    /// All ship classes, in order.
    pub(crate) fn ships(&self) -> impl Iterator<Item = &ShipClass> {
        self.known.ships()
    }

    pub(crate) fn drone(&self, breed: u8) -> Option<&DroneBreed> {
        self.known.drone(breed)
    }

    /// The laser of this name.
    pub(crate) fn laser(&self, name: &str) -> Option<&Laser> {
        self.known.laser_named(name)
    }

    /// Radius of a class of ships, in units.
    pub(crate) fn ship_radius(&self, class: u8) -> f32 {
        self.ship(class).map_or(1.2, |class| class.body.radius.get())
    }

    /// Radius of a breed of drones, in units.
    pub(crate) fn drone_radius(&self, breed: u8) -> f32 {
        self.drone(breed).map_or(0.9, |breed| breed.body.radius.get())
    }

    /// How far a pilot sees, in units.
    pub(crate) fn view(&self) -> f32 {
        self.space().map_or(60.0, |space| space.view.get())
    }

    /// Name of the region around a place, or of nowhere.
    pub(crate) fn region(&self, at: Vec2) -> &str {
        let regions = self.space().into_iter().flat_map(|space| &space.regions);
        regions
            .filter(|region| at.distance(region.at.into()) <= region.radius.get())
            .map(|region| region.name.as_str())
            .next()
            .unwrap_or("Deep space")
    }
}
