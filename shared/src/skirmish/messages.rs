//! What the game's ends tell each other besides state.

use serde::{Deserialize, Serialize};

use super::content::{ContentHash, DroneBreed, Laser, MissileKind, ShipClass, Space};
use crate::protocol::ids::GlobalId;

/// Server to client, on joining and whenever the content was exchanged: the content that holds from now on.
/// Its [`ContentTable`]s came just before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentAnnounced {
    /// Of all tables together.
    pub hash: ContentHash,
}

/// Server to client: one row of the content, what a client predicts and draws with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ContentTable {
    /// Bounds and docking.
    Space(Space),
    /// A ship class and its place.
    Ship(u8, ShipClass),
    /// A laser and its place.
    Laser(u8, Laser),
    /// A kind of missile and its place.
    Missile(u8, MissileKind),
    /// A breed of drones and its place.
    Drone(u8, DroneBreed),
}

/// Server to client, to the pilots concerned: a pilot's ship was destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The ship.
    pub ship: GlobalId,
    /// Who dealt the last blows, where anybody did.
    pub by: Option<GlobalId>,
    /// Ticks until the pilot has a new ship.
    pub respawn_ticks: u32,
}

/// Client to server: what a docked pilot wants of the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StationOrder {
    /// Sell so much ore, or what there is.
    SellOre(u32),
    /// Buy so many missiles, or as many as there is room and money for.
    BuyMissiles(u8),
    /// Exchange the ship for a whole one of this class. What is aboard and does not fit stays behind.
    BuyShip(u8),
}

/// Server to client: what became of a [`StationOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StationReply {
    /// Sold, for so many credits.
    Sold(u32),
    /// Bought, for so many credits.
    Bought(u32),
    /// No station is near enough, or the ship is too fast.
    NotDocked,
    /// The credits do not suffice, or nothing is left to trade.
    Refused,
}
