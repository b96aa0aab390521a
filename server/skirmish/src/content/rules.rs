//! The rules: the content with its names resolved to indices, and quantities per tick.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::Deserialize;
use skirmish_shared::content::{
    Body, Content, ContentHash, DroneBreed, Handling, Laser, MissileKind, ShipClass, SpaceContent,
};
use skirmish_shared::messages::{ContentAnnounced, ContentTable};
use throng_server::prelude::{ContentFiles, Player, Tell, TickTime};

use super::load::{ContentError, Sources, check};
use crate::components::CraftModel;
use crate::effects::log_unsent;

/// The current content, with its names resolved to indices.
#[derive(Resource, Clone, Debug)]
pub struct Rules {
    /// The content of all tables.
    pub content: Content,
    /// Hash of the content, by which clients compare it.
    pub hash: ContentHash,
    /// The texts from which it was parsed.
    pub files: ContentFiles,
    ship_lasers: Vec<usize>,
    ship_missiles: Vec<usize>,
    drone_lasers: Vec<usize>,
}

impl Rules {
    /// Returns the rules of a content. `sources` are the texts from which it was parsed.
    ///
    /// # Errors
    /// Returns the file, line and reason if the content is inconsistent.
    pub fn new(content: Content, sources: &Sources) -> Result<Self, ContentError> {
        check(&content, sources)?;
        let resolve = |name: &str, index: Option<usize>, file: &'static str| {
            index.ok_or_else(|| sources.complain(file, name, format!("nothing is called \"{name}\"")))
        };
        let ships = content.ships.iter();
        let ship_lasers = ships.map(|class| resolve(&class.laser, content.laser(&class.laser), "ships.ron"));
        let ships = content.ships.iter();
        let ship_missiles =
            ships.map(|class| resolve(&class.missile, content.missile(&class.missile), "ships.ron"));
        let breeds = content.drones.iter();
        let drone_lasers =
            breeds.map(|breed| resolve(&breed.laser, content.laser(&breed.laser), "drones.ron"));
        Ok(Self {
            ship_lasers: ship_lasers.collect::<Result<_, _>>()?,
            ship_missiles: ship_missiles.collect::<Result<_, _>>()?,
            drone_lasers: drone_lasers.collect::<Result<_, _>>()?,
            hash: content.hash(),
            files: ContentFiles(Arc::new(sources.files())),
            content,
        })
    }

    /// Returns the rules of the built-in content.
    #[must_use]
    pub fn built_in() -> Self {
        Sources::built_in()
            .rules()
            .expect("a test loads the built-in content")
    }

    /// Returns the ship class of an index. An index out of range means the first class.
    #[must_use]
    pub fn class(&self, class: u8) -> &ShipClass {
        let ships = &self.content.ships;
        ships.get(usize::from(class)).unwrap_or(&ships[0])
    }

    /// Returns the drone breed of an index. An index out of range means the first breed.
    #[must_use]
    pub fn breed(&self, breed: u8) -> &DroneBreed {
        let drones = &self.content.drones;
        drones.get(usize::from(breed)).unwrap_or(&drones[0])
    }

    /// Returns the handling of a craft.
    #[must_use]
    pub fn handling(&self, model: CraftModel) -> &Handling {
        match model {
            CraftModel::Ship(class) => &self.class(class).handling,
            CraftModel::Drone(breed) => &self.breed(breed).handling,
        }
    }

    /// Returns the body data of a craft.
    #[must_use]
    pub fn body(&self, model: CraftModel) -> &Body {
        match model {
            CraftModel::Ship(class) => &self.class(class).body,
            CraftModel::Drone(breed) => &self.breed(breed).body,
        }
    }

    /// Returns the laser of a craft.
    #[must_use]
    pub fn laser(&self, model: CraftModel) -> &Laser {
        let (lasers, index) = match model {
            CraftModel::Ship(class) => (&self.ship_lasers, class),
            CraftModel::Drone(breed) => (&self.drone_lasers, breed),
        };
        let laser = lasers.get(usize::from(index)).copied().unwrap_or(0);
        &self.content.lasers[laser]
    }

    /// Returns the missile of a ship class, with its index.
    #[must_use]
    pub fn missile(&self, class: u8) -> (u8, &MissileKind) {
        let index = self.ship_missiles.get(usize::from(class)).copied().unwrap_or(0);
        (index as u8, &self.content.missiles[index])
    }

    /// Sends the current content to a player.
    pub(crate) fn announce(&self, tell: &mut Tell, player: &Player) {
        for table in self.tables() {
            log_unsent(tell.player(player, &table));
        }
        log_unsent(tell.player(player, &ContentAnnounced { hash: self.hash }));
    }

    /// Sends the current content to all players.
    pub(super) fn announce_to_all(&self, tell: &mut Tell) {
        for table in self.tables() {
            log_unsent(tell.all(&table));
        }
        log_unsent(tell.all(&ContentAnnounced { hash: self.hash }));
    }

    /// Returns the content as messages, one for each row.
    pub(crate) fn tables(&self) -> Vec<ContentTable> {
        let content = &self.content;
        let mut tables = vec![ContentTable::Space(content.space.clone())];
        tables.extend(numbered(&content.ships, ContentTable::Ship));
        tables.extend(numbered(&content.lasers, ContentTable::Laser));
        tables.extend(numbered(&content.missiles, ContentTable::Missile));
        tables.extend(numbered(&content.drones, ContentTable::Drone));
        tables
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weapons {
    lasers: Vec<Laser>,
    missiles: Vec<MissileKind>,
}

impl Sources {
    /// Parses the files and returns the rules that they describe.
    ///
    /// # Errors
    /// Returns [`ContentError::Invalid`].
    pub fn rules(&self) -> Result<Rules, ContentError> {
        let weapons: Weapons = self.parse("weapons.ron")?;
        let content = Content {
            space: self.parse::<SpaceContent>("space.ron")?,
            ships: self.parse::<Vec<ShipClass>>("ships.ron")?,
            lasers: weapons.lasers,
            missiles: weapons.missiles,
            drones: self.parse::<Vec<DroneBreed>>("drones.ron")?,
        };
        Rules::new(content, self)
    }
}

fn numbered<T: Clone>(rows: &[T], table: fn(u8, T) -> ContentTable) -> impl Iterator<Item = ContentTable> {
    let indices = 0..=u8::MAX;
    indices
        .zip(rows)
        .map(move |(index, row)| table(index, row.clone()))
}

/// Returns the number of whole ticks in `seconds`; at least one.
#[must_use]
pub fn ticks(seconds: f32, time: &TickTime) -> u32 {
    (seconds / time.length.as_secs_f32()).round().max(1.0) as u32
}

/// Returns how much of a quantity with a rate of `per_s` per second this tick gives. A whole number is given every
/// quarter of a second. `offset` shifts these ticks, so that not all entities are served in the same one.
#[must_use]
pub fn pulse(per_s: f32, offset: u64, time: &TickTime) -> Option<u32> {
    let period = ticks(0.25, time);
    time.is_due(period, offset).then(|| {
        (per_s * period as f32 * time.length.as_secs_f32())
            .round()
            .max(1.0) as u32
    })
}
