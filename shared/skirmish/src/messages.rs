//! What the game's ends tell each other besides state.

use serde::{Deserialize, Serialize};

use super::content::{ContentHash, DroneBreed, Laser, MissileKind, ShipClass, Space};
use throng_shared::protocol::ids::GlobalId;

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

/// Server to client, to who was destroyed and to the pilot whose doing it was: a pilot's ship is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The ship.
    pub ship: GlobalId,
    /// Name of its pilot.
    pub victim: String,
    /// Who dealt the last blows, where anybody did.
    pub by: Option<GlobalId>,
    /// What that was.
    pub killer: Killer,
    /// Ticks until the pilot has a new ship.
    pub respawn_ticks: u32,
}

/// Whose doing it was that a ship was destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Killer {
    /// An accident.
    Nobody,
    /// A drone of this breed.
    Drone(u8),
    /// The pilot of this name.
    Pilot(String),
    /// Somebody who is no more.
    Gone,
}

/// Server to clients in sight: a pilot's ship was hit, or hit somebody. May be lost on the way. What drones do
/// to each other is not told: their hulls, shields and beams show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Who was hit.
    pub victim: GlobalId,
    /// Who hit it; nobody in an accident.
    pub by: Option<GlobalId>,
    /// Points of damage, all blows of a tick by the same attacker together.
    pub damage: u32,
    /// How many of them the shield took.
    pub absorbed: u32,
}

/// Server to clients in sight: something blew up. It is gone from the world in the same tick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explosion {
    /// What it was.
    pub of: GlobalId,
    /// Of which kind.
    pub kind: Exploded,
    /// Where, in units.
    pub at: (f32, f32),
    /// Whose doing it was: the last attacker's, or who launched the missile.
    pub by: Option<GlobalId>,
}

/// What can blow up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exploded {
    /// A pilot's ship, of the class in this place.
    Ship(u8),
    /// A drone, of the breed in this place.
    Drone(u8),
    /// A missile, of the kind in this place.
    Missile(u8),
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
