//! The game's content, as received from the server.

use bevy_ecs::prelude::*;
use skirmish_shared::content::{ContentHash, DroneBreed, Laser, MissileKind, ShipClass, SpaceContent};
use skirmish_shared::messages::{ContentAnnounced, ContentTable};
use throng_shared::protocol::registry::FromServer;

/// The content that is in effect on the server. Empty before the player has joined. Replaced as a whole once
/// all tables have arrived.
#[derive(Resource, Debug, Clone, Default)]
pub struct KnownContent {
    hash: Option<ContentHash>,
    tables: PartialTables,
    /// Tables received since the last announcement.
    incoming: PartialTables,
}

#[derive(Debug, Clone, Default)]
struct PartialTables {
    space: Option<SpaceContent>,
    ships: Vec<Option<ShipClass>>,
    lasers: Vec<Option<Laser>>,
    missiles: Vec<Option<MissileKind>>,
    drones: Vec<Option<DroneBreed>>,
}

impl KnownContent {
    /// Returns the digest of the content; `None` before it is known.
    #[must_use]
    pub fn hash(&self) -> Option<ContentHash> {
        self.hash
    }

    /// Returns the bounds, regions and rules of the game world.
    #[must_use]
    pub fn space(&self) -> Option<&SpaceContent> {
        self.tables.space.as_ref()
    }

    /// Returns the ship class with this index.
    #[must_use]
    pub fn ship(&self, index: u8) -> Option<&ShipClass> {
        get(&self.tables.ships, index)
    }

    /// Returns the ship classes, in order of their indices.
    pub fn ships(&self) -> impl Iterator<Item = &ShipClass> {
        self.tables.ships.iter().flatten()
    }

    /// Returns the laser with this index.
    #[must_use]
    pub fn laser(&self, index: u8) -> Option<&Laser> {
        get(&self.tables.lasers, index)
    }

    /// Returns the laser with this name.
    #[must_use]
    pub fn laser_named(&self, name: &str) -> Option<&Laser> {
        self.tables
            .lasers
            .iter()
            .flatten()
            .find(|laser| laser.name == name)
    }

    /// Returns the missile kind with this index.
    #[must_use]
    pub fn missile(&self, index: u8) -> Option<&MissileKind> {
        get(&self.tables.missiles, index)
    }

    /// Returns the missile kind with this name, and its index.
    #[must_use]
    pub fn missile_named(&self, name: &str) -> Option<(u8, &MissileKind)> {
        let kinds = self.tables.missiles.iter().flatten().enumerate();
        let mut named = kinds.filter(|(_, kind)| kind.name == name);
        named.next().map(|(index, kind)| (index as u8, kind))
    }

    /// Returns the drone breed with this index.
    #[must_use]
    pub fn drone(&self, index: u8) -> Option<&DroneBreed> {
        get(&self.tables.drones, index)
    }
}

/// Stores the received content tables, and puts them into effect when the server announces them.
pub(crate) fn learn(
    mut tables: MessageReader<FromServer<ContentTable>>,
    mut announced: MessageReader<FromServer<ContentAnnounced>>,
    mut content: ResMut<KnownContent>,
) {
    for FromServer(table) in tables.read() {
        let incoming = &mut content.incoming;
        match table.clone() {
            ContentTable::Space(space) => incoming.space = Some(space),
            ContentTable::Ship(index, row) => put(&mut incoming.ships, index, row),
            ContentTable::Laser(index, row) => put(&mut incoming.lasers, index, row),
            ContentTable::Missile(index, row) => put(&mut incoming.missiles, index, row),
            ContentTable::Drone(index, row) => put(&mut incoming.drones, index, row),
        }
    }
    for FromServer(announced) in announced.read() {
        content.hash = Some(announced.hash);
        content.tables = std::mem::take(&mut content.incoming);
    }
}

fn get<T>(rows: &[Option<T>], index: u8) -> Option<&T> {
    rows.get(usize::from(index))?.as_ref()
}

/// Stores a row. A table has at most 256 rows, because indices are bytes.
fn put<T: Clone>(rows: &mut Vec<Option<T>>, index: u8, row: T) {
    let index = usize::from(index);
    if rows.len() <= index {
        rows.resize(index + 1, None);
    }
    rows[index] = Some(row);
}
