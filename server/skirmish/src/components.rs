//! The components of crafts, missiles and players that only the server has. Clients see those of
//! [`skirmish_shared::components`].

use std::collections::BTreeMap;

use bevy_ecs::entity::{EntityMapper, MapEntities};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
#[cfg(doc)]
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::movement::Controls;
use throng_server::prelude::SeenAt;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::tick::Tick;

/// Makes an entity a body: a disc that takes part in collisions.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Mass {
    /// Radius of the disc, in units.
    pub radius: f32,
    /// 1 / mass; 0 for a body that nothing moves.
    pub inverse: f32,
}

/// The player's entity, on the ship that it flies.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pilot(#[entities] pub Entity);

/// What a player keeps when its ship is destroyed. On the player's entity, with its [`Callsign`], [`Score`] and
/// [`Credits`].
#[derive(Component, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Hangar {
    /// Index of the class of the player's ships.
    pub class: u8,
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
    pub by: GlobalId,
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

/// Ships that were recently destroyed here, with the tick and the pilot's player. Kills by their missiles, or by
/// shots fired before, are credited to these pilots.
#[derive(Resource, Clone, Debug, Default, Serialize, Deserialize)]
#[component(map_entities)]
pub struct DestroyedShips(pub(super) BTreeMap<GlobalId, (Tick, Entity)>);

impl MapEntities for DestroyedShips {
    fn map_entities<M: EntityMapper>(&mut self, mapper: &mut M) {
        for (_, player) in self.0.values_mut() {
            player.map_entities(mapper);
        }
    }
}

impl DestroyedShips {
    /// Returns the player who flew a destroyed ship.
    #[must_use]
    pub fn pilot(&self, ship: GlobalId) -> Option<Entity> {
        self.0.get(&ship).map(|(_, player)| *player)
    }
}
