//! Whole values of a component or a resource, as the server keeps them in checkpoints and moves them between
//! simulations.
//!
//! Owns the operations on such a value where only the registry knows its type. A value is encoded by serde, even if
//! another codec encodes it for clients, and without a bound on its size.

use std::any::type_name;

use bevy_ecs::component::ComponentId;
use bevy_ecs::entity::EntityMapper;
use bevy_ecs::prelude::{Component, Entity, World};
use bevy_ecs::world::{EntityRef, EntityWorldMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::references::References;
use crate::protocol::codec::{self, CodecError};

/// A type whose values are persisted. The server's list has the types that the protocol marks, and the server's own.
#[derive(Clone, Copy, Debug)]
pub struct PersistedType {
    name: &'static str,
    register: fn(&mut World) -> ComponentId,
    encode: fn(EntityRef<'_>, &mut dyn EntityMapper, &mut Vec<u8>) -> Result<bool, CodecError>,
    decode: fn(&[u8]) -> Result<Box<dyn DecodedValue>, CodecError>,
}

/// A decoded value that waits to be inserted into its entity.
pub trait DecodedValue: Send {
    /// Inserts it into `entity`, with its references mapped. A relationship to an entity that `references` does not
    /// have is not inserted.
    fn insert(self: Box<Self>, entity: &mut EntityWorldMut<'_>, references: &mut dyn EntityMapper);
}

impl PersistedType {
    /// Returns the operations on values of `T`.
    #[must_use]
    pub fn of<T>() -> Self
    where
        T: Component + Serialize + DeserializeOwned + Clone,
    {
        Self {
            name: type_name::<T>(),
            register: |world| world.register_component::<T>(),
            encode: encode::<T>,
            decode: |bytes| Ok(Box::new(Value(codec::decode_state_exact::<T>(bytes)?))),
        }
    }

    /// Returns the operations on `T`, which has no value besides its presence.
    #[must_use]
    pub fn marker<T: Component + Default>() -> Self {
        Self {
            name: type_name::<T>(),
            register: |world| world.register_component::<T>(),
            encode: |entity, _, _| Ok(entity.contains::<T>()),
            decode: |bytes| {
                codec::decode_state_exact::<()>(bytes)?;
                Ok(Box::new(Value(T::default())))
            },
        }
    }

    /// Returns the path of the type, which is its name in a checkpoint.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the component's id in a world.
    pub fn register(&self, world: &mut World) -> ComponentId {
        (self.register)(world)
    }

    /// Appends the value of `entity` with its references mapped, and returns whether it has one.
    ///
    /// # Errors
    /// [`CodecError`] when the value cannot be encoded.
    pub fn encode(
        &self,
        entity: EntityRef<'_>,
        references: &mut dyn EntityMapper,
        out: &mut Vec<u8>,
    ) -> Result<bool, CodecError> {
        (self.encode)(entity, references, out)
    }

    /// Decodes a value that takes all of `bytes`.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are not a value.
    pub fn decode(&self, bytes: &[u8]) -> Result<Box<dyn DecodedValue>, CodecError> {
        (self.decode)(bytes)
    }
}

struct Value<T>(T);

impl<T: Component> DecodedValue for Value<T> {
    fn insert(mut self: Box<Self>, entity: &mut EntityWorldMut<'_>, references: &mut dyn EntityMapper) {
        let mut is_dangling = false;
        let mut map = |reference| {
            let mapped = references.get_mapped(reference);
            is_dangling |= mapped == Entity::PLACEHOLDER;
            mapped
        };
        T::map_entities(&mut self.0, &mut References(&mut map));
        // Bevy would remove a relationship to the placeholder again, with a warning.
        if !(is_dangling && T::relationship_accessor().is_some()) {
            entity.insert(self.0);
        }
    }
}

fn encode<T: Component + Serialize + Clone>(
    entity: EntityRef<'_>,
    mut references: &mut dyn EntityMapper,
    out: &mut Vec<u8>,
) -> Result<bool, CodecError> {
    let Some(value) = entity.get::<T>() else {
        return Ok(false);
    };
    let mut value = value.clone();
    T::map_entities(&mut value, &mut references);
    codec::encode_state_into(&value, out)?;
    Ok(true)
}
