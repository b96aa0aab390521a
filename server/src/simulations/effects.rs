//! Effects on entities wherever they are: what gameplay sends instead of changing an entity that may belong to
//! another simulation. And news, of which all simulations hear.
//!
//! An effect that is sent in tick t is received in tick t + 1 by the world that has the entity then, also when
//! it is this one, so that gameplay comes out the same however many simulations there are. Each arrives once,
//! those of one simulation in the order of sending. One for an entity that is in no world then comes back in tick
//! t + 2 to the world that sent it, so that nothing of value is lost with it. News of tick t are heard in tick t + 1
//! by every simulation, also by the one that sends them, in the same order by all.

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

/// Effects and news that one simulation sends in one tick at most; one more is refused.
pub const EFFECTS_MAX: usize = 65_536;

/// Registers effects; implemented by [`App`].
pub trait EffectAppExt {
    /// Lets `E` be sent with [`TellEntity`], be received as [`EffectReceived<E>`], come back as
    /// [`EffectReturned<E>`], and as news be heard as [`BroadcastReceived<E>`]. Every simulation registers the same effects in
    /// the same order.
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

/// An effect on an entity of this world.
#[derive(Message, Clone, Debug)]
pub struct EffectReceived<E: Send + Sync + 'static> {
    /// The entity.
    pub entity: Entity,
    /// The simulation that sent it.
    pub from: SimulationId,
    /// What is to happen to it.
    pub effect: E,
}

/// An effect of this world's that found no entity.
#[derive(Message, Clone, Debug)]
pub struct EffectReturned<E: Send + Sync + 'static> {
    /// For whom it was.
    pub target: GlobalId,
    /// What was to happen to it.
    pub effect: E,
}

/// News of a simulation of the process.
#[derive(Message, Clone, Debug)]
pub struct BroadcastReceived<E: Send + Sync + 'static> {
    /// The simulation that sent them.
    pub from: SimulationId,
    /// What they are.
    pub message: E,
}

/// Why an effect is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectRefused {
    /// The type was not registered.
    #[error("{0} is not registered as an effect")]
    Unregistered(&'static str),
    /// The value cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// As many as a tick may send are sent.
    #[error("more than {EFFECTS_MAX} effects and news in one tick")]
    Full,
}

/// Sends effects to entities, and news to simulations.
#[derive(SystemParam)]
pub struct TellEntity<'w> {
    effects: ResMut<'w, Effects>,
}

impl TellEntity<'_> {
    /// Sends `effect` to the entity that is called `target` everywhere.
    ///
    /// # Errors
    /// [`EffectRefused`]; nothing is sent then.
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

    /// Lets all simulations hear `message`, this one too.
    ///
    /// # Errors
    /// [`EffectRefused`]; nobody hears them then.
    pub fn all_simulations<E>(&mut self, message: &E) -> Result<(), EffectRefused>
    where
        E: Serialize + Send + Sync + 'static,
    {
        let (kind, bytes) = self.effects.encode(message)?;
        self.effects.outbox.push(PeerMessage::Broadcast { kind, bytes });
        Ok(())
    }
}

/// The registered effects and those of this tick.
#[derive(Resource, Default)]
pub struct Effects {
    kinds: Vec<EffectKind>,
    outbox: Vec<PeerMessage>,
    /// What a simulation without others sent in the last tick, and the places of the effects that were applied.
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
    /// Effects sent by this simulation since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Effects that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The place of a value's type, and its bytes.
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

    /// Takes what this tick sent, in order.
    pub(super) fn take(&mut self) -> Vec<PeerMessage> {
        std::mem::take(&mut self.outbox)
    }
}

/// Does for a simulation without others what the exchange does for several.
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

/// Applies a simulation's effects on entities of this world. Answers their places among all its effects.
pub(super) fn apply_all(world: &mut World, from: SimulationId, messages: &[PeerMessage]) -> Vec<u32> {
    let effects = messages.iter().filter_map(|message| match message {
        PeerMessage::Effect { target, kind, bytes } => Some((*target, *kind, bytes)),
        _ => None,
    });
    let mut applied = Vec::new();
    for (place, (target, kind, bytes)) in (0..).zip(effects) {
        if let Some(entity) = world.resource::<Slots>().find(target)
            && apply(world, entity, from, kind, bytes)
        {
            applied.push(place);
        }
    }
    applied
}

/// Hands an effect to gameplay. `false` when it is of no type that this simulation knows.
fn apply(world: &mut World, entity: Entity, from: SimulationId, kind: u16, bytes: &[u8]) -> bool {
    let kinds = &world.resource::<Effects>().kinds;
    let Some(receive) = kinds.get(usize::from(kind)).map(|kind| kind.receive) else {
        return false;
    };
    receive(world, entity, from, bytes).is_ok()
}

/// Hands gameplay the news of a simulation.
pub(super) fn receive_broadcast(world: &mut World, from: SimulationId, kind: u16, bytes: &[u8]) {
    let kinds = &world.resource::<Effects>().kinds;
    if let Some(write_broadcast) = kinds.get(usize::from(kind)).map(|kind| kind.write_broadcast)
        && let Err(error) = write_broadcast(world, from, bytes)
    {
        tracing::error!(%error, simulation = from.0, "news cannot be read");
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

/// Hands gameplay those effects of its world's last post that no world applied; `applied` has the places of the
/// others among the post's effects.
pub(super) fn return_lost(world: &mut World, sent: &[PeerMessage], applied: &BTreeSet<u32>) {
    let effects = sent.iter().filter_map(|message| match message {
        PeerMessage::Effect { target, kind, bytes } => Some((*target, *kind, bytes)),
        _ => None,
    });
    for (place, (target, kind, bytes)) in (0..).zip(effects) {
        let kinds = &world.resource::<Effects>().kinds;
        if let Some(kind) = kinds.get(usize::from(kind)).filter(|_| !applied.contains(&place))
            && let Err(error) = (kind.return_effect)(world, target, bytes)
        {
            tracing::error!(%error, %target, "an effect that found nobody is lost");
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
