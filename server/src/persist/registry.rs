//! The types that a checkpoint holds, and how each is encoded, decoded and inserted.

use std::any::type_name;

use bevy_app::App;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::entity::EntityMapper;
use bevy_ecs::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use crate::simulation::{Avatar, Eye, Importance, InputBuffer, Owner, Room, Team, Viewer};

/// Registers the types that a checkpoint holds. Implemented by [`App`].
pub trait PersistAppExt {
    /// Makes checkpoints hold this component, or this resource, wherever it is. The engine's own components
    /// are registered already, and registering a type twice is the same as once.
    ///
    /// Fields that refer to entities are marked `#[entities]`, so that they lead to the same entities in the
    /// restored world. (A resource also derives [`MapEntities`](bevy_ecs::entity::MapEntities), which
    /// provides that attribute.) A reference to an entity that the checkpoint does not hold becomes
    /// [`Entity::PLACEHOLDER`].
    fn persist<T>(&mut self) -> &mut Self
    where
        T: Component + Serialize + DeserializeOwned + Clone;
}

impl PersistAppExt for App {
    fn persist<T>(&mut self) -> &mut Self
    where
        T: Component + Serialize + DeserializeOwned + Clone,
    {
        let mut persisted = self.world_mut().get_resource_or_init::<Persisted>();
        persisted.add::<T>(Marker::App);
        self
    }
}

/// The persisted types, in the order of registration.
#[derive(Resource, Clone, Debug)]
pub(crate) struct Persisted {
    entries: Vec<PersistEntry>,
}

impl Default for Persisted {
    /// Returns the list with the engine's own components.
    fn default() -> Self {
        let mut persisted = Self { entries: Vec::new() };
        persisted.add::<Position>(Marker::Engine);
        persisted.add::<Velocity>(Marker::Engine);
        persisted.add::<Heading>(Marker::Engine);
        persisted.add::<Owner>(Marker::Engine);
        persisted.add::<Team>(Marker::Engine);
        persisted.add::<Importance>(Marker::Engine);
        persisted.add::<Room>(Marker::Engine);
        persisted.add::<Eye>(Marker::Engine);
        persisted.add::<Viewer>(Marker::Engine);
        persisted.add::<Avatar>(Marker::Engine);
        persisted.add::<InputBuffer>(Marker::Engine);
        persisted.add::<ChildOf>(Marker::Engine);
        persisted
    }
}

/// Whether the engine or the app registered a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The engine: the component is held if its entity is held for another reason.
    Engine,
    /// The app: an entity with the component is held.
    App,
}

/// One registered type and how its values are saved and loaded.
#[derive(Clone, Debug)]
pub(super) struct PersistEntry {
    /// The path of the type, which is its name in a checkpoint.
    pub(super) name: &'static str,
    pub(super) marker: Marker,
    /// Returns the component's id in a world.
    pub(super) register: fn(&mut World) -> WorldComponentId,
    /// Appends the value of an entity, and returns whether it has one.
    pub(super) encode: fn(EntityRef<'_>, &mut dyn EntityMapper, &mut Vec<u8>) -> Result<bool, CodecError>,
    pub(super) decode: fn(&[u8]) -> Result<Box<dyn Decoded>, CodecError>,
}

/// A decoded value that waits to be inserted into its entity.
pub(super) trait Decoded: Send {
    /// Puts it into `entity`, its references mapped.
    fn insert(self: Box<Self>, entity: &mut EntityWorldMut<'_>, references: &mut dyn EntityMapper);
}

struct DecodedValue<T>(T);

impl<T: Component> Decoded for DecodedValue<T> {
    fn insert(mut self: Box<Self>, entity: &mut EntityWorldMut<'_>, mut references: &mut dyn EntityMapper) {
        T::map_entities(&mut self.0, &mut references);
        entity.insert(self.0);
    }
}

impl Persisted {
    pub(super) fn entries(&self) -> &[PersistEntry] {
        &self.entries
    }

    /// Returns the index of the type with this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    fn add<T>(&mut self, marker: Marker)
    where
        T: Component + Serialize + DeserializeOwned + Clone,
    {
        let name = type_name::<T>();
        if self.index_of(name).is_none() {
            self.entries.push(PersistEntry {
                name,
                marker,
                register: |world| world.register_component::<T>(),
                encode: encode::<T>,
                decode: |bytes| Ok(Box::new(DecodedValue(codec::decode_state_exact::<T>(bytes)?))),
            });
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
