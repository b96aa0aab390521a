//! The registry: which components, inputs and messages the two ends exchange.
//!
//! Filled while the app is built, by the same plugin on both ends; read-only afterwards, when net
//! workers share a copy. Ids are the order of registration, so both ends must register in the same
//! order; the [protocol hash](Protocol::hash) tells when they did not. Knows nothing about who is
//! connected or what was sent. `Position`, `Velocity` and `Heading` are built in as the
//! [`Pose`](super::pose::Pose), and are not registered.

mod changes;
mod register;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;

use bevy_ecs::prelude::{Component, Resource, World};
use bevy_ecs::world::{EntityWorldMut, FilteredEntityRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WIRE_VERSION;
use super::codec::{self, CodecError};
use super::ids::{Channel, ComponentId, MessageId};
use super::input::{InputBytes, PlayerInput};
use super::pose::{POSITION_QUANTUM, VELOCITY_QUANTUM, YAW_STEPS};
use super::version::{ProtocolHash, ProtocolHasher, ProtocolVersion, Release};
use crate::limits::{INPUT_BYTES_MAX, MESSAGE_BYTES_MAX};

pub use changes::ChangeScan;
pub use register::{ComponentRegistration, ProtocolAppExt};

/// A value whose type only the registry knows.
pub type AnyValue = dyn Any + Send + Sync;

/// Who is sent a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Visibility {
    /// Every client that sees the entity.
    #[default]
    Everyone = 0,
    /// Clients of the entity's team.
    Team = 1,
    /// The client that owns the entity.
    Owner = 2,
}

/// A registered component.
///
/// The functions are those of the component's type; a value of another type is an error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComponentEntry {
    /// Place in the order of registration.
    pub id: ComponentId,
    /// Path of the type.
    pub name: &'static str,
    /// Who is sent it.
    pub visibility: Visibility,
    type_id: TypeId,
    register: fn(&mut World) -> bevy_ecs::component::ComponentId,
    read: fn(&FilteredEntityRef<'_, '_>) -> Option<Arc<AnyValue>>,
    changes: fn() -> Box<dyn ChangeScan>,
    encode: fn(&dyn Any, &mut Vec<u8>) -> Result<usize, RegistryError>,
    decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
    insert: fn(&mut EntityWorldMut<'_>, &[u8]) -> Result<(), RegistryError>,
    remove: fn(&mut EntityWorldMut<'_>),
}

impl ComponentEntry {
    /// The component's id in this world, for queries built at run time.
    pub fn register(&self, world: &mut World) -> bevy_ecs::component::ComponentId {
        (self.register)(world)
    }

    /// A copy of the entity's component, if it has it.
    #[must_use]
    pub fn read(&self, entity: &FilteredEntityRef<'_, '_>) -> Option<Arc<AnyValue>> {
        (self.read)(entity)
    }

    /// A new scan for changes of this component, for one world.
    #[must_use]
    pub fn changes(&self) -> Box<dyn ChangeScan> {
        (self.changes)()
    }

    /// Appends the encoded value to `out` and answers how many bytes it has.
    ///
    /// # Errors
    /// [`RegistryError::WrongType`], or [`RegistryError::Codec`] when it cannot be encoded in
    /// [`COMPONENT_BYTES_MAX`](crate::limits::COMPONENT_BYTES_MAX); `out` is then as before.
    pub fn encode(&self, value: &dyn Any, out: &mut Vec<u8>) -> Result<usize, RegistryError> {
        (self.encode)(value, out)
    }

    /// Decodes a value that takes all of `bytes`.
    ///
    /// # Errors
    /// [`RegistryError::Codec`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError> {
        (self.decode)(bytes)
    }

    /// Decodes a value and inserts it into the entity.
    ///
    /// # Errors
    /// [`RegistryError::Codec`]; the entity is then as before.
    pub fn insert(&self, entity: &mut EntityWorldMut<'_>, bytes: &[u8]) -> Result<(), RegistryError> {
        (self.insert)(entity, bytes)
    }

    /// Removes the component from the entity, if it has it.
    pub fn remove(&self, entity: &mut EntityWorldMut<'_>) {
        (self.remove)(entity);
    }
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
    type_id: TypeId,
    decode: fn(&[u8]) -> Result<Box<AnyValue>, RegistryError>,
}

#[derive(Clone, Debug)]
struct InputEntry {
    name: &'static str,
    type_id: TypeId,
    neutral: InputBytes,
    validate: fn(&[u8]) -> Result<(), RegistryError>,
}

