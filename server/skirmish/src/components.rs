//! The components of crafts, missiles and players that only the server has. Clients see those of
//! [`skirmish_shared::components`].

use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryData;
use glam::Vec2;
use serde::{Deserialize, Serialize};
#[cfg(doc)]
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::components::{Drone, Ship};
use skirmish_shared::movement::Controls;
use throng_server::prelude::SeenAt;
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::tick::Tick;

/// Makes an entity a body: a disc that takes part in collisions.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Mass {
    /// Radius of the disc, in units.
    pub radius: f32,
    /// 1 / mass; 0 for a body that nothing moves.
    pub inverse: f32,
}

/// The class of a ship or the breed of a drone, as an index into the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CraftModel {
    /// A pilot's ship, with the index of its class.
    Ship(u8),
    /// A drone, with the index of its breed.
    Drone(u8),
}

/// Reads the model of a craft from its [`Ship`] or [`Drone`].
#[derive(QueryData)]
pub struct Craft {
    ship: Option<&'static Ship>,
    drone: Option<&'static Drone>,
}

impl CraftItem<'_, '_> {
    /// Returns the craft's class or breed.
    #[must_use]
    pub fn model(&self) -> CraftModel {
        match (self.ship, self.drone) {
            (None, Some(drone)) => CraftModel::Drone(drone.breed),
            (ship, _) => CraftModel::Ship(ship.map_or(0, |ship| ship.class)),
        }
    }
}

/// The craft that causes damage. Contains all that is needed to credit a kill. So the craft may be destroyed, or be in
/// another simulation, when its damage arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attacker {
    /// The craft.
    pub craft: GlobalId,
    /// Drone or ship.
    pub kind: AttackerKind,
}

/// The kind of an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttackerKind {
    /// A drone of this breed (an index into the content's breeds).
    Drone(u8),
    /// The ship of this player; [`PlayerId::NONE`] for a ship without a pilot.
    Ship(PlayerId),
}

impl Attacker {
    /// Returns the attacker that is the craft of this id and model, owned by this player.
    #[must_use]
    pub fn new(craft: GlobalId, model: CraftModel, owner: PlayerId) -> Self {
        let kind = match model {
            CraftModel::Drone(breed) => AttackerKind::Drone(breed),
            CraftModel::Ship(_) => AttackerKind::Ship(owner),
        };
        Self { craft, kind }
    }

    /// Returns the player whose ship the attacker is.
    #[must_use]
    pub fn player(&self) -> Option<PlayerId> {
        match self.kind {
            AttackerKind::Ship(player) => player.is_some().then_some(player),
            AttackerKind::Drone(_) => None,
        }
    }
}

/// The player's entity, on the ship that it flies.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pilot(#[entities] pub Entity);

/// What a player keeps when its ship is destroyed. On the player's entity, with its [`Callsign`], [`Score`] and
/// [`Credits`].
#[derive(Component, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Hangar {
    /// Tick at which the player gets a ship; `None` while it has one.
    pub next_ship: Option<Tick>,
}

/// The commands to a craft in this tick, by its pilot or by the drone's AI.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Helm {
    /// Turn and thrust. Set in every tick before they are read, so they are not saved.
    #[serde(skip)]
    pub controls: Controls,
    /// Wanted direction of the guns, in radians.
    pub aim: f32,
    /// Whether to fire the laser.
    pub fires: bool,
    /// Whether to launch a missile.
    pub launches: bool,
    /// Whether to mine the asteroid ahead.
    pub mines: bool,
    /// The moment that the pilot's screen showed; `None` for the present. Drones see the present.
    pub seen_at: Option<SeenAt>,
}

/// Ticks at which the guns of a craft are ready again.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Guns {
    /// Tick at which the laser is ready.
    pub laser: Tick,
    /// Tick at which the missile launcher is ready.
    pub missile: Tick,
}

/// When a craft was last hit, and whether it can be.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Condition {
    /// Tick of the last hit.
    pub hit_at: Tick,
    /// Tick until which nothing harms the craft.
    pub protected_until: Tick,
}

/// State of a missile in flight.
#[derive(Component, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Warhead {
    /// The ship that launched it.
    pub by: Attacker,
    /// The craft that it homes on; `None` if none was ahead.
    pub target: Option<GlobalId>,
    /// Tick at which it detonates by itself.
    pub until: Tick,
}

/// State of a drone's AI.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DroneAi {
    /// Id of its flock, from 1.
    pub flock: u32,
    /// Index of its region in the content.
    pub region: u8,
    /// Current behaviour.
    pub mode: DroneMode,
    /// Whether it has fled before. It flees once, and then fights to the end.
    pub has_fled: bool,
    /// Steering towards and with its flock: a weighted sum of directions.
    pub cohesion: Vec2,
    /// Steering away from obstacles: a weighted sum of directions.
    pub avoidance: Vec2,
}

/// The behaviour of a drone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum DroneMode {
    /// Flies with its flock from waypoint to waypoint.
    #[default]
    Patrol,
    /// Pursues a craft and fires at it.
    Hunt(GlobalId),
    /// Flies home until this tick.
    Flee(Tick),
}
