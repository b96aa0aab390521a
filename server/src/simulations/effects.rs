//! Effects on entities in any simulation: what gameplay sends instead of changing an entity that may belong
//! to another simulation. And broadcasts, which all simulations receive.
//!
//! An effect that is sent in tick t is received in tick t + 1 by the simulation that has the entity then.
//! This holds also for the sending simulation, so that gameplay has the same result with any number of
//! simulations. Each effect arrives once, those of one simulation in the order of sending. An effect whose
//! entity is in no simulation then is returned to its sender in tick t + 2, so that nothing of value is lost
//! with it. A broadcast of tick t is received in tick t + 1 by every simulation, the sender included, in the
//! same order by all.

use std::any::{TypeId, type_name};
use std::collections::BTreeSet;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::ids::{GlobalId, SimulationId};

use super::exchange::PeerMessage;
use super::state::Simulations;
use crate::schedule::ServerSystems;
use crate::simulation::Slots;

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
            self.add_systems(
                FixedUpdate,
                loop_back.run_if(alone).in_set(ServerSystems::Exchange),
            );
        }
        self.add_message::<EffectReceived<E>>()
            .add_message::<EffectReturned<E>>()
            .add_message::<BroadcastReceived<E>>();
        let mut effects = self.world_mut().get_resource_or_init::<Effects>();
        let type_id = TypeId::of::<E>();
        if effects.kinds.iter().all(|kind| kind.type_id != type_id) {
            effects.kinds.push(EffectKind {
                type_id,
                receive: receive_effect::<E>,
                return_effect: return_effect::<E>,
                write_broadcast: write_broadcast::<E>,
            });
        }
        self
    }
}

/// An effect on an entity of this simulation has arrived.
#[derive(Message, Clone, Debug)]
pub struct EffectReceived<E: Send + Sync + 'static> {
    /// The entity that the effect is for.
    pub entity: Entity,
    /// The simulation that sent the effect.
    pub from: SimulationId,
    /// The effect itself.
    pub effect: E,
}

/// An effect that this simulation sent was returned, because no simulation has its entity.
#[derive(Message, Clone, Debug)]
pub struct EffectReturned<E: Send + Sync + 'static> {
    /// The id of the entity that the effect was for.
    pub target: GlobalId,
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

/// Sends effects to entities, and broadcasts to simulations.
#[derive(SystemParam)]
pub struct TellEntity<'w> {
    effects: ResMut<'w, Effects>,
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
        let (kind, bytes) = self.effects.encode(effect)?;
        self.effects
            .outbox
            .push(PeerMessage::Effect { target, kind, bytes });
        self.effects.sent += 1;
        Ok(())
    }

    /// Broadcasts `message` to all simulations, this one included.
    ///
    /// # Errors
    /// [`EffectRefused`]; the message is not sent then.
    pub fn all_simulations<E>(&mut self, message: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        let (kind, bytes) = self.effects.encode(message)?;
        self.effects.outbox.push(PeerMessage::Broadcast { kind, bytes });
        Ok(())
    }
}

/// The registered effects, and the outbox of this tick.
#[derive(Resource, Default)]
pub struct Effects {
    kinds: Vec<EffectKind>,
    outbox: Vec<PeerMessage>,
    /// In a single simulation: the messages of the last tick, and the indices of the effects that were
    /// applied.
    looped: (Vec<PeerMessage>, BTreeSet<u32>),
    sent: u64,
    refused: u64,
}

struct EffectKind {
    type_id: TypeId,
    receive: fn(&mut World, Entity, SimulationId, &[u8]) -> Result<(), CodecError>,
    return_effect: fn(&mut World, GlobalId, &[u8]) -> Result<(), CodecError>,
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

    /// Returns the index of a value's type in the order of registration, and the encoded value.
    fn encode<E>(&mut self, value: &E) -> Result<(u16, Vec<u8>), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        let type_id = TypeId::of::<E>();
        let kind = self.kinds.iter().position(|kind| kind.type_id == type_id);
        let kind = kind.ok_or(EffectRefused::Unregistered(type_name::<E>()))? as u16;
        if self.outbox.len() >= EFFECTS_MAX {
            self.refused += 1;
            return Err(EffectRefused::Full);
        }
        let mut bytes = Vec::new();
        codec::encode_into(value, &mut bytes)?;
        Ok((kind, bytes))
    }

    /// Takes the messages that this tick sent, in order.
    pub(super) fn take(&mut self) -> Vec<PeerMessage> {
        std::mem::take(&mut self.outbox)
    }
}

/// Delivers the messages of a single simulation, as the exchange does for several.
pub(super) fn loop_back(world: &mut World) {
    let Some(simulation) = world.get_resource::<Slots>().map(Slots::simulation) else {
        return;
    };
    let mut effects = world.resource_mut::<Effects>();
    let (last, applied) = std::mem::take(&mut effects.looped);
    let messages = effects.take();
    return_lost(world, &last, &applied);
    let applied = apply_all(world, simulation, &messages).into_iter().collect();
    for message in &messages {
        if let PeerMessage::Broadcast { kind, bytes } = message {
            receive_broadcast(world, simulation, *kind, bytes);
        }
    }
    world.resource_mut::<Effects>().looped = (messages, applied);
}

/// Applies a simulation's effects on entities of this one. Returns the indices of the applied ones among all
/// its effects.
pub(super) fn apply_all(world: &mut World, from: SimulationId, messages: &[PeerMessage]) -> Vec<u32> {
    let effects = messages.iter().filter_map(|message| match message {
        PeerMessage::Effect { target, kind, bytes } => Some((*target, *kind, bytes)),
        _ => None,
    });
    let mut applied = Vec::new();
    for (index, (target, kind, bytes)) in (0..).zip(effects) {
        if let Some(entity) = world.resource::<Slots>().find(target)
            && apply(world, entity, from, kind, bytes)
        {
            applied.push(index);
        }
    }
    applied
}

/// Writes the [`EffectReceived`] of an effect. Returns `false` if its type is not registered, or its bytes cannot
/// be decoded.
fn apply(world: &mut World, entity: Entity, from: SimulationId, kind: u16, bytes: &[u8]) -> bool {
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
        let kinds = &world.resource::<Effects>().kinds;
        if let Some(kind) = kinds.get(usize::from(kind)).filter(|_| !applied.contains(&index))
            && let Err(error) = (kind.return_effect)(world, target, bytes)
        {
            tracing::error!(%error, %target, "an effect without an entity cannot be returned and is lost");
        }
    }
}

fn return_effect<E>(world: &mut World, target: GlobalId, bytes: &[u8]) -> Result<(), CodecError>
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
