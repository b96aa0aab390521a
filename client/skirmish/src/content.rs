//! The game's content, as the server tells it.

use bevy_ecs::prelude::*;
use skirmish_shared::content::{ContentHash, DroneBreed, Laser, MissileKind, ShipClass, SpaceContent};
use skirmish_shared::messages::{ContentAnnounced, ContentTable};
use throng_shared::protocol::registry::FromServer;

/// The content that holds on the server. Empty before the player has joined; replaced whole, when all of it is
/// there.
#[derive(Resource, Debug, Clone, Default)]
pub struct KnownContent {
    hash: Option<ContentHash>,
    tables: PartialTables,
    /// What was told since the last announcement.
    coming: PartialTables,
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
    /// Digest of the content; `None` before it is known.
    #[must_use]
    pub fn hash(&self) -> Option<ContentHash> {
        self.hash
    }

    /// Bounds, regions, rules.
    #[must_use]
    pub fn space(&self) -> Option<&SpaceContent> {
        self.tables.space.as_ref()
    }

    /// The class of ships at this place.
    #[must_use]
    pub fn ship(&self, place: u8) -> Option<&ShipClass> {
        get(&self.tables.ships, place)
    }

    /// The classes of ships, by place.
    pub fn ships(&self) -> impl Iterator<Item = &ShipClass> {
        self.tables.ships.iter().flatten()
    }

    /// The laser at this place.
    #[must_use]
    pub fn laser(&self, place: u8) -> Option<&Laser> {
        get(&self.tables.lasers, place)
    }

    /// The laser of this name.
    #[must_use]
    pub fn laser_named(&self, name: &str) -> Option<&Laser> {
        self.tables
            .lasers
            .iter()
            .flatten()
            .find(|laser| laser.name == name)
    }

    /// The kind of missiles at this place.
    #[must_use]
    pub fn missile(&self, place: u8) -> Option<&MissileKind> {
        get(&self.tables.missiles, place)
    }

    /// The kind of missiles of this name, and its place.
    #[must_use]
    pub fn missile_named(&self, name: &str) -> Option<(u8, &MissileKind)> {
        let kinds = self.tables.missiles.iter().flatten().enumerate();
        let mut named = kinds.filter(|(_, kind)| kind.name == name);
        named.next().map(|(place, kind)| (place as u8, kind))
    }

    /// The breed of drones at this place.
    #[must_use]
    pub fn drone(&self, place: u8) -> Option<&DroneBreed> {
        get(&self.tables.drones, place)
    }
}

/// Takes what the server tells.
pub(crate) fn learn(
    mut told: MessageReader<FromServer<ContentTable>>,
    mut announced: MessageReader<FromServer<ContentAnnounced>>,
    mut content: ResMut<KnownContent>,
) {
    for FromServer(table) in told.read() {
        let coming = &mut content.coming;
        match table.clone() {
            ContentTable::Space(space) => coming.space = Some(space),
            ContentTable::Ship(place, row) => put(&mut coming.ships, place, row),
            ContentTable::Laser(place, row) => put(&mut coming.lasers, place, row),
            ContentTable::Missile(place, row) => put(&mut coming.missiles, place, row),
            ContentTable::Drone(place, row) => put(&mut coming.drones, place, row),
        }
    }
    for FromServer(announced) in announced.read() {
        content.hash = Some(announced.hash);
        content.tables = std::mem::take(&mut content.coming);
    }
}

fn get<T>(rows: &[Option<T>], place: u8) -> Option<&T> {
    rows.get(usize::from(place))?.as_ref()
}

/// Rows are at most 256, as their places are bytes.
fn put<T: Clone>(rows: &mut Vec<Option<T>>, place: u8, row: T) {
    let place = usize::from(place);
    if rows.len() <= place {
        rows.resize(place + 1, None);
    }
    rows[place] = Some(row);
}
