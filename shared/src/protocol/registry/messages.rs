//! Registered messages and resources: what is done with each where only the registry knows its type.
//!
//! A typed message becomes a Bevy `Message` in the world that it was sent to: [`FromPlayer`] on the server,
//! [`FromServer`] on a client.

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::entity::Entity;
use bevy_ecs::prelude::{DetectChanges, Message, Resource, World};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::faults::{Said, ValueFault};
use super::references::{MapInWorld, MapReferences, References};
use super::value::{AnyValue, RegistryError};
use crate::hash::Fnv1a;
use crate::limits::MESSAGE_VALUE_BYTES_MAX;
use crate::protocol::codec::{self, CodecError};
use crate::protocol::ids::{Channel, MessageId};
use crate::protocol::shape;

/// A message that a player sent, on the server.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromPlayer<M: Send + Sync + 'static> {
    /// The player's entity. It may not exist any more when this is read.
    pub player: Entity,
    /// The decoded message, not checked in any other way.
    pub message: M,
}

/// A message that the server sent, on the client.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromServer<M: Send + Sync + 'static>(pub M);

/// The direction in which a message may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Either end may send it.
    #[default]
    Both = 0,
    /// Only the server may send it.
    ToClients = 1,
    /// Only a client may send it.
    ToServer = 2,
}

