//! The game on several simulations: what migrates, what ghosts show, and effects on entities of other simulations.
//!
//! Guarantees that a craft, a rock or a missile keeps its whole state when it crosses a border, and that damage,
//! kill credits and mined ore cross a border exactly once.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Asteroid, Credits, Hull, Missile, Score, Station};
use skirmish_shared::messages::Destroyed;
use throng_server::prelude::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectReturned, GhostAppExt, MapShape, PersistAppExt,
    Player, Replicated, Simulations, Tell, TellEntity,
};
use throng_shared::protocol::ids::{GlobalId, SimulationId};

use super::bodies::Mass;
use super::chat::{ChatLimiter, DirectMessage};
use super::content::{CraftModel, Rules};
use super::damage::{DamageEvent, DamageEvents};
use super::death::{DestroyedShips, reward};
use super::drones::{DroneAi, DroneRespawnQueue};
use super::mining::OreLedger;
use super::missiles::Warhead;
use super::pilots::{Condition, Guns, Hangar, Helm, Pilot};
use super::roster::{Roster, RosterEntry, RosterUpdate};
use super::standings::Rank;

/// Margin added to the range of the rules, in units: how far both ends of a line of sight may move in a tick or two.
const SIGHT_SLACK: f32 = 12.0;

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
            super::log_unsent(tell.player(killer, message));
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

    /// Returns the pilot of this name, if it may be in another simulation.
    #[must_use]
    pub fn find<'r>(&self, roster: &'r Roster, name: &str) -> Option<&'r RosterEntry> {
        self.simulations.as_ref().and_then(|_| roster.find(name))
    }
}

/// Registers what migrates, what ghosts show, what checkpoints hold and the effects between simulations.
pub(super) fn cross_borders(app: &mut App, rules: &Rules) {
    app.persist::<CraftModel>()
        .persist::<Mass>()
        .persist::<Helm>()
        .persist::<Guns>()
        .persist::<Condition>()
        .persist::<Warhead>()
        .persist::<DroneAi>()
        .persist::<Hangar>()
        .persist::<Pilot>()
        .persist::<ChatLimiter>()
        .persist::<Rank>()
        .persist::<DestroyedShips>()
        .persist::<DroneRespawnQueue>()
        .persist::<OreLedger>()
        .ghost::<Mass>()
        .ghost::<Asteroid>()
        .ghost::<Station>()
        .ghost::<Missile>()
        .effect::<Dig>()
        .effect::<Dug>()
        .effect::<RosterUpdate>()
        .effect::<RemoteDamage>()
        .effect::<KillCredit>()
        .effect::<UnclaimedKill>()
        .effect::<DirectMessage>()
        .insert_resource(MapShape {
            side: rules.content.space.half.get() * 2.0,
            sight: sight(rules),
        });
}

/// Returns the range of the rule with the longest range, plus [`SIGHT_SLACK`], in units.
fn sight(rules: &Rules) -> f32 {
    let content = &rules.content;
    let lasers = content.lasers.iter().map(|laser| laser.range.get());
    let missiles = content.missiles.iter().map(|missile| missile.seek.get());
    let drones = content.drones.iter().map(|breed| breed.sight.get() * 1.4);
    lasers.chain(missiles).chain(drones).fold(0.0, f32::max) + SIGHT_SLACK
}

/// Adds damage from other simulations to the events of this tick.
pub(super) fn apply_remote_damage(
    mut received: MessageReader<EffectReceived<RemoteDamage>>,
    crafts: Query<&Replicated, With<Hull>>,
    mut events: ResMut<DamageEvents>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        if let Ok(victim) = crafts.get(*entity) {
            events.0.push(DamageEvent {
                victim: victim.global(),
                by: effect.by,
                damage: effect.damage,
            });
        }
    }
}

/// Credits pilots with their kills in other simulations, also pilots whose ships were destroyed meanwhile. A kill by
/// a drone that no longer exists is credited to no pilot.
pub(super) fn award_kills(
    mut received: MessageReader<EffectReceived<KillCredit>>,
    mut returned: MessageReader<EffectReturned<KillCredit>>,
    mut last: MessageReader<BroadcastReceived<UnclaimedKill>>,
    ships: Query<&Pilot>,
    mut players: Query<(&Player, &mut Score, &mut Credits), With<Hangar>>,
    destroyed_ships: Res<DestroyedShips>,
    mut remote: RemoteEffects,
    mut tell: Tell,
    rules: Res<Rules>,
) {
    for EffectReturned { target, effect } in returned.read() {
        let (by, kill) = (*target, effect.clone());
        remote.broadcast(&UnclaimedKill { by, kill });
    }
    let of_ships = received
        .read()
        .filter_map(|EffectReceived { entity, effect, .. }| {
            let pilot = ships.get(*entity).ok()?;
            Some((pilot.0, effect))
        });
    let of_destroyed = last.read().filter_map(|BroadcastReceived { message, .. }| {
        let pilot = destroyed_ships.pilot(message.by)?;
        Some((pilot, &message.kill))
    });
    for (pilot, kill) in of_ships.chain(of_destroyed) {
        if let Ok((player, mut score, mut credits)) = players.get_mut(pilot) {
            reward(kill, &mut score, &mut credits, &rules);
            kill.report_to(&mut tell, player);
        }
    }
}
