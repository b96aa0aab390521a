//! The registry: which components, inputs and messages the two ends exchange.
//!
//! Filled while the app is built, by the same plugin on both ends. Read-only afterwards, when net workers
//! share a copy. Ids are the order of registration, so both ends must register in the same order; the
//! [protocol hash](Protocol::hash) differs when they did not. Knows nothing of clients or of what was sent.
//! `Position`, `Velocity` and `Heading` are built in as the [`Pose`](super::pose::Pose), and are not
//! registered, nor are those of the [`Pose3d`](super::pose3d::Pose3d) of a game in three dimensions.

mod bounds;
mod changes;
mod codecs;
mod components;
mod delivery;
mod faults;
mod messages;
mod parts;
mod persisted;
mod predicted;
mod references;
mod register;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod tests;
mod value;
mod visibility;

use std::any::{TypeId, type_name};
use std::sync::Arc;

use bevy_ecs::prelude::{Component, Resource, World};
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;

use super::WIRE_VERSION;
use super::codec::{self, CodecError};
use super::ids::ComponentId;
use super::input::{InputBytes, PlayerInput};
use super::pose::{POSITION_QUANTUM, VELOCITY_QUANTUM, YAW_STEPS};
use super::pose3d::Quanta3d;
use super::steps::ComponentFormats;
use super::version::{ProtocolHash, ProtocolVersion, Release};
use crate::hash::Fnv1a;
use crate::limits::INPUT_BYTES_MAX;

use faults::Said;
use predicted::is_of_pose;

pub use bounds::{SerdeComponent, SerdeMessage, SerdeResource};
pub use changes::ChangeScan;
pub use codecs::{ComponentCodec, Custom, Delta, Serde};
pub use components::{ComponentEntry, Inserted};
pub use faults::{CHECKED_VALUES, ValueFault};
pub use messages::{Direction, FromPlayer, FromServer, MessageEntry, ResourceEntry};
pub use parts::ProtocolParts;
pub use persisted::{DecodedValue, PersistedType};
pub use predicted::PredictedType;
pub use references::{MapInWorld, MapReferences, reference, referenced};
pub use register::{ComponentRegistration, ProtocolAppExt};
pub use value::{AnyValue, RegistryError};
pub use visibility::{Visibility, VisibilityRule, Witness};

#[derive(Clone, Debug)]
struct InputEntry {
    name: &'static str,
    type_id: TypeId,
    neutral: InputBytes,
    shape: Arc<str>,
    said: Arc<Said>,
    validate: fn(&[u8]) -> Result<(), RegistryError>,
    add_decoder: fn(&mut World) -> ScheduleConfigs<ScheduleSystem>,
}

/// The registry, a resource of the app; net workers hold it in an `Arc`.
#[derive(Resource, Clone, Debug, Default)]
pub struct Protocol {
    components: Vec<ComponentEntry>,
    messages: Vec<MessageEntry>,
    resources: Vec<ResourceEntry>,
    input: Option<InputEntry>,
    version: Option<Release>,
    predicted: Vec<PredictedType>,
    quanta_3d: Option<Quanta3d>,
}

impl Protocol {
    /// Returns the registered components, by ascending id.
    #[inline]
    #[must_use]
    pub fn components(&self) -> &[ComponentEntry] {
        &self.components
    }

    /// Returns the component with this id.
    #[inline]
    #[must_use]
    pub fn component(&self, id: ComponentId) -> Option<&ComponentEntry> {
        self.components.get(usize::from(id.0))
    }

    /// Returns the component of this type.
    #[must_use]
    pub fn component_of<T: Component>(&self) -> Option<&ComponentEntry> {
        self.components
            .iter()
            .find(|entry| entry.type_id == TypeId::of::<T>())
    }

    /// Iterates over the components that are marked as persisted, by ascending id.
    pub fn persisted(&self) -> impl Iterator<Item = PersistedType> {
        self.components.iter().filter_map(|entry| entry.persisted)
    }

    /// Returns the components that are listed as predicted, in the order of the calls.
    #[must_use]
    pub fn predicted(&self) -> &[PredictedType] {
        &self.predicted
    }

    /// Returns the rounding of `T`, if it is listed as predicted.
    #[must_use]
    pub fn predicted_of<T: Component>(&self) -> Option<&PredictedType> {
        let type_id = TypeId::of::<T>();
        self.predicted.iter().find(|predicted| predicted.is_of(type_id))
    }

    /// Returns whether a value of `T` may lose digits when it is sent: it is part of the pose, or its codec rounds.
    #[must_use]
    pub fn loses_digits<T: Component>(&self) -> bool {
        is_of_pose(TypeId::of::<T>()) || self.component_of::<T>().is_some_and(|entry| !entry.is_exact())
    }

    /// Returns the steps in which poses are sent in a game in three dimensions; `None` on the plane.
    #[inline]
    #[must_use]
    pub fn quanta_3d(&self) -> Option<Quanta3d> {
        self.quanta_3d
    }

