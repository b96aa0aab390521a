//! The game's messages between server and clients, besides its replicated state.

use serde::{Deserialize, Serialize};

use super::content::{ContentHash, DroneBreed, Laser, MissileKind, ShipClass, SpaceContent};
use throng_shared::protocol::ids::GlobalId;

/// Server to client, on joining and whenever the content is replaced: the content that applies from now on.
/// Its [`ContentTable`]s arrived just before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentAnnounced {
    /// Digest of all tables together.
    pub hash: ContentHash,
}

/// Server to client: one row of the content, which a client needs to predict and to draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ContentTable {
    /// Bounds and rules of space.
    Space(SpaceContent),
    /// A ship class with its index.
    Ship(u8, ShipClass),
    /// A laser with its index.
    Laser(u8, Laser),
    /// A kind of missile with its index.
    Missile(u8, MissileKind),
    /// A breed of drones with its index.
    Drone(u8, DroneBreed),
}

/// Server to client: a pilot's ship was destroyed. Sent to its pilot and to the pilot that destroyed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// The ship.
    pub ship: GlobalId,
    /// Name of its pilot.
    pub victim: String,
    /// The entity that dealt the last damage, if any did.
    pub by: Option<GlobalId>,
    /// What the attacker was.
    pub killer: Killer,
    /// Ticks until the pilot has a new ship.
    pub respawn_ticks: u32,
}

/// The attacker that destroyed a ship.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Killer {
    /// None: an accident destroyed the ship.
    Accident,
    /// A drone of this breed.
    Drone(u8),
    /// The pilot of this name.
    Pilot(String),
    /// A pilot whose name is not known any more, because it left.
    UnknownPilot,
}

/// Server to clients in sight: a pilot's ship was hit, or hit another entity. May be lost on the way. Hits
/// between drones are not sent: their hulls, shields and beams show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The entity that was hit.
    pub victim: GlobalId,
    /// The entity that hit it; `None` in an accident.
    pub by: Option<GlobalId>,
    /// Points of damage, all hits of a tick by the same attacker together.
    pub damage: u32,
    /// The part of the damage that the shield took.
    pub absorbed: u32,
}

/// Server to clients in sight: an entity exploded. It is removed from the world in the same tick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explosion {
    /// The entity that exploded.
    pub of: GlobalId,
    /// The kind of the entity.
    pub kind: Exploded,
    /// Position of the explosion, in units.
    pub at: (f32, f32),
    /// The last attacker, or the ship that launched the missile.
    pub by: Option<GlobalId>,
}

/// The kinds of entities that can explode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exploded {
    /// A pilot's ship, with the index of its class.
    Ship(u8),
    /// A drone, with the index of its breed.
    Drone(u8),
    /// A missile, with the index of its kind.
    Missile(u8),
}

/// Client to server: an order of a docked pilot to the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StationOrder {
    /// Sell this much ore, or all that is aboard if that is less.
    SellOre(u32),
    /// Buy this many missiles, or as many as there is room and money for.
    BuyMissiles(u8),
    /// Replace the ship by an undamaged one of this class. Cargo that does not fit is left behind.
    BuyShip(u8),
}

/// Server to client: the result of a [`StationOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StationReply {
    /// The goods were sold for this many credits.
    Sold(u32),
    /// The goods were bought for this many credits.
    Bought(u32),
    /// No station is near enough, or the ship is too fast.
    NotDocked,
    /// The credits do not suffice, or there is nothing to trade.
    Refused,
}
