//! Effects on entities wherever they are: what gameplay sends instead of changing an entity that may belong to
//! another simulation.
//!
//! An effect that is sent in tick t is received in tick t + 1 by the world that has the entity then, also when
//! it is this one, so that gameplay comes out the same however many simulations there are. Each arrives once,
//! those of one simulation in the order of sending. One for an entity that is gone is dropped.

use std::any::{TypeId, type_name};

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::ids::{GlobalId, SourceId};

use super::exchange::Letter;

/// Effects that one simulation sends in one tick at most; one more is refused.
pub const EFFECTS_MAX: usize = 65_536;

/// Registers effects; implemented by [`App`].
pub trait EffectAppExt {
    /// Lets `E` be sent with [`TellEntity`] and be received as [`EffectReceived<E>`]. Every simulation
    /// registers the same effects in the same order.
    fn effect<E>(&mut self) -> &mut Self
    where
        E: Serialize + DeserializeOwned + Send + Sync + 'static;
}

impl EffectAppExt for App {
    fn effect<E>(&mut self) -> &mut Self
    where
        E: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.add_message::<EffectReceived<E>>();
        let mut effects = self.world_mut().get_resource_or_init::<Effects>();
        let type_id = TypeId::of::<E>();
        if effects.kinds.iter().all(|kind| kind.type_id != type_id) {
            effects.kinds.push(EffectKind {
                type_id,
                receive: receive::<E>,
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
    pub from: SourceId,
    /// What is to happen to it.
    pub effect: E,
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
    #[error("more than {EFFECTS_MAX} effects in one tick")]
    Full,
}

/// Sends effects to entities.
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
        let effects = &mut *self.effects;
        let kind = effects
            .kinds
            .iter()
            .position(|kind| kind.type_id == TypeId::of::<E>());
        let kind = kind.ok_or(EffectRefused::Unregistered(type_name::<E>()))? as u16;
        if effects.outbox.len() >= EFFECTS_MAX {
            effects.refused += 1;
            return Err(EffectRefused::Full);
        }
        let mut bytes = Vec::new();
        codec::encode_into(effect, &mut bytes)?;
        effects.outbox.push(Letter::Effect { target, kind, bytes });
        effects.sent += 1;
        Ok(())
    }
}

/// The registered effects and those of this tick.
#[derive(Resource, Default)]
pub struct Effects {
    kinds: Vec<EffectKind>,
    outbox: Vec<Letter>,
    sent: u64,
    refused: u64,
}

struct EffectKind {
    type_id: TypeId,
    receive: fn(&mut World, Entity, SourceId, &[u8]) -> Result<(), CodecError>,
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

    /// Takes what this tick sent, in order.
    pub(super) fn take(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.outbox)
    }
}

/// Hands an effect to gameplay. `false` when it is of no type that this simulation knows.
pub(super) fn apply(world: &mut World, entity: Entity, from: SourceId, kind: u16, bytes: &[u8]) -> bool {
    let kinds = &world.resource::<Effects>().kinds;
    let Some(receive) = kinds.get(usize::from(kind)).map(|kind| kind.receive) else {
        return false;
    };
    receive(world, entity, from, bytes).is_ok()
}

fn receive<E>(world: &mut World, entity: Entity, from: SourceId, bytes: &[u8]) -> Result<(), CodecError>
where
    E: DeserializeOwned + Send + Sync + 'static,
{
    let effect: E = codec::decode_exact(bytes)?;
    world.write_message(EffectReceived { entity, from, effect });
    Ok(())
}
