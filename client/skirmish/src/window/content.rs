//! Access to the content tables for drawing: sizes, names and positions.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use skirmish_shared::content::{DroneBreed, Laser, ShipClass, SpaceContent};

use crate::content::KnownContent;

/// The announced content. Before it has arrived, sizes are approximate and names are missing.
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

    /// Returns all ship classes, in order.
    pub(crate) fn ships(&self) -> impl Iterator<Item = &ShipClass> {
        self.known.ships()
    }

    pub(crate) fn drone(&self, breed: u8) -> Option<&DroneBreed> {
        self.known.drone(breed)
    }

    /// Returns the laser with this name.
    pub(crate) fn laser(&self, name: &str) -> Option<&Laser> {
        self.known.laser_named(name)
    }

    /// Returns the radius of a ship class, in units.
    pub(crate) fn ship_radius(&self, class: u8) -> f32 {
        self.ship(class).map_or(1.2, |class| class.body.radius.get())
    }

    /// Returns the radius of a drone breed, in units.
    pub(crate) fn drone_radius(&self, breed: u8) -> f32 {
        self.drone(breed).map_or(0.9, |breed| breed.body.radius.get())
    }

    /// Returns the view radius of a pilot, in units.
    pub(crate) fn view(&self) -> f32 {
        self.space().map_or(60.0, |space| space.view.get())
    }

    /// Returns the name of the region at a position, or the name of empty space.
    pub(crate) fn region(&self, at: Vec2) -> &str {
        let regions = self.space().into_iter().flat_map(|space| &space.regions);
        regions
            .filter(|region| at.distance(region.at.into()) <= region.radius.get())
            .map(|region| region.name.as_str())
            .next()
            .unwrap_or("Deep space")
    }
}
