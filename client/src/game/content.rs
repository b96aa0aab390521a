//! The game's tables as the server announced them: what ships, weapons and drones are called and can do.

use bevy::prelude::*;
use throng_shared::protocol::registry::FromServer;
use throng_shared::skirmish::content::{DroneBreed, Laser, MissileKind, ShipClass, Space};
use throng_shared::skirmish::messages::ContentTable;

/// What the server announced; empty before.
#[derive(Resource, Clone, Debug, Default)]
pub struct Tables {
    /// Bounds and rules.
    pub space: Option<Space>,
    /// Ship classes by place.
    pub ships: Vec<Option<ShipClass>>,
    /// Lasers by place.
    pub lasers: Vec<Option<Laser>>,
    /// Kinds of missiles by place.
    pub missiles: Vec<Option<MissileKind>>,
    /// Breeds of drones by place.
    pub drones: Vec<Option<DroneBreed>>,
}

impl Tables {
    /// A ship class.
    pub fn ship(&self, class: u8) -> Option<&ShipClass> {
        self.ships.get(usize::from(class))?.as_ref()
    }

    /// A breed of drones.
    pub fn drone(&self, breed: u8) -> Option<&DroneBreed> {
        self.drones.get(usize::from(breed))?.as_ref()
    }

    /// The laser of this name.
    pub fn laser(&self, name: &str) -> Option<&Laser> {
        self.lasers.iter().flatten().find(|laser| laser.name == name)
    }

    /// Radius of a class of ships, in units.
    pub fn ship_radius(&self, class: u8) -> f32 {
        self.ship(class).map_or(1.2, |class| class.body.radius.get())
    }

    /// Radius of a breed of drones, in units.
    pub fn drone_radius(&self, breed: u8) -> f32 {
        self.drone(breed).map_or(0.9, |breed| breed.body.radius.get())
    }

    /// How far a pilot sees, in units.
    pub fn view(&self) -> f32 {
        self.space.as_ref().map_or(60.0, |space| space.view.get())
    }

    /// Name of the region around a place, or of nowhere.
    pub fn region(&self, at: Vec2) -> &str {
        let regions = self.space.iter().flat_map(|space| &space.regions);
        regions
            .filter(|region| at.distance(region.at.into()) <= region.radius.get())
            .map(|region| region.name.as_str())
            .next()
            .unwrap_or("Deep space")
    }
}

/// Keeps [`Tables`].
pub struct ContentPlugin;

impl Plugin for ContentPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Tables>().add_systems(Update, hear_tables);
    }
}

fn hear_tables(mut heard: MessageReader<FromServer<ContentTable>>, mut tables: ResMut<Tables>) {
    for FromServer(table) in heard.read() {
        match table.clone() {
            ContentTable::Space(space) => tables.space = Some(space),
            ContentTable::Ship(place, row) => put(&mut tables.ships, place, row),
            ContentTable::Laser(place, row) => put(&mut tables.lasers, place, row),
            ContentTable::Missile(place, row) => put(&mut tables.missiles, place, row),
            ContentTable::Drone(place, row) => put(&mut tables.drones, place, row),
        }
    }
}

fn put<T: Clone>(rows: &mut Vec<Option<T>>, place: u8, row: T) {
    let place = usize::from(place);
    if rows.len() <= place {
        rows.resize(place + 1, None);
    }
    rows[place] = Some(row);
}
