//! The game on several simulations: what travels, what ghosts show, and what is done to those beyond a border.
//!
//! Guarantees that a craft, a rock or a missile is everything after a border that it was before, and that a blow,
//! its credit and ore that is mined cross it once.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{
    Asteroid, Beam, Boost, Callsign, Cargo, Credits, Drone, Hull, Magazine, Missile, Ore, Score, Shield,
    Ship, Station,
};
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

/// Farther than rules look, in units: what both ends of a look may move in a tick or two.
const SIGHT_SLACK: f32 = 12.0;

/// A blow from another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RemoteDamage {
    /// Who struck.
    pub by: Option<GlobalId>,
    /// Points.
    pub damage: u32,
}

/// A pilot or a drone destroyed somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum KillCredit {
    /// A drone.
    Drone,
    /// A ship; what its killer is told.
    Ship(Destroyed),
}

impl KillCredit {
    /// Tells the victor whom it destroyed, if that was a pilot.
    pub(super) fn report_to(&self, tell: &mut Tell, killer: &Player) {
        if let Self::Ship(message) = self {
            super::log_unsent(tell.player(killer, message));
        }
    }
}

/// A ship destroyed somebody in another simulation, and is no more itself: whoever knows its pilot credits it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnclaimedKill {
    /// The ship.
    pub by: GlobalId,
    /// What it did.
    pub kill: KillCredit,
}

/// A ship mines a rock in another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dig {
    /// The ship.
    pub by: GlobalId,
    /// Ore that it mines, if there is so much.
    pub amount: u32,
}

/// Ore from a rock in another simulation, for the ship that mined it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dug {
    /// How much.
    pub ore: u32,
    /// Where the rock was, in units.
    pub at: Vec2,
}

/// Reaches entities of other simulations; where there are none, does nothing.
#[derive(SystemParam)]
pub struct RemoteEffects<'w> {
    simulations: Option<Res<'w, Simulations>>,
    tell: TellEntity<'w>,
}

impl RemoteEffects<'_> {
    /// This simulation.
    #[must_use]
    pub fn home(&self) -> SimulationId {
        self.simulations
            .as_ref()
            .map_or(SimulationId(0), |simulations| simulations.me())
    }

    /// Sends an effect to an entity that is not here.
    pub fn tell<E: Serialize + Send + Sync + 'static>(&mut self, target: GlobalId, effect: &E) {
        if self.simulations.is_some()
            && let Err(error) = self.tell.entity(target, effect)
        {
            tracing::error!(%error, %target, "an effect was not sent");
        }
    }

    /// Lets all simulations hear something.
    pub fn broadcast<E: Serialize + Send + Sync + 'static>(&mut self, message: &E) {
        if self.simulations.is_some()
            && let Err(error) = self.tell.all_simulations(message)
        {
            tracing::error!(%error, "news were not sent");
        }
    }

    /// A pilot of this name who may be in another simulation.
    #[must_use]
    pub fn find<'r>(&self, roster: &'r Roster, name: &str) -> Option<&'r RosterEntry> {
        self.simulations.as_ref().and_then(|_| roster.find(name))
    }
}

/// Marks what travels, what ghosts show, and what else a checkpoint holds.
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
        .persist::<Ship>()
        .persist::<Drone>()
        .persist::<Asteroid>()
        .persist::<Station>()
        .persist::<Missile>()
        .persist::<Hull>()
        .persist::<Shield>()
        .persist::<Beam>()
        .persist::<Callsign>()
        .persist::<Score>()
        .persist::<Ore>()
        .persist::<Boost>()
        .persist::<Magazine>()
        .persist::<Cargo>()
        .persist::<Credits>()
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

/// How far the farthest-sighted rule looks.
fn sight(rules: &Rules) -> f32 {
    let content = &rules.content;
    let lasers = content.lasers.iter().map(|laser| laser.range.get());
    let missiles = content.missiles.iter().map(|missile| missile.seek.get());
    let drones = content.drones.iter().map(|breed| breed.sight.get() * 1.4);
    lasers.chain(missiles).chain(drones).fold(0.0, f32::max) + SIGHT_SLACK
}

/// Takes in the blows from beyond.
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

/// Credits pilots with what they destroyed beyond, also those whose ships were destroyed meanwhile. A drone's
/// victory that finds no drone is nobody's.
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