/// A registered message type and its functions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MessageEntry {
    /// Index in the order of registration.
    pub id: MessageId,
    /// Path of the type.
    pub name: &'static str,
    /// The channel through which it travels.
    pub channel: Channel,
    /// The direction in which it may be sent.
    pub direction: Direction,
    pub(super) type_id: TypeId,
    /// The shape of the value.
    pub(super) shape: Arc<str>,
    pub(super) said: Arc<Said>,
    pub(super) decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
    pub(super) encode_mapped: Option<EncodeMapped>,
    /// Decodes a value, replaces its references and encodes it; `None` for a type without references.
    pub(super) map_encoded: Option<MapEncoded>,
    pub(super) from_player: fn(&mut World, Entity, &[u8], &MapInWorld<'_>) -> Result<(), RegistryError>,
    pub(super) from_server: fn(&mut World, &[u8], &MapInWorld<'_>) -> Result<(), RegistryError>,
}

impl MessageEntry {
    /// Adds what both ends must have alike, besides the name, to a hash.
    pub(super) fn hash_settings(&self, hash: &mut Fnv1a) {
        hash.field(&[self.channel as u8, self.direction as u8]);
        hash.field(self.shape.as_bytes());
    }
}

pub(super) type EncodeMapped =
    fn(&dyn Any, &mut MapReferences<'_>, &mut Vec<u8>) -> Result<(), RegistryError>;

pub(super) type MapEncoded = fn(&[u8], &mut MapReferences<'_>, &mut Vec<u8>) -> Result<(), RegistryError>;

type EncodeResource =
    fn(&World, MessageId, &mut MapReferences<'_>, &mut Vec<u8>) -> Result<(), RegistryError>;

/// A replicated resource and its functions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResourceEntry {
    /// The id of the message that carries it.
    pub id: MessageId,
    /// Path of the type.
    pub name: &'static str,
    pub(super) type_id: TypeId,
    pub(super) said: Arc<Said>,
    pub(super) changed: fn(&World) -> Option<ChangeTick>,
    pub(super) encode: EncodeResource,
    pub(super) decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
    pub(super) remove: fn(&mut World),
}

impl ResourceEntry {
    /// Returns when the resource was added or changed last; `None` while it does not exist.
    #[must_use]
    pub fn changed(&self, world: &World) -> Option<ChangeTick> {
        (self.changed)(world)
    }

    /// Appends the message that gives a client the resource, with its references replaced by `map`, or that removes it
    /// there if it does not exist.
    ///
    /// # Errors
    /// [`RegistryError::Codec`] when it does not fit a message; `out` is then unchanged.
    pub fn encode(
        &self,
        world: &World,
        map: &mut MapReferences<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RegistryError> {
        (self.encode)(world, self.id, map, out)
    }

    /// Appends the message that removes the resource at a client.
    pub fn encode_removal(&self, out: &mut Vec<u8>) {
        out.extend(self.id.0.to_le_bytes());
        // `None` in the format of the codec.
        out.push(0);
    }

    /// Returns what is wrong with a resource that was just encoded with this result, if that was not returned before. Of
    /// the first [`CHECKED_VALUES`](super::CHECKED_VALUES) values each is decoded again.
    #[must_use]
    pub fn fault(&self, encoded: &Result<(), RegistryError>, message: &[u8]) -> Option<ValueFault> {
        message_value_fault(encoded.as_ref().err(), message, self.decode, &self.said)
    }

    /// Removes the resource from a client's world, as when the session that replicated it has ended.
    pub fn remove(&self, world: &mut World) {
        (self.remove)(world);
    }
}

/// The message type that carries the resource `R`; it has no values.
pub(super) struct Carries<R>(std::marker::PhantomData<fn(R)>);

pub(super) fn message_entry<M>(id: MessageId, channel: Channel, direction: Direction) -> MessageEntry
where
    M: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    MessageEntry {
        id,
        name: type_name::<M>(),
        channel,
        direction,
        type_id: TypeId::of::<M>(),
        shape: shape::describe::<M>().into(),
        said: Arc::default(),
        decode: decode_boxed::<M>,
        encode_mapped: None,
        map_encoded: None,
        from_player: |world, player, bytes, _| {
            let message = codec::decode_exact::<M>(bytes)?;
            world.write_message(FromPlayer { player, message });
            Ok(())
        },
        from_server: |world, bytes, _| {
            world.write_message(FromServer(codec::decode_exact::<M>(bytes)?));
            Ok(())
        },
    }
}

pub(super) fn resource_entries<R>(id: MessageId) -> (MessageEntry, ResourceEntry)
where
    R: Resource + Serialize + DeserializeOwned,
{
    let name = type_name::<R>();
    let message = MessageEntry {
        id,
        name,
        channel: Channel::ReliableOrdered,
        direction: Direction::ToClients,
        type_id: TypeId::of::<Carries<R>>(),
        shape: shape::describe::<R>().into(),
        said: Arc::default(),
        decode: decode_boxed::<Option<R>>,
        encode_mapped: None,
        map_encoded: Some(map_resource::<R>),
        from_player: |_, _, _, _| Err(RegistryError::WrongDirection(type_name::<R>())),
        from_server: |world, bytes, map| {
            let decoded = codec::decode_exact::<Option<R>>(bytes);
            // No older value stays in the place of one that cannot be decoded.
            let (resource, result) = match decoded {
                Ok(resource) => (resource, Ok(())),
                Err(error) => (None, Err(error.into())),
            };
            match resource {
                Some(mut resource) => {
                    R::map_entities(&mut resource, &mut References(&mut |entity| map(world, entity)));
                    world.insert_resource(resource);
                }
                None => drop(world.remove_resource::<R>()),
            }
            result
        },
    };
    let resource = ResourceEntry {
        id,
        name,
        type_id: TypeId::of::<R>(),
        said: Arc::default(),
        decode: decode_boxed::<Option<R>>,
        changed: |world| Some(world.get_resource_ref::<R>()?.last_changed()),
        encode: |world, id, map, out| {
            let mut bytes = Vec::new();
            encode_value(&world.get_resource::<R>(), &mut bytes).map_err(without_option)?;
            let (start, mut has_references) = (out.len(), false);
            out.extend(id.0.to_le_bytes());
            let mut map = |entity| {
                has_references = true;
                map(entity)
            };
            // A value that cannot be decoded is sent as it is, and reported when it is checked.
            match map_resource::<R>(&bytes, &mut map, out) {
                Ok(()) if has_references => return Ok(()),
                Err(error) if has_references => {
                    out.truncate(start);
                    return Err(without_option(error));
                }
                Ok(()) | Err(_) => out.truncate(start + size_of::<u16>()),
            }
            out.append(&mut bytes);
            Ok(())
        },
        remove: |world| drop(world.remove_resource::<R>()),
    };
    (message, resource)
}

/// Returns the error for a resource, whose message has one byte more that says whether it exists.
fn without_option(error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Codec(CodecError::TooLong { bytes, max }) => {
            let (bytes, max) = (bytes - 1, max - 1);
            CodecError::TooLong { bytes, max }.into()
        }
        other => other,
    }
}

/// Decodes a resource, replaces its references and appends it to `out`.
fn map_resource<R>(bytes: &[u8], map: &mut MapReferences<'_>, out: &mut Vec<u8>) -> Result<(), RegistryError>
where
    R: Resource + Serialize + DeserializeOwned,
{
    let mut resource = codec::decode_exact::<Option<R>>(bytes)?;
    if let Some(resource) = &mut resource {
        R::map_entities(resource, &mut References(map));
    }
    encode_value(&resource, out)
}

/// Encodes a message's value in the bytes that are left beside its id.
pub(super) fn encode_value<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), RegistryError> {
    encode_bounded(message, out, MESSAGE_VALUE_BYTES_MAX).map(drop)
}

fn encode_bounded<T: Serialize>(value: &T, out: &mut Vec<u8>, max: usize) -> Result<usize, RegistryError> {
    let start = out.len();
    let bytes = codec::encode_into(value, out).map_err(|error| error.within(max))?;
    if bytes > max {
        out.truncate(start);
        return Err(CodecError::TooLong { bytes, max }.into());
    }
    Ok(bytes)
}

/// Returns what is wrong with a message that was just encoded, if that was not said before.
pub(super) fn message_value_fault(
    error: Option<&RegistryError>,
    message: &[u8],
    decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
    said: &Said,
) -> Option<ValueFault> {
    let value = message.get(size_of::<u16>()..).unwrap_or_default();
    said.fault_of(error, value, MESSAGE_VALUE_BYTES_MAX, |value| {
        decode(value).map(drop)
    })
}

fn decode_boxed<T>(bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    Ok(Box::new(codec::decode_exact::<T>(bytes)?))
}
