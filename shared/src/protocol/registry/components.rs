//! A registered component: the operations on it where only the registry knows its type.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bevy_ecs::entity::Entity;
use bevy_ecs::prelude::{Component, World};
use bevy_ecs::world::{EntityWorldMut, FilteredEntityRef};

use super::changes::{ChangeScan, Scan};
use super::codecs::{ComponentCodec, encode_bounded};
use super::faults::{Said, ValueFault, round_trip};
use super::persisted::PersistedType;
use super::references::{MapReferences, References};
use super::value::{AnyValue, RegistryError};
use super::visibility::{MaySee, Visibility, Witness};
use crate::hash::Fnv1a;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::protocol::codec::CodecError;
use crate::protocol::ids::ComponentId;

/// A registered component and its operations.
///
/// The operations are those of the component's type; a value of another type is an error.
#[derive(Clone)]
#[non_exhaustive]
pub struct ComponentEntry {
    /// Index in the order of registration.
    pub id: ComponentId,
    /// Path of the component's type.
    pub name: &'static str,
    /// The clients that are sent the component.
    pub visibility: Visibility,
    /// How much sooner a change of it is sent where a client's budget does not suffice for all: 1 is usual.
    pub importance: u8,
    /// Number of whole numbers that form each encoded value; 0 when the value is arbitrary bytes.
    pub numbers: usize,
    pub(super) type_id: TypeId,
    pub(super) may_see: Option<MaySee>,
    pub(super) persisted: Option<PersistedType>,
    codec: Arc<str>,
    /// Whether an example was not encoded alike again.
    is_unordered: bool,
    said: Arc<Said>,
    ops: Arc<dyn ComponentOps>,
}

/// Times that a value is encoded and decoded to find the one that a client decodes.
const ROUNDINGS_MAX: usize = 16;

/// The result of inserting a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The component was inserted, with all its references.
    Complete,
    /// The component refers to an entity that the world does not have. It was inserted with
    /// [`Entity::PLACEHOLDER`] instead, or removed if it is a relationship.
    Dangling,
}

impl ComponentEntry {
    pub(super) fn new<T, C>(id: ComponentId, codec: C) -> Self
    where
        T: Component + Clone,
        C: ComponentCodec<T>,
    {
        let (numbers, name) = (codec.numbers(), codec.name());
        let is_unordered = codec
            .examples()
            .iter()
            .any(|example| matches!(round_trip(&codec, example), Err(ValueFault::Unlike)));
        let ops = Arc::new(Typed::<T, C> {
            codec,
            component: PhantomData,
        });
        Self {
            id,
            name: type_name::<T>(),
            visibility: Visibility::default(),
            importance: 1,
            numbers,
            type_id: TypeId::of::<T>(),
            may_see: None,
            persisted: None,
            codec: name.into(),
            is_unordered,
            said: Arc::default(),
            ops,
        }
    }

    /// Adds what both ends must have alike, besides the name, to a hash.
    pub(super) fn hash_settings(&self, hash: &mut Fnv1a) {
        hash.field(&[self.visibility as u8]);
        hash.field(self.codec.as_bytes());
        hash.field(&(self.numbers as u32).to_le_bytes());
    }

    /// Encodes the value, decodes it and encodes it again. Returns what is wrong with it, unless that was returned for
    /// this type before, in any clone of the registry. For the first [`CHECKED_VALUES`](super::CHECKED_VALUES) values of
    /// the type.
    #[must_use]
    pub fn check(&self, value: &AnyValue) -> Option<ValueFault> {
        let fault = match self.ops.round_trip(value) {
            Ok(()) if self.is_unordered => ValueFault::Unlike,
            Ok(()) => return None,
            Err(fault) => fault,
        };
        self.said.is_new(&fault).then_some(fault)
    }

    /// Returns whether this fault is the first of its kind for this type, in all clones of the registry.
    pub fn is_new_fault(&self, fault: &ValueFault) -> bool {
        self.said.is_new(fault)
    }

