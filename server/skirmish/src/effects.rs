//! Effects on crafts, rocks and pilots in any simulation, and how they are sent.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::messages::Destroyed;
use throng_server::prelude::{Simulations, TellEntity};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId};
use throng_shared::protocol::registry::RegistryError;

use super::components::Attacker;

/// Damage from one attacker to a craft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Damage {
    /// The attacker; `None` for an accident.
    pub by: Option<Attacker>,
    /// Damage in points of shield and hull.
    pub points: u32,
}

/// Credits a player with a kill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum KillCredit {
    /// A drone was destroyed.
    Drone,
    /// A ship was destroyed; the message for the killer's client.
    Ship(Destroyed),
}

/// Request of a ship to mine a rock in another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dig {
    /// The ship that mines.
    pub by: GlobalId,
    /// Ore to mine, in units of cargo; the rock gives at most what it holds.
    pub amount: u32,
}

/// Ore from a rock in another simulation, sent to the ship that mined it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dug {
    /// Ore in units of cargo.
    pub ore: u32,
    /// Position of the rock, in units.
    pub at: Vec2,
}

/// Sends effects to their targets, in whichever simulation these are, and broadcasts to all simulations. Logs what
/// could not be sent; the game continues without it.
#[derive(SystemParam)]
pub struct EffectSender<'w> {
    simulations: Option<Res<'w, Simulations>>,
    tell: TellEntity<'w>,
}

impl EffectSender<'_> {
    /// Returns the id of this simulation.
    #[must_use]
    pub fn home(&self) -> SimulationId {
        self.simulations
            .as_ref()
            .map_or(SimulationId(0), |simulations| simulations.me())
    }

    /// Returns whether this is the only simulation.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.simulations.is_none()
    }

    /// Sends an effect to an entity.
    pub fn entity<E: Serialize + Send + Sync + 'static>(&mut self, target: GlobalId, effect: &E) {
        if let Err(error) = self.tell.entity(target, effect) {
            tracing::error!(%error, %target, "an effect was not sent");
        }
    }

    /// Sends an effect to a player.
    pub fn player<E: Serialize + Send + Sync + 'static>(&mut self, target: PlayerId, effect: &E) {
        if let Err(error) = self.tell.player(target, effect) {
            tracing::error!(%error, player = target.0, "an effect was not sent");
        }
    }

    /// Sends a message to all simulations; does nothing if there is only one.
    pub fn broadcast<E: Serialize + Send + Sync + 'static>(&mut self, message: &E) {
        if !self.is_alone()
            && let Err(error) = self.tell.all_simulations(message)
        {
            tracing::error!(%error, "a broadcast was not sent");
        }
    }
}

/// Logs a message that could not be sent; the game continues without it.
pub(super) fn log_unsent(result: Result<(), RegistryError>) {
    if let Err(error) = result {
        tracing::error!(%error, "a message was not sent");
    }
}
