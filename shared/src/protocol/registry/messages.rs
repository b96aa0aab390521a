//! Registered messages and resources: what travels by renet's channels.
//!
//! A message is two bytes of its id and its value. A typed one ends up as a Bevy `Message` in the world that it
//! was sent to: [`FromPlayer`] on the server, [`FromServer`] on a client.

use std::any::{Any, TypeId, type_name};

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::entity::Entity;
use bevy_ecs::prelude::{DetectChanges, Message, Resource, World};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::references::{MapInWorld, MapReferences};
use super::{AnyValue, Protocol, RegistryError, encode_bounded};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::protocol::codec::{self, CodecError};
use crate::protocol::ids::{Channel, MessageId};

/// A message that a player sent, on the server.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromPlayer<M: Send + Sync + 'static> {
    /// The player entity. It may be gone by the time that this is read.
    pub player: Entity,
    /// What it says. Decoded, and not checked in any other way.
    pub message: M,
}

/// A message that the server sent, on the client.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromServer<M: Send + Sync + 'static>(pub M);

/// Which way a message goes.
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

/// A registered message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MessageEntry {
    /// Place in the order of registration.
    pub id: MessageId,
    /// Path of the type.
    pub name: &'static str,
    /// The channel through which it travels.
    pub channel: Channel,
    /// Which way it goes.
    pub direction: Direction,
    pub(super) type_id: TypeId,
    pub(super) decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
    pub(super) encode_mapped: Option<EncodeMapped>,
    pub(super) from_player: fn(&mut World, Entity, &[u8], &MapInWorld<'_>) -> Result<(), RegistryError>,
    pub(super) from_server: fn(&mut World, &[u8], &MapInWorld<'_>) -> Result<(), RegistryError>,
}

pub(super) type EncodeMapped =
    fn(&dyn Any, &mut MapReferences<'_>, &mut Vec<u8>) -> Result<(), RegistryError>;

/// A replicated resource, to be asked about on the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResourceEntry {
    /// The message that carries it.
    pub id: MessageId,
    /// Path of the type.
    pub name: &'static str,
    pub(super) type_id: TypeId,
    pub(super) changed: fn(&World) -> Option<ChangeTick>,
    pub(super) encode: fn(&World, MessageId, &mut Vec<u8>) -> Result<(), RegistryError>,
}

impl ResourceEntry {
    /// When the resource was added or changed last; `None` while it is not there.
    #[must_use]
    pub fn changed(&self, world: &World) -> Option<ChangeTick> {
        (self.changed)(world)
    }

    /// Appends the message that brings a client the resource, or takes it away where it is not there.
    ///
    /// # Errors
    /// [`RegistryError::Codec`] when it does not fit a message; `out` is then as before.
    pub fn encode(&self, world: &World, out: &mut Vec<u8>) -> Result<(), RegistryError> {
        (self.encode)(world, self.id, out)
    }
}

impl Protocol {
    /// Registered messages, by ascending id.
    #[must_use]
    pub fn messages(&self) -> &[MessageEntry] {
        &self.messages
    }

    /// Replicated resources, in the order of registration.
    #[must_use]
    pub fn resources(&self) -> &[ResourceEntry] {
        &self.resources
    }

    /// Appends the message, as it goes into its channel, and answers which channel that is. References in it
    /// stay as they are.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], or [`RegistryError::Codec`] when it cannot be encoded in
    /// [`MESSAGE_BYTES_MAX`]; `out` is then as before.
    pub fn encode_message<M>(&self, message: &M, out: &mut Vec<u8>) -> Result<Channel, RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.encode_message_with(message, &mut |entity| entity, out)
            .map(|entry| entry.channel)
    }

    /// Likewise, with the message's references replaced as `map` says; answers the message's entry.
    ///
    /// # Errors
    /// As [`Protocol::encode_message`].
    pub fn encode_message_with<M>(
        &self,
        message: &M,
        map: &mut MapReferences<'_>,
        out: &mut Vec<u8>,
    ) -> Result<&MessageEntry, RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let entry = self.message_of::<M>()?;
        let start = out.len();
        out.extend(entry.id.0.to_le_bytes());
        let encoded = match entry.encode_mapped {
            Some(encode) => encode(message, map, out),
            None => encode_value(message, out),
        };
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded.map(|()| entry)
    }

    /// Decodes a message that came through `channel`, into a value of its registered type.
    ///
    /// # Errors
    /// [`RegistryError::UnknownMessage`], [`RegistryError::WrongChannel`], [`RegistryError::Codec`].
    pub fn decode_message(
        &self,
        channel: Channel,
        bytes: &[u8],
    ) -> Result<(&MessageEntry, Box<AnyValue>), RegistryError> {
        let (entry, value) = self.open_message(channel, bytes)?;
        Ok((entry, (entry.decode)(value)?))
    }

    /// Writes a player's message as a [`FromPlayer`] into the world.
    ///
    /// # Errors
    /// As [`Protocol::decode_message`], and [`RegistryError::WrongDirection`] when players do not send it.
    pub fn deliver_from_player(
        &self,
        world: &mut World,
        player: Entity,
        channel: Channel,
        bytes: &[u8],
        map: &MapInWorld<'_>,
    ) -> Result<(), RegistryError> {
        let (entry, value) = self.open_message(channel, bytes)?;
        if entry.direction == Direction::ToClients {
            return Err(RegistryError::WrongDirection(entry.name));
        }
        (entry.from_player)(world, player, value, map)
    }

    /// Writes the server's message as a [`FromServer`] into the world, or brings the resource in it in step.
    ///
    /// # Errors
    /// As [`Protocol::decode_message`], and [`RegistryError::WrongDirection`] when the server does not send it.
    pub fn deliver_from_server(
        &self,
        world: &mut World,
        channel: Channel,
        bytes: &[u8],
        map: &MapInWorld<'_>,
    ) -> Result<(), RegistryError> {
        let (entry, value) = self.open_message(channel, bytes)?;
        if entry.direction == Direction::ToServer {
            return Err(RegistryError::WrongDirection(entry.name));
        }
        (entry.from_server)(world, value, map)
    }

    fn message_of<M: 'static>(&self) -> Result<&MessageEntry, RegistryError> {
        self.messages
            .iter()
            .find(|entry| entry.type_id == TypeId::of::<M>())
            .ok_or(RegistryError::Unregistered(type_name::<M>()))
    }

    fn open_message<'a>(
        &self,
        channel: Channel,
        bytes: &'a [u8],
    ) -> Result<(&MessageEntry, &'a [u8]), RegistryError> {
        let (id, value) = bytes.split_first_chunk().ok_or(CodecError::TooShort)?;
        let id = u16::from_le_bytes(*id);
        let entry = self
            .messages
            .get(usize::from(id))
            .ok_or(RegistryError::UnknownMessage(id))?;
        if entry.channel != channel {
            let (name, registered) = (entry.name, entry.channel);
            return Err(RegistryError::WrongChannel {
                name,
                came: channel,
                registered,
            });
        }
        Ok((entry, value))
    }
}

