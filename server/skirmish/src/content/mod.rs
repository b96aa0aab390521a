//! The game's content as the rules use it: loaded from RON files, checked, exchanged between ticks.
//!
//! Owns the [`Rules`] that hold in a tick. Guarantees that they are whole and consistent: names lead
//! somewhere, numbers are in range, and places that entities remember keep their meaning when content is
//! exchanged. A file that is not good changes nothing, and the log says which line and why.

mod load;
mod reload;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::content::{
    Body, Content, ContentHash, DroneBreed, Handling, Laser, MissileKind, ShipClass,
};
use skirmish_shared::messages::{ContentAnnounced, ContentTable};
use throng_server::prelude::{ContentFiles, Player, Tell, TickTime};

use super::log_unsent;

pub use load::{ContentError, FILES, Sources};
pub(super) use reload::adopt_content;
pub use reload::{ContentWatch, ReloadedRules};

/// What a craft is built after.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CraftModel {
    /// A pilot's ship, by the place of its class.
    Ship(u8),
    /// A drone, by the place of its breed.
    Drone(u8),
}

/// The content that holds, with its names resolved.
#[derive(Resource, Clone, Debug)]
pub struct Rules {
    /// The content.
    pub content: Content,
    /// Its digest.
    pub hash: ContentHash,
    /// The texts that it came from.
    pub files: ContentFiles,
    ship_lasers: Vec<usize>,
    ship_missiles: Vec<usize>,
    drone_lasers: Vec<usize>,
}

impl Rules {
    /// Rules of a content.
    ///
    /// # Errors
    /// The file, line and reason of what does not fit together. `sources` are the texts that it came from.
    pub fn new(content: Content, sources: &Sources) -> Result<Self, ContentError> {
        load::check(&content, sources)?;
        let places = |name: &str, place: Option<usize>, file: &'static str| {
            place.ok_or_else(|| sources.complain(file, name, format!("nothing is called \"{name}\"")))
        };
        let ships = content.ships.iter();
        let ship_lasers = ships.map(|class| places(&class.laser, content.laser(&class.laser), "ships.ron"));
        let ships = content.ships.iter();
        let ship_missiles =
            ships.map(|class| places(&class.missile, content.missile(&class.missile), "ships.ron"));
        let breeds = content.drones.iter();
        let drone_lasers =
            breeds.map(|breed| places(&breed.laser, content.laser(&breed.laser), "drones.ron"));
        Ok(Self {
            ship_lasers: ship_lasers.collect::<Result<_, _>>()?,
            ship_missiles: ship_missiles.collect::<Result<_, _>>()?,
            drone_lasers: drone_lasers.collect::<Result<_, _>>()?,
            hash: content.hash(),
            files: ContentFiles(Arc::new(sources.files())),
            content,
        })
    }

    /// The content that the binary carries.
    #[must_use]
    pub fn built_in() -> Self {
        Sources::built_in()
            .rules()
            .expect("a test loads the content that is built in")
    }

    /// A class; places that nothing has mean the first.
    #[must_use]
    pub fn class(&self, class: u8) -> &ShipClass {
        let ships = &self.content.ships;
        ships.get(usize::from(class)).unwrap_or(&ships[0])
    }

    /// A breed; places that nothing has mean the first.
    #[must_use]
    pub fn breed(&self, breed: u8) -> &DroneBreed {
        let drones = &self.content.drones;
        drones.get(usize::from(breed)).unwrap_or(&drones[0])
    }

    /// How a craft flies.
    #[must_use]
    pub fn handling(&self, model: CraftModel) -> &Handling {
        match model {
            CraftModel::Ship(class) => &self.class(class).handling,
            CraftModel::Drone(breed) => &self.breed(breed).handling,
        }
    }

    /// What a craft is made of.
    #[must_use]
    pub fn body(&self, model: CraftModel) -> &Body {
        match model {
            CraftModel::Ship(class) => &self.class(class).body,
            CraftModel::Drone(breed) => &self.breed(breed).body,
        }
    }

    /// What a craft shoots with.
    #[must_use]
    pub fn laser(&self, model: CraftModel) -> &Laser {
        let (places, place) = match model {
            CraftModel::Ship(class) => (&self.ship_lasers, class),
            CraftModel::Drone(breed) => (&self.drone_lasers, breed),
        };
        let place = places.get(usize::from(place)).copied().unwrap_or(0);
        &self.content.lasers[place]
    }

    /// What a class launches, with its place.
    #[must_use]
    pub fn missile(&self, class: u8) -> (u8, &MissileKind) {
        let place = self.ship_missiles.get(usize::from(class)).copied().unwrap_or(0);
        (place as u8, &self.content.missiles[place])
    }

    /// Tells a player the content that holds.
    pub(super) fn announce(&self, tell: &mut Tell, player: &Player) {
        for table in self.tables() {
            log_unsent(tell.player(player, &table));
        }
        log_unsent(tell.player(player, &ContentAnnounced { hash: self.hash }));
    }

    /// Tells all players the content that holds.
    fn announce_to_all(&self, tell: &mut Tell) {
        for table in self.tables() {
            log_unsent(tell.all(&table));
        }
        log_unsent(tell.all(&ContentAnnounced { hash: self.hash }));
    }

    /// The content, row by row.
    pub(super) fn tables(&self) -> Vec<ContentTable> {
        let content = &self.content;
        let mut tables = vec![ContentTable::Space(content.space.clone())];
        tables.extend(numbered(&content.ships, ContentTable::Ship));
        tables.extend(numbered(&content.lasers, ContentTable::Laser));
        tables.extend(numbered(&content.missiles, ContentTable::Missile));
        tables.extend(numbered(&content.drones, ContentTable::Drone));
        tables
    }
}

fn numbered<T: Clone>(rows: &[T], table: fn(u8, T) -> ContentTable) -> impl Iterator<Item = ContentTable> {
    let places = 0..=u8::MAX;
    places
        .zip(rows)
        .map(move |(place, row)| table(place, row.clone()))
}

/// Whole ticks in `seconds`, at least one.
#[must_use]
pub fn ticks(seconds: f32, time: &TickTime) -> u32 {
    (seconds / time.length.as_secs_f32()).round().max(1.0) as u32
}

/// How much of a quantity with a rate a second a tick gives, when a whole number is given every quarter of a
/// second. Which ticks those are differs by `offset`, so that not all are served in the same one.
#[must_use]
pub fn pulse(per_s: f32, offset: u64, time: &TickTime) -> Option<u32> {
    let period = ticks(0.25, time);
    let is_due = (u64::from(time.tick.0) + offset).is_multiple_of(u64::from(period));
    is_due.then(|| {
        (per_s * period as f32 * time.length.as_secs_f32())
            .round()
            .max(1.0) as u32
    })
}
