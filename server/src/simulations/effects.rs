//! Effects on entities and players in any simulation: what gameplay sends instead of changing an entity that
//! may belong to another simulation. And broadcasts, which all simulations receive.
//!
//! An effect that is sent in tick t is received in tick t + 1 by the simulation that has its target then: the
//! entity with a global id, or the player with an id. This holds also for the sending simulation, so that
//! gameplay has the same result with any number of simulations. Each effect arrives once, those of one
//! simulation in the order of sending. An effect whose target is in no simulation then is returned to its
//! sender in tick t + 2, so that nothing of value is lost with it. A player that leaves in tick t + 1 still
//! receives the effect; the player's entity no longer exists when gameplay reads it. A broadcast of tick t is
//! received in tick t + 1 by every simulation, the sender included, in the same order by all.
//!
//! A checkpoint of a single simulation holds the effects and broadcasts that are in transit, so that a loaded
//! world receives them as the saved one does.

use std::any::{TypeId, type_name};
use std::collections::BTreeSet;
use std::mem;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId};

use super::exchange::{EffectTarget, PeerMessage};
use super::state::Simulations;
use crate::persist::PersistAppExt;
use crate::schedule::ServerSystems;
use crate::simulation::{Players, Slots};

/// The most effects and broadcasts that one simulation sends in one tick. Further ones are refused.
pub(super) const EFFECTS_MAX: usize = 65_536;

/// Registers the types of effects and broadcasts. Implemented by [`App`].
pub trait EffectAppExt {
    /// Registers the type `E`: it can be sent with [`TellEntity`] and is received as [`EffectReceived<E>`],
    /// returned as [`EffectReturned<E>`], and received as [`BroadcastReceived<E>`] if it was broadcast. Every
    /// simulation registers the same effects in the same order.
    fn effect<E>(&mut self) -> &mut Self
    where
        E: Serialize + DeserializeOwned + Send + Sync + 'static;
}

impl EffectAppExt for App {
    fn effect<E>(&mut self) -> &mut Self
    where
        E: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        if !self.world().contains_resource::<Effects>() {
            let alone = not(resource_exists::<Simulations>);
            self.persist::<EffectsInTransit>().add_systems(
                FixedUpdate,
                loop_back.run_if(alone).in_set(ServerSystems::Exchange),
            );
            self.init_resource::<EffectsInTransit>();
        }
        self.add_message::<EffectReceived<E>>()
            .add_message::<EffectReturned<E>>()
            .add_message::<BroadcastReceived<E>>();
        let mut effects = self.world_mut().get_resource_or_init::<Effects>();
        let type_id = TypeId::of::<E>();
        if effects.kinds.iter().all(|kind| kind.type_id != type_id) {
            effects.kinds.push(EffectKind {
                type_id,
                name: type_name::<E>(),
                receive: receive_effect::<E>,
                return_effect: return_effect::<E>,
                write_broadcast: write_broadcast::<E>,
            });
            self.world_mut().resource_mut::<EffectsInTransit>().is_adopted = false;
        }
        self
    }
}

/// An effect on an entity or a player of this simulation has arrived.
#[derive(Message, Clone, Debug)]
pub struct EffectReceived<E: Send + Sync + 'static> {
    /// The entity that the effect is for; for a player, the player's entity.
    pub entity: Entity,
    /// The simulation that sent the effect.
    pub from: SimulationId,
    /// The effect itself.
    pub effect: E,
}

/// An effect that this simulation sent was returned, because no simulation has its target.
#[derive(Message, Clone, Debug)]
pub struct EffectReturned<E: Send + Sync + 'static> {
    /// The entity or player that the effect was for.
    pub target: EffectTarget,
    /// The effect itself.
    pub effect: E,
}

/// A broadcast of a simulation of the process, this one included, has arrived.
#[derive(Message, Clone, Debug)]
pub struct BroadcastReceived<E: Send + Sync + 'static> {
    /// The simulation that sent the broadcast.
    pub from: SimulationId,
    /// The value that was broadcast.
    pub message: E,
}

/// Why an effect or a broadcast is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectRefused {
    /// The type is not registered with [`EffectAppExt::effect`].
    #[error("{0} is not registered as an effect")]
    Unregistered(&'static str),
    /// The value cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The tick has sent 65,536 effects and broadcasts already.
    #[error("more than {EFFECTS_MAX} effects and broadcasts in one tick")]
    Full,
}

/// Sends effects to entities and players, and broadcasts to simulations.
#[derive(SystemParam)]
pub struct TellEntity<'w> {
    effects: ResMut<'w, Effects>,
    transit: ResMut<'w, EffectsInTransit>,
}

