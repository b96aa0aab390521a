//! Effects on entities of other simulations, and how they are sent.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::messages::Destroyed;
use throng_server::prelude::{Player, Simulations, Tell, TellEntity};
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::registry::RegistryError;

/// Damage dealt by a craft of another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RemoteDamage {
    /// The attacker; `None` for an accident.
    pub by: Option<GlobalId>,
    /// Damage in points of shield and hull.
    pub damage: u32,
}

/// Reports to a killer that its kill counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum KillCredit {
    /// A drone was destroyed.
    Drone,
    /// A ship was destroyed; the message for its killer's client.
    Ship(Destroyed),
}

impl KillCredit {
    /// Sends the killer's client the name of the destroyed pilot, if the kill was a ship.
    pub(super) fn report_to(&self, tell: &mut Tell, killer: &Player) {
        if let Self::Ship(message) = self {
            log_unsent(tell.player(killer, message));
        }
    }
}

/// A kill in another simulation by a ship that no longer exists. The simulation that still knows the ship's pilot
/// credits the kill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnclaimedKill {
    /// The ship that made the kill.
    pub by: GlobalId,
    /// The kill to credit.
    pub kill: KillCredit,
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

/// Sends effects to entities of other simulations; does nothing where there is only one simulation.
#[derive(SystemParam)]
pub struct RemoteEffects<'w> {
    simulations: Option<Res<'w, Simulations>>,
    tell: TellEntity<'w>,
}

impl RemoteEffects<'_> {
    /// Returns the id of this simulation.
    #[must_use]
    pub fn home(&self) -> SimulationId {
        self.simulations
            .as_ref()
            .map_or(SimulationId(0), |simulations| simulations.me())
    }

    /// Sends an effect to an entity of another simulation.
    pub fn tell<E: Serialize + Send + Sync + 'static>(&mut self, target: GlobalId, effect: &E) {
        if self.simulations.is_some()
            && let Err(error) = self.tell.entity(target, effect)
        {
            tracing::error!(%error, %target, "an effect was not sent");
        }
    }

    /// Sends a message to all other simulations.
    pub fn broadcast<E: Serialize + Send + Sync + 'static>(&mut self, message: &E) {
        if self.simulations.is_some()
            && let Err(error) = self.tell.all_simulations(message)
        {
            tracing::error!(%error, "a broadcast was not sent");
        }
    }

    /// Returns whether this is the only simulation.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.simulations.is_none()
    }
}

/// Logs a message that could not be sent; the game goes on without it.
pub(super) fn log_unsent(result: Result<(), RegistryError>) {
    if let Err(error) = result {
        tracing::error!(%error, "a message was not sent");
    }
}
