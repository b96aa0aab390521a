//! The components of the game's entities that clients see, besides their poses.
//!
//! Every value is a whole number, so that it is the same wherever it is computed and small on the wire.

use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};

/// A ship that a pilot controls.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ship {
    /// Index of its class in the content.
    pub class: u8,
}

/// A ship without a pilot.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drone {
    /// Index of its breed in the content.
    pub breed: u8,
}

/// A rock, with or without [`Ore`]. Also the wreck of a ship that had cargo.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asteroid {
    /// Radius, in tenths of a unit.
    pub radius_10: u8,
}

/// A station, where ships are repaired and ore is sold.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    /// Radius, in tenths of a unit.
    pub radius_10: u8,
}

/// A missile on its way.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missile {
    /// Index of its kind in the content.
    pub kind: u8,
}

/// The hull points of a ship or drone.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hull {
    /// Points left; at 0 it is destroyed.
    pub now: u16,
    /// Points when undamaged.
    pub max: u16,
}

/// The shield points of a ship or drone: they take damage before the hull does, and recover by themselves.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shield {
    /// Points left; at 0 the hull takes the damage.
    pub now: u16,
    /// Points when undamaged.
    pub max: u16,
}

/// The last laser shot of a ship or drone, for clients that draw it: from the ship's position along `yaw`,
/// over `reach_10`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beam {
    /// Wire form of the tick of the shot.
    pub tick: u16,
    /// Direction of the shot, in steps of the pose's yaw.
    pub yaw: u16,
    /// Length of the beam, in tenths of a unit.
    pub reach_10: u16,
    /// The kind of thing that the beam ended at.
    pub hit: BeamHit,
}

/// The kind of thing that a laser shot ended at. [`Hit`](super::messages::Hit) names the entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeamHit {
    /// Nothing: the beam ended at its range.
    #[default]
    Nothing,
    /// A ship or a drone.
    Craft,
    /// An asteroid, with or without ore.
    Asteroid,
    /// A station, at which ships dock.
    Station,
}

/// The name under which a pilot plays, cleaned. No two pilots in the game have the same, whatever its case.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callsign(pub String);

/// What a pilot has achieved in this session.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Pilots destroyed.
    pub kills: u32,
    /// Drones destroyed.
    pub drones: u32,
    /// Times that the pilot's ship was destroyed.
    pub deaths: u32,
    /// Ore that the pilot has sold.
    pub ore: u32,
}

impl Score {
    /// Returns the points that the score board is sorted by: 10 for a pilot, 2 for a drone, 1 for 20 ore.
    #[must_use]
    pub const fn points(&self) -> u64 {
        self.kills as u64 * 10 + self.drones as u64 * 2 + self.ore as u64 / 20
    }
}

/// Ore that is left in an asteroid.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ore(pub u32);

/// Boost that is left, in milliseconds of burning. The owner's client predicts with it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boost(pub u16);

/// Missiles that a ship has aboard.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Magazine(pub u8);

/// Ore that a ship has aboard.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cargo(pub u32);

/// Credits that a pilot has.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits(pub u32);

impl Hull {
    /// Creates an undamaged one with `max` points.
    #[must_use]
    pub const fn whole(max: u16) -> Self {
        Self { now: max, max }
    }
}

impl Shield {
    /// Creates an undamaged one with `max` points.
    #[must_use]
    pub const fn whole(max: u16) -> Self {
        Self { now: max, max }
    }
}