    /// Replaces the value by the one that a client decodes. A value that cannot be sent stays as it is.
    pub(super) fn round(&self, value: &mut dyn Any) {
        self.ops.round(value);
    }

    /// Returns whether a client decodes each value without a loss.
    pub(super) fn is_exact(&self) -> bool {
        self.ops.is_exact()
    }

    /// Returns whether the client may see this value of the component.
    #[must_use]
    pub fn may_see(&self, witness: Witness, value: &AnyValue) -> bool {
        match self.visibility {
            Visibility::Everyone => true,
            Visibility::Team => witness.is_mate(),
            Visibility::Owner => witness.is_owner(),
            Visibility::Custom => self.may_see.as_ref().is_some_and(|rule| rule.ask(witness, value)),
        }
    }

    /// Returns the component's id in this world, for queries built at run time.
    pub fn register(&self, world: &mut World) -> bevy_ecs::component::ComponentId {
        self.ops.register(world)
    }

    /// Returns a copy of the entity's component, if it has it, with its references replaced by `map`.
    #[must_use]
    pub fn read(
        &self,
        entity: &FilteredEntityRef<'_, '_>,
        map: &mut MapReferences<'_>,
    ) -> Option<Arc<AnyValue>> {
        self.ops.read(entity, map)
    }

    /// Returns a new scan for changes of this component, for one world.
    #[must_use]
    pub fn changes(&self) -> Box<dyn ChangeScan> {
        self.ops.changes()
    }

    /// Appends the encoded value to `out` and returns its number of bytes.
    ///
    /// # Errors
    /// [`RegistryError::WrongType`], or [`RegistryError::Codec`] when it cannot be encoded in
    /// [`COMPONENT_BYTES_MAX`]; `out` is then unchanged.
    pub fn encode(&self, value: &dyn Any, out: &mut Vec<u8>) -> Result<usize, RegistryError> {
        self.ops.encode(value, out)
    }

    /// Decodes a value that takes all of `bytes`. Its references stay in the form in which they travel.
    ///
    /// # Errors
    /// [`RegistryError::Codec`] when the bytes are not a value.
    pub fn decode(&self, bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError> {
        self.ops.decode(bytes)
    }

    /// Decodes a value, replaces its references by `map` and inserts it into the entity. `map` returns
    /// [`Entity::PLACEHOLDER`] for an entity that it does not know.
    ///
    /// # Errors
    /// [`RegistryError::Codec`]; the entity is then unchanged.
    pub fn insert(
        &self,
        entity: &mut EntityWorldMut<'_>,
        bytes: &[u8],
        map: &mut MapReferences<'_>,
    ) -> Result<Inserted, RegistryError> {
        self.ops.insert(entity, bytes, map)
    }

    /// Removes the component from the entity, if it has it.
    pub fn remove(&self, entity: &mut EntityWorldMut<'_>) {
        self.ops.remove(entity);
    }
}

impl fmt::Debug for ComponentEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentEntry")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("visibility", &self.visibility)
            .field("importance", &self.importance)
            .finish_non_exhaustive()
    }
}