    /// Returns the formats in which the components are sent.
    #[must_use]
    pub fn formats(&self) -> ComponentFormats {
        ComponentFormats::new(self.components.iter().map(|entry| entry.numbers))
    }

    /// Returns the registered input type's default, encoded; empty without an input type.
    #[must_use]
    pub fn neutral_input(&self) -> InputBytes {
        self.input
            .as_ref()
            .map_or_else(InputBytes::default, |entry| entry.neutral)
    }

    /// Checks an encoded input of a client: it must decode, take all bytes, and be accepted by its type.
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

    /// Returns what is wrong with an input that was just encoded with this result, if that was not returned before. Of the
    /// first [`CHECKED_VALUES`] inputs each is decoded and validated, as the server does.
    #[must_use]
    pub fn input_fault(&self, encoded: &Result<InputBytes, RegistryError>) -> Option<ValueFault> {
        let entry = self.input.as_ref()?;
        let bytes = encoded.as_ref().map_or(&[][..], InputBytes::as_slice);
        let error = encoded.as_ref().err();
        entry.said.fault_of(error, bytes, INPUT_BYTES_MAX, entry.validate)
    }

    /// Returns the path of the input type; empty without one.
    #[must_use]
    pub fn input_name(&self) -> &'static str {
        self.input.as_ref().map_or("", |entry| entry.name)
    }

    /// Decodes an input of the registered type and validates it.
    ///
    /// # Errors
    /// [`RegistryError::Unregistered`], [`RegistryError::Codec`], [`RegistryError::InvalidInput`].
    pub fn decode_input<I: PlayerInput>(&self, input: &[u8]) -> Result<I, RegistryError> {
        self.input_entry::<I>()?;
        decode_input(input)
    }

    /// Gives everything with a [`TakenInput`](super::active::TakenInput) an
    /// [`ActiveInput`](super::active::ActiveInput) of the registered type. Returns the system that decodes
    /// the one into the other; `None` without an input type. For the server, once, before there are players.
    pub fn add_input_decoder(&self, world: &mut World) -> Option<ScheduleConfigs<ScheduleSystem>> {
        self.input.as_ref().map(|entry| (entry.add_decoder)(world))
    }

    /// Returns a hash over names, their order, shapes, visibilities, codecs, channels, directions, quanta, the game's
    /// version and the wire version.
    ///
    /// The shape of a type is what serde reads for it: names and order of fields and variants, and every number's format.
    /// It covers components that are sent by serde, inputs, messages and resources. A component with a codec of its own
    /// counts by the codec's name.
    #[must_use]
    pub fn hash(&self) -> ProtocolHash {
        let mut hash = Fnv1a::default();
        self.hash_packets(&mut hash);
        hash.field(b"components");
        for entry in &self.components {
            hash.field(entry.name.as_bytes());
            entry.hash_settings(&mut hash);
        }
        hash.field(b"messages");
        for entry in &self.messages {
            hash.field(entry.name.as_bytes());
            entry.hash_settings(&mut hash);
        }
        hash.field(b"input");
        hash.field(self.input_name().as_bytes());
        hash.field(self.input.as_ref().map_or("", |entry| &*entry.shape).as_bytes());
        for predicted in &self.predicted {
            hash.field(b"predicted");
            hash.field(predicted.name().as_bytes());
        }
        hash.field(b"version");
        hash.field(self.version.as_ref().map_or(&[][..], Release::as_bytes));
        ProtocolHash(hash.finish())
    }

    /// Returns the hash together with the game's version, or with this crate's release if the game gave none.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        ProtocolVersion {
            hash: self.hash(),
            release: self.version.unwrap_or(Release::CURRENT),
        }
    }

    /// Adds the formats of Throng's own packets to a hash.
    fn hash_packets(&self, hash: &mut Fnv1a) {
        hash.field(&WIRE_VERSION.to_le_bytes());
        hash.field(&POSITION_QUANTUM.to_bits().to_le_bytes());
        hash.field(&VELOCITY_QUANTUM.to_bits().to_le_bytes());
        hash.field(&YAW_STEPS.to_le_bytes());
        if let Some(quanta) = self.quanta_3d {
            hash.field(b"poses in three dimensions");
            hash.field(&quanta.position().to_bits().to_le_bytes());
            hash.field(&quanta.velocity().to_bits().to_le_bytes());
            hash.field(&quanta.rotation_bits().to_le_bytes());
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

fn encode_input<I: PlayerInput>(input: &I) -> Result<InputBytes, RegistryError> {
    let mut room = [0; INPUT_BYTES_MAX];
    let Ok(bytes) = codec::encode_slice(input, &mut room) else {
        // Once more, to say how long it is.
        let bytes =
            codec::encode_into(input, &mut Vec::new()).map_err(|error| error.within(INPUT_BYTES_MAX))?;
        let max = INPUT_BYTES_MAX;
        return Err(CodecError::TooLong { bytes, max }.into());
    };
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
