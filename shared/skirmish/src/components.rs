//! What clients see of the game's entities, besides their poses.
//!
//! Every value is a whole number, so that it is the same wherever it is computed and small on the wire.

use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};

/// A pilot's ship.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ship {
    /// Place of its class in the content.
    pub class: u8,
}

/// A ship without a pilot.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drone {
    /// Place of its breed in the content.
    pub breed: u8,
}

/// A rock, with or without [`Ore`]. Also what is left of a ship that had cargo.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asteroid {
    /// Radius, in tenths of a unit.
    pub radius_10: u8,
}

/// Where ships are repaired and ore is sold.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    /// Radius, in tenths of a unit.
    pub radius_10: u8,
}

/// A missile on its way.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missile {
    /// Place of its kind in the content.
    pub kind: u8,
}

/// What keeps a ship together.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hull {
    /// Points left; at 0 the ship is destroyed.
    pub now: u16,
    /// Points of a whole one.
    pub max: u16,
}

/// What takes damage before the hull does, and comes back by itself.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shield {
    /// Points left.
    pub now: u16,
    /// Points of a whole one.
    pub max: u16,
}

/// The last laser shot of a ship or drone, for whoever draws it: from where the ship is, along `yaw`, for
/// `reach_10`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beam {
    /// Wire form of the tick of the shot.
    pub tick: u16,
    /// Its direction, in steps of the pose's yaw.
    pub yaw: u16,
    /// How far it reached, in tenths of a unit.
    pub reach_10: u16,
    /// What ended it there.
    pub struck: Struck,
}

/// What a laser shot ended at. Who was hit stands in [`Hit`](super::messages::Hit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Struck {
    /// Its range.
    #[default]
    Nothing,
    /// A ship or a drone.
    Craft,
    /// A rock.
    Asteroid,
    /// A station.
    Station,
}

/// The pilot's name: cleaned, and no two of those who play have the same, whatever its case.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callsign(pub String);

/// What a pilot has achieved in this session.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Pilots destroyed.
    pub kills: u32,
    /// Drones destroyed.
    pub drones: u32,
    /// Times destroyed.
    pub deaths: u32,
    /// Ore sold.
    pub ore: u32,
}

impl Score {
    /// What the pilot's place on the score board goes by: 10 for a pilot, 2 for a drone, 1 for 20 ore.
    #[must_use]
    pub const fn points(&self) -> u64 {
        self.kills as u64 * 10 + self.drones as u64 * 2 + self.ore as u64 / 20
    }
}

/// Ore in an asteroid.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ore(pub u32);

/// Boost that is left, in milliseconds of burning. The owner's client predicts with it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boost(pub u16);

/// Missiles aboard.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Magazine(pub u8);

/// Ore aboard.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cargo(pub u32);

/// Money.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits(pub u32);

impl Hull {
    /// A whole one.
    #[must_use]
    pub const fn whole(max: u16) -> Self {
        Self { now: max, max }
    }
}

impl Shield {
    /// A whole one.
    #[must_use]
    pub const fn whole(max: u16) -> Self {
        Self { now: max, max }
    }
}