/// The operations on a component, without its type.
trait ComponentOps: Send + Sync {
    fn round_trip(&self, value: &dyn Any) -> Result<(), ValueFault>;
    fn round(&self, value: &mut dyn Any);
    fn is_exact(&self) -> bool;
    fn register(&self, world: &mut World) -> bevy_ecs::component::ComponentId;
    fn read(&self, entity: &FilteredEntityRef<'_, '_>, map: &mut MapReferences<'_>) -> Option<Arc<AnyValue>>;
    fn changes(&self) -> Box<dyn ChangeScan>;
    fn encode(&self, value: &dyn Any, out: &mut Vec<u8>) -> Result<usize, RegistryError>;
    fn decode(&self, bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError>;
    fn insert(
        &self,
        entity: &mut EntityWorldMut<'_>,
        bytes: &[u8],
        map: &mut MapReferences<'_>,
    ) -> Result<Inserted, RegistryError>;
    fn remove(&self, entity: &mut EntityWorldMut<'_>);
}

struct Typed<T, C> {
    codec: C,
    component: PhantomData<fn(T)>,
}

impl<T: Component + Clone, C: ComponentCodec<T>> Typed<T, C> {
    fn decode_value(&self, bytes: &[u8]) -> Result<T, RegistryError> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            return Err(CodecError::TooLong {
                bytes: bytes.len(),
                max: COMPONENT_BYTES_MAX,
            }
            .into());
        }
        Ok(self.codec.decode(bytes)?)
    }
}

impl<T: Component + Clone, C: ComponentCodec<T>> ComponentOps for Typed<T, C> {
    fn round_trip(&self, value: &dyn Any) -> Result<(), ValueFault> {
        // A value of another type is a defect of the caller, which encoding reports.
        value
            .downcast_ref::<T>()
            .map_or(Ok(()), |value| round_trip(&self.codec, value))
    }

    fn round(&self, value: &mut dyn Any) {
        let value = value.downcast_mut::<T>().filter(|_| !self.codec.is_exact());
        let Some(value) = value else { return };
        let (mut bytes, mut before) = (Vec::new(), Vec::new());
        // A format that cuts off digits encodes what it has decoded to other bytes, which are what is sent then.
        for _ in 0..ROUNDINGS_MAX {
            bytes.clear();
            if encode_bounded(&self.codec, value, &mut bytes).is_err() || bytes == before {
                return;
            }
            let Ok(rounded) = self.codec.decode(&bytes) else {
                return;
            };
            *value = rounded;
            std::mem::swap(&mut bytes, &mut before);
        }
    }

    fn is_exact(&self) -> bool {
        self.codec.is_exact()
    }

    fn register(&self, world: &mut World) -> bevy_ecs::component::ComponentId {
        world.register_component::<T>()
    }

    fn read(&self, entity: &FilteredEntityRef<'_, '_>, map: &mut MapReferences<'_>) -> Option<Arc<AnyValue>> {
        let mut value = entity.get::<T>()?.clone();
        T::map_entities(&mut value, &mut References(map));
        Some(Arc::new(value))
    }

    fn changes(&self) -> Box<dyn ChangeScan> {
        Box::new(Scan::<T>::default())
    }

    fn encode(&self, value: &dyn Any, out: &mut Vec<u8>) -> Result<usize, RegistryError> {
        let value = value
            .downcast_ref::<T>()
            .ok_or(RegistryError::WrongType(type_name::<T>()))?;
        Ok(encode_bounded(&self.codec, value, out)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Box<AnyValue>, RegistryError> {
        Ok(Box::new(self.decode_value(bytes)?))
    }

    fn insert(
        &self,
        entity: &mut EntityWorldMut<'_>,
        bytes: &[u8],
        map: &mut MapReferences<'_>,
    ) -> Result<Inserted, RegistryError> {
        let mut value = self.decode_value(bytes)?;
        let (mut inserted, mut has_placeholder) = (Inserted::Complete, false);
        let mut replace = |reference| {
            let mapped = map(reference);
            has_placeholder |= mapped == Entity::PLACEHOLDER;
            // A reference that was sent as the placeholder refers to no entity on purpose.
            if mapped == Entity::PLACEHOLDER && reference != Entity::PLACEHOLDER {
                inserted = Inserted::Dangling;
            }
            mapped
        };
        T::map_entities(&mut value, &mut References(&mut replace));
        // Bevy would remove a relationship to the placeholder again, with a warning or a panic.
        if has_placeholder && T::relationship_accessor().is_some() {
            entity.remove::<T>();
        } else {
            entity.insert(value);
        }
        Ok(inserted)
    }

    fn remove(&self, entity: &mut EntityWorldMut<'_>) {
        entity.remove::<T>();
    }
}