/// The message type that carries the resource `R`; never constructed.
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
        decode: decode_boxed::<M>,
        encode_mapped: None,
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
        decode: decode_boxed::<Option<R>>,
        encode_mapped: None,
        from_player: |_, _, _, _| Err(RegistryError::WrongDirection(type_name::<R>())),
        from_server: |world, bytes, _| {
            match codec::decode_exact::<Option<R>>(bytes)? {
                Some(resource) => world.insert_resource(resource),
                None => drop(world.remove_resource::<R>()),
            }
            Ok(())
        },
    };
    let resource = ResourceEntry {
        id,
        name,
        type_id: TypeId::of::<R>(),
        changed: |world| Some(world.get_resource_ref::<R>()?.last_changed()),
        encode: |world, id, out| {
            let start = out.len();
            out.extend(id.0.to_le_bytes());
            let encoded = encode_value(&world.get_resource::<R>(), out);
            if encoded.is_err() {
                out.truncate(start);
            }
            encoded
        },
    };
    (message, resource)
}

/// Encodes a message's value in the bytes that are left beside its id.
pub(super) fn encode_value<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), RegistryError> {
    encode_bounded(message, out, MESSAGE_BYTES_MAX - size_of::<u16>()).map(drop)
}

fn decode_boxed<T>(bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    Ok(Box::new(codec::decode_exact::<T>(bytes)?))
}