impl TellEntity<'_> {
    /// Sends `effect` to the entity with the global id `target`, in whichever simulation it is.
    ///
    /// # Errors
    /// [`EffectRefused`]; the effect is not sent then.
    pub fn entity<E>(&mut self, target: GlobalId, effect: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        self.send(Some(EffectTarget::Entity(target)), effect)
    }

    /// Sends `effect` to the player `target`, in whichever simulation it is. It is received with the player's
    /// entity.
    ///
    /// # Errors
    /// [`EffectRefused`]; the effect is not sent then.
    pub fn player<E>(&mut self, target: PlayerId, effect: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        self.send(Some(EffectTarget::Player(target)), effect)
    }

    /// Broadcasts `message` to all simulations, this one included.
    ///
    /// # Errors
    /// [`EffectRefused`]; the message is not sent then.
    pub fn all_simulations<E>(&mut self, message: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        self.send(None, message)
    }

    fn send<E>(&mut self, target: Option<EffectTarget>, value: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        let kind = self.effects.kind_of::<E>()?;
        if self.transit.sent.len() >= EFFECTS_MAX {
            self.effects.refused += 1;
            return Err(EffectRefused::Full);
        }
        let mut bytes = Vec::new();
        codec::encode_into(value, &mut bytes)?;
        // The effects of a loaded checkpoint get the kinds of this build before another is added to them.
        self.transit.adopt_kinds(&self.effects);
        self.effects.sent += u64::from(target.is_some());
        self.transit.sent.push(EffectInTransit { target, kind, bytes });
        Ok(())
    }
}

/// The registered effects, and counts of what was sent.
#[derive(Resource, Default)]
pub struct Effects {
    kinds: Vec<EffectKind>,
    sent: u64,
    refused: u64,
}

/// The effects and broadcasts that this simulation has sent and that are not received yet.
#[derive(Resource, Clone, Default, Serialize, Deserialize)]
pub struct EffectsInTransit {
    /// The names of the registered types in the order of registration, which may be another in the build that loads
    /// a checkpoint.
    kinds: Vec<String>,
    /// The effects and broadcasts of this tick, in the order of sending.
    sent: Vec<EffectInTransit>,
    /// In a single simulation: the effects of the last tick whose target did not exist. They are returned in the
    /// next tick.
    lost: Vec<EffectInTransit>,
    /// Whether `kinds` are those of this build. They are not after loading a checkpoint.
    #[serde(skip)]
    is_adopted: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct EffectInTransit {
    /// `None` for a broadcast.
    target: Option<EffectTarget>,
    /// Index of the type in the order of registration.
    kind: u16,
    bytes: Vec<u8>,
}

impl EffectsInTransit {
    /// Takes the messages that this tick sent, in order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = PeerMessage> + use<> {
        let sent = mem::take(&mut self.sent).into_iter();
        sent.map(|EffectInTransit { target, kind, bytes }| match target {
            Some(target) => PeerMessage::Effect { target, kind, bytes },
            None => PeerMessage::Broadcast { kind, bytes },
        })
    }

    /// Gives the effects of a checkpoint the kinds that their types have in this build. An effect whose type is not
    /// registered is lost, and logged.
    fn adopt_kinds(&mut self, effects: &Effects) {
        if mem::replace(&mut self.is_adopted, true) {
            return;
        }
        let names = || effects.kinds.iter().map(|kind| kind.name);
        let saved = mem::replace(&mut self.kinds, names().map(str::to_owned).collect());
        let renumber = |effect: &mut EffectInTransit| {
            let name = saved.get(usize::from(effect.kind)).map_or("", String::as_str);
            let kind = names().position(|other| other == name);
            if kind.is_none() {
                tracing::error!(
                    name,
                    "an effect of a checkpoint is lost: its type is not registered"
                );
            }
            effect.kind = kind.unwrap_or_default() as u16;
            kind.is_some()
        };
        self.sent.retain_mut(renumber);
        self.lost.retain_mut(renumber);
    }
}

struct EffectKind {
    type_id: TypeId,
    name: &'static str,
    receive: fn(&mut World, Entity, SimulationId, &[u8]) -> Result<(), CodecError>,
    return_effect: fn(&mut World, EffectTarget, &[u8]) -> Result<(), CodecError>,
    write_broadcast: fn(&mut World, SimulationId, &[u8]) -> Result<(), CodecError>,
}

impl Effects {
    /// Returns the number of effects that this simulation has sent since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of effects and broadcasts refused because a tick had sent too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns the index of a type in the order of registration.
    fn kind_of<E: 'static>(&self) -> Result<u16, EffectRefused> {
        let type_id = TypeId::of::<E>();
        let kind = self.kinds.iter().position(|kind| kind.type_id == type_id);
        Ok(kind.ok_or(EffectRefused::Unregistered(type_name::<E>()))? as u16)
    }
}

