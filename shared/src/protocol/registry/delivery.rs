//! Messages between a value and the bytes that travel by renet's channels.
//!
//! A message is two bytes of its id and its value.

use std::any::{TypeId, type_name};

use bevy_ecs::entity::Entity;
use bevy_ecs::prelude::World;
use serde::Serialize;

use super::Protocol;
use super::faults::ValueFault;
use super::messages::{
    Direction, MapEncoded, MessageEntry, ResourceEntry, encode_value, message_value_fault,
};
use super::references::{MapInWorld, MapReferences, referenced};
use super::value::{AnyValue, RegistryError};
use crate::limits::MESSAGE_VALUE_BYTES_MAX;
use crate::protocol::codec::CodecError;
use crate::protocol::ids::{Channel, GlobalId, MessageId};

impl Protocol {
    /// Returns the registered messages, by ascending id.
    #[must_use]
    pub fn messages(&self) -> &[MessageEntry] {
        &self.messages
    }

    /// Returns the replicated resources, in the order of registration.
    #[must_use]
    pub fn resources(&self) -> &[ResourceEntry] {
        &self.resources
    }

    /// Appends the message in its wire form and returns its channel. References to entities in it are encoded as they
    /// are.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], or [`RegistryError::Codec`] when it cannot be encoded in
    /// [`MESSAGE_BYTES_MAX`](crate::limits::MESSAGE_BYTES_MAX); `out` is then unchanged.
    pub fn encode_message<M>(&self, message: &M, out: &mut Vec<u8>) -> Result<Channel, RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.encode_message_with(message, &mut |entity| entity, out)
            .map(|entry| entry.channel)
    }

    /// Encodes a message like [`Protocol::encode_message`], with its references replaced by `map`, and returns
    /// the message's entry.
    ///
    /// # Errors
    /// The same as of [`Protocol::encode_message`].
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

    /// Returns what is wrong with a message that was just encoded with this result, if that was not returned before for
    /// this type. Of the first [`CHECKED_VALUES`](super::CHECKED_VALUES) messages each is decoded again.
    #[must_use]
    pub fn message_fault<M: 'static>(
        &self,
        encoded: &Result<&MessageEntry, RegistryError>,
        message: &[u8],
    ) -> Option<ValueFault> {
        let entry = match encoded {
            Ok(entry) => *entry,
            Err(_) => self.message_of::<M>().ok()?,
        };
        message_value_fault(encoded.as_ref().err(), message, entry.decode, &entry.said)
    }

    /// Returns the type of a received message that cannot be decoded and the fault, if it is the first of that type.
    #[must_use]
    pub fn received_fault(
        &self,
        message: &[u8],
        error: &RegistryError,
    ) -> Option<(&'static str, ValueFault)> {
        let (entry, value) = self.entry_in(message).ok()?;
        let RegistryError::Codec(_) = error else {
            return None;
        };
        let fault = ValueFault::decode(value.len(), MESSAGE_VALUE_BYTES_MAX, error);
        entry.said.is_new(&fault).then_some((entry.name, fault))
    }

    /// Decodes a message that came through `channel`, into a value of its registered type.
    ///
    /// # Errors
    /// [`RegistryError::UnknownMessage`], [`RegistryError::WrongChannel`], or [`RegistryError::Codec`] when
    /// the bytes are not a value of that type.
    pub fn decode_message(
        &self,
        channel: Channel,
        bytes: &[u8],
    ) -> Result<(&MessageEntry, Box<AnyValue>), RegistryError> {
        let (entry, value) = self.open_message(channel, bytes)?;
        Ok((entry, (entry.decode)(value)?))
    }

    /// Writes a player's message into the world as a [`FromPlayer`](super::FromPlayer).
    ///
    /// # Errors
    /// Those of [`Protocol::decode_message`], and [`RegistryError::WrongDirection`] when players may not send
    /// it.
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

    /// Writes the server's message into the world as a [`FromServer`](super::FromServer), or updates the resource that it
    /// carries.
    ///
    /// # Errors
    /// Those of [`Protocol::decode_message`], and [`RegistryError::WrongDirection`] when the server may not
    /// send it.
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

    /// Returns the entities to which a message or the resource in it refers, each once; none if it cannot be decoded.
    #[must_use]
    pub fn references_in(&self, message: &[u8]) -> Vec<GlobalId> {
        let Some((map, value)) = self.map_encoded(message) else {
            return Vec::new();
        };
        let mut globals = Vec::new();
        let mut note = |entity| {
            if let Some(global) = referenced(entity)
                && !globals.contains(&global)
            {
                globals.push(global);
            }
            entity
        };
        // The globals of a message that does not decode are of no use.
        match map(value, &mut note, &mut Vec::new()) {
            Ok(()) => globals,
            Err(_) => Vec::new(),
        }
    }

    /// Returns the encoded message with its references replaced by `map`; the same bytes if its type has none.
    ///
    /// # Errors
    /// [`RegistryError::Codec`] when the bytes are not a value of the type, or the result does not fit a message.
    pub fn map_references(
        &self,
        message: &[u8],
        map: &mut MapReferences<'_>,
    ) -> Result<Vec<u8>, RegistryError> {
        let Some((map_encoded, value)) = self.map_encoded(message) else {
            return Ok(message.to_vec());
        };
        let mut mapped = message[..size_of::<u16>()].to_vec();
        map_encoded(value, map, &mut mapped)?;
        Ok(mapped)
    }

    /// Returns the id of the resource that a message carries; `None` if it carries none.
    #[must_use]
    pub fn resource_in(&self, message: &[u8]) -> Option<MessageId> {
        let id = MessageId(u16::from_le_bytes(*message.first_chunk()?));
        self.resources.iter().any(|entry| entry.id == id).then_some(id)
    }

    fn map_encoded<'a>(&self, message: &'a [u8]) -> Option<(MapEncoded, &'a [u8])> {
        let (entry, value) = self.entry_in(message).ok()?;
        Some((entry.map_encoded?, value))
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
        let (entry, value) = self.entry_in(bytes)?;
        if entry.channel != channel {
            let (name, registered) = (entry.name, entry.channel);
            return Err(RegistryError::WrongChannel {
                name,
                received: channel,
                registered,
            });
        }
        Ok((entry, value))
    }

    /// Returns the type of a message and its encoded value.
    fn entry_in<'a>(&self, message: &'a [u8]) -> Result<(&MessageEntry, &'a [u8]), RegistryError> {
        let (id, value) = message.split_first_chunk().ok_or(CodecError::TooShort)?;
        let id = u16::from_le_bytes(*id);
        let entry = self.messages.get(usize::from(id));
        Ok((entry.ok_or(RegistryError::UnknownMessage(id))?, value))
    }
}