/// Why the registry refuses a value or bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The bytes are not a value of the type, or the value cannot be encoded in the room it has.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The value is not of the registered type.
    #[error("the value is not a {0}")]
    WrongType(&'static str),
    /// The type was not registered.
    #[error("{0} is not registered in the protocol")]
    Unregistered(&'static str),
    /// No message has this id.
    #[error("no message has the id {0}")]
    UnknownMessage(u16),
    /// The message came through another channel than it is registered for.
    #[error("{name} came through channel {came:?}, not {registered:?}")]
    WrongChannel {
        /// The message.
        name: &'static str,
        /// The channel it came through.
        came: Channel,
        /// The channel it is registered for.
        registered: Channel,
    },
    /// The input decodes, but its type refuses the values.
    #[error("the input is not valid: {0}")]
    InvalidInput(&'static str),
}

/// The registry, a resource of the app; net workers hold it in an `Arc`.
#[derive(Resource, Clone, Debug, Default)]
pub struct Protocol {
    components: Vec<ComponentEntry>,
    messages: Vec<MessageEntry>,
    input: Option<InputEntry>,
}

impl Protocol {
    /// Registered components, by ascending id.
    #[inline]
    #[must_use]
    pub fn components(&self) -> &[ComponentEntry] {
        &self.components
    }

    /// The component with this id.
    #[inline]
    #[must_use]
    pub fn component(&self, id: ComponentId) -> Option<&ComponentEntry> {
        self.components.get(usize::from(id.0))
    }

    /// The component of this type.
    #[must_use]
    pub fn component_of<T: Component>(&self) -> Option<&ComponentEntry> {
        self.components
            .iter()
            .find(|entry| entry.type_id == TypeId::of::<T>())
    }

    /// Registered messages, by ascending id.
    #[must_use]
    pub fn messages(&self) -> &[MessageEntry] {
        &self.messages
    }

    /// Appends the message, as it goes into its channel, and answers which channel that is.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], or [`RegistryError::Codec`] when it cannot be encoded in
    /// [`MESSAGE_BYTES_MAX`]; `out` is then as before.
    pub fn encode_message<M>(&self, message: &M, out: &mut Vec<u8>) -> Result<Channel, RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let entry = self
            .messages
            .iter()
            .find(|entry| entry.type_id == TypeId::of::<M>());
        let entry = entry.ok_or(RegistryError::Unregistered(type_name::<M>()))?;
        let start = out.len();
        out.extend(entry.id.0.to_le_bytes());
        let encoded = encode_bounded(message, out, MESSAGE_BYTES_MAX - size_of::<u16>());
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded.map(|_| entry.channel)
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
        Ok((entry, (entry.decode)(value)?))
    }

    /// The registered input type's default, encoded; empty without an input type.
    #[must_use]
    pub fn neutral_input(&self) -> InputBytes {
        self.input
            .as_ref()
            .map_or_else(InputBytes::default, |entry| entry.neutral)
    }

    /// Checks an encoded input of a client: it decodes, takes all bytes, and its type accepts it.
    ///
    /// # Errors
    /// [`RegistryError::Codec`], [`RegistryError::InvalidInput`], and
    /// [`RegistryError::Unregistered`] when the game has no input.
    pub fn validate_input(&self, input: &[u8]) -> Result<(), RegistryError> {
        let entry = self
            .input
            .as_ref()
            .ok_or(RegistryError::Unregistered("an input"))?;
        (entry.validate)(input)
    }

    /// Encodes an input of the registered type.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], [`RegistryError::Codec`].
    pub fn encode_input<I: PlayerInput>(&self, input: &I) -> Result<InputBytes, RegistryError> {
        self.input_entry::<I>()?;
        encode_input(input)
    }

    /// Decodes an input of the registered type and validates it.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], [`RegistryError::Codec`], [`RegistryError::InvalidInput`].
    pub fn decode_input<I: PlayerInput>(&self, input: &[u8]) -> Result<I, RegistryError> {
        self.input_entry::<I>()?;
        decode_input(input)
    }

    /// Hash over names, their order, visibilities, channels, quanta and the wire version.
    #[must_use]
    pub fn hash(&self) -> ProtocolHash {
        let mut hasher = ProtocolHasher::new();
        hasher.field(&WIRE_VERSION.to_le_bytes());
        hasher.field(&POSITION_QUANTUM.to_bits().to_le_bytes());
        hasher.field(&VELOCITY_QUANTUM.to_bits().to_le_bytes());
        hasher.field(&YAW_STEPS.to_le_bytes());
        hasher.field(b"components");
        for entry in &self.components {
            hasher.field(entry.name.as_bytes());
            hasher.field(&[entry.visibility as u8]);
        }
        hasher.field(b"messages");
        for entry in &self.messages {
            hasher.field(entry.name.as_bytes());
            hasher.field(&[entry.channel as u8]);
        }
        hasher.field(b"input");
        hasher.field(self.input.as_ref().map_or("", |entry| entry.name).as_bytes());
        hasher.finish()
    }

    /// The hash together with this crate's release.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        ProtocolVersion {
            hash: self.hash(),
            release: Release::CURRENT,
        }
    }

    fn input_entry<I: PlayerInput>(&self) -> Result<&InputEntry, RegistryError> {
        let entry = self
            .input
            .as_ref()
            .filter(|entry| entry.type_id == TypeId::of::<I>());
        entry.ok_or(RegistryError::Unregistered(type_name::<I>()))
    }
}

fn encode_bounded<T: Serialize>(value: &T, out: &mut Vec<u8>, max: usize) -> Result<usize, RegistryError> {
    let start = out.len();
    let bytes = codec::encode_into(value, out)?;
    if bytes > max {
        out.truncate(start);
        return Err(CodecError::TooLong { bytes, max }.into());
    }
    Ok(bytes)
}

fn decode_boxed<T>(bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    Ok(Box::new(codec::decode_exact::<T>(bytes)?))
}

fn encode_input<I: PlayerInput>(input: &I) -> Result<InputBytes, RegistryError> {
    let mut room = [0; INPUT_BYTES_MAX];
    let bytes = codec::encode_slice(input, &mut room)?;
    InputBytes::new(&room[..bytes]).ok_or(
        CodecError::TooLong {
            bytes,
            max: INPUT_BYTES_MAX,
        }
        .into(),
    )
}

fn decode_input<I: PlayerInput>(bytes: &[u8]) -> Result<I, RegistryError> {
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(CodecError::TooLong {
            bytes: bytes.len(),
            max: INPUT_BYTES_MAX,
        }
        .into());
    }
    let input: I = codec::decode_exact(bytes)?;
    input.validate().map_err(RegistryError::InvalidInput)?;
    Ok(input)
}