/// Delivers the messages of a single simulation, as the exchange does for several: returned effects first, then
/// effects, then broadcasts.
pub(super) fn loop_back(world: &mut World) {
    let Some(simulation) = world.get_resource::<Slots>().map(Slots::simulation) else {
        return;
    };
    let (sent, lost) = world.resource_scope(|world, mut transit: Mut<EffectsInTransit>| {
        transit.adopt_kinds(world.resource::<Effects>());
        (mem::take(&mut transit.sent), mem::take(&mut transit.lost))
    });
    for effect in &lost {
        if let Some(target) = effect.target {
            return_one(world, target, effect.kind, &effect.bytes);
        }
    }
    let (effects, broadcasts): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|effect| effect.target.is_some());
    let is_lost = |EffectInTransit { target, kind, bytes }: &EffectInTransit| {
        target.is_some_and(|target| !apply(world, target, simulation, *kind, bytes))
    };
    let lost = effects.into_iter().filter(is_lost).collect();
    for EffectInTransit { kind, bytes, .. } in &broadcasts {
        receive_broadcast(world, simulation, *kind, bytes);
    }
    world.resource_mut::<EffectsInTransit>().lost = lost;
}

/// Applies a simulation's effects on entities and players of this one. Returns the indices of the applied ones among all
/// its effects.
pub(super) fn apply_all(world: &mut World, from: SimulationId, messages: &[PeerMessage]) -> Vec<u32> {
    let effects = messages.iter().filter_map(|message| match message {
        PeerMessage::Effect { target, kind, bytes } => Some((*target, *kind, bytes)),
        _ => None,
    });
    let mut applied = Vec::new();
    for (index, (target, kind, bytes)) in (0..).zip(effects) {
        if apply(world, target, from, kind, bytes) {
            applied.push(index);
        }
    }
    applied
}

/// Writes the [`EffectReceived`] of an effect. Returns `false` if this simulation does not have its target, its type
/// is not registered, or its bytes cannot be decoded.
fn apply(world: &mut World, target: EffectTarget, from: SimulationId, kind: u16, bytes: &[u8]) -> bool {
    let found = match target {
        EffectTarget::Entity(global) => world.resource::<Slots>().find(global),
        EffectTarget::Player(id) => world
            .get_resource::<Players>()
            .and_then(|players| players.find(id)),
    };
    let Some(entity) = found else {
        return false;
    };
    let kinds = &world.resource::<Effects>().kinds;
    let Some(receive) = kinds.get(usize::from(kind)).map(|kind| kind.receive) else {
        return false;
    };
    receive(world, entity, from, bytes).is_ok()
}

/// Writes the [`BroadcastReceived`] of a broadcast.
pub(super) fn receive_broadcast(world: &mut World, from: SimulationId, kind: u16, bytes: &[u8]) {
    let kinds = &world.resource::<Effects>().kinds;
    if let Some(write_broadcast) = kinds.get(usize::from(kind)).map(|kind| kind.write_broadcast)
        && let Err(error) = write_broadcast(world, from, bytes)
    {
        tracing::error!(%error, simulation = from.0, "a broadcast cannot be decoded");
    }
}

fn write_broadcast<E>(world: &mut World, from: SimulationId, bytes: &[u8]) -> Result<(), CodecError>
where
    E: DeserializeOwned + Send + Sync + 'static,
{
    let message: E = codec::decode_exact(bytes)?;
    world.write_message(BroadcastReceived { from, message });
    Ok(())
}

/// Writes [`EffectReturned`] for the effects in `sent`, a batch of this simulation, that no simulation
/// applied. `applied` has the indices of the others among the batch's effects.
pub(super) fn return_lost(world: &mut World, sent: &[PeerMessage], applied: &BTreeSet<u32>) {
    let effects = sent.iter().filter_map(|message| match message {
        PeerMessage::Effect { target, kind, bytes } => Some((*target, *kind, bytes)),
        _ => None,
    });
    for (index, (target, kind, bytes)) in (0..).zip(effects) {
        if !applied.contains(&index) {
            return_one(world, target, kind, bytes);
        }
    }
}

/// Writes an effect's [`EffectReturned`].
fn return_one(world: &mut World, target: EffectTarget, kind: u16, bytes: &[u8]) {
    let kinds = &world.resource::<Effects>().kinds;
    if let Some(return_effect) = kinds.get(usize::from(kind)).map(|kind| kind.return_effect)
        && let Err(error) = return_effect(world, target, bytes)
    {
        tracing::error!(%error, ?target, "an effect without a target cannot be returned and is lost");
    }
}

fn return_effect<E>(world: &mut World, target: EffectTarget, bytes: &[u8]) -> Result<(), CodecError>
where
    E: DeserializeOwned + Send + Sync + 'static,
{
    let effect: E = codec::decode_exact(bytes)?;
    world.write_message(EffectReturned { target, effect });
    Ok(())
}

fn receive_effect<E>(
    world: &mut World,
    entity: Entity,
    from: SimulationId,
    bytes: &[u8],
) -> Result<(), CodecError>
where
    E: DeserializeOwned + Send + Sync + 'static,
{
    let effect: E = codec::decode_exact(bytes)?;
    world.write_message(EffectReceived { entity, from, effect });
    Ok(())
}
