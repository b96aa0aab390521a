//! The types that a checkpoint holds: the engine's, the app's own, and those that the protocol marks.

use bevy_app::App;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::{PersistedType, Protocol};

use crate::simulation::{
    Avatar, Away, Eye, EyeHeight, Importance, InputBuffer, Owner, Room, Rounded, Team, ViewHeight, Viewer,
};

/// Registers the types that a checkpoint holds. Implemented by [`App`].
pub trait PersistAppExt {
    /// Makes checkpoints hold this component, or this resource, wherever it is. For what clients are never sent: a
    /// replicated component is marked where it is declared, by
    /// [`persisted`](throng_shared::protocol::registry::ComponentRegistration::persisted). The engine's own components
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
        persisted.add(PersistedType::of::<T>());
        self
    }
}

/// The persisted types: the engine's, then the app's in the order of registration, then the protocol's.
#[derive(Resource, Clone, Debug)]
pub(crate) struct Persisted {
    types: Vec<PersistedType>,
    /// Number of the engine's types. They do not make an entity part of a checkpoint, but are saved on entities that
    /// are part of it for another reason.
    engine: usize,
    /// Whether the list has the types that the protocol marks. They are added once, when the app is complete.
    has_marked: bool,
}

impl Default for Persisted {
    /// Returns the list with the engine's own components.
    fn default() -> Self {
        let types = vec![
            PersistedType::of::<Position>(),
            PersistedType::of::<Velocity>(),
            PersistedType::of::<Heading>(),
            PersistedType::of::<Owner>(),
            PersistedType::of::<Team>(),
            PersistedType::of::<Importance>(),
            PersistedType::of::<Room>(),
            PersistedType::of::<Eye>(),
            PersistedType::of::<Viewer>(),
            PersistedType::of::<Avatar>(),
            PersistedType::of::<InputBuffer>(),
            PersistedType::of::<Away>(),
            PersistedType::of::<ChildOf>(),
            PersistedType::marker::<Disabled>(),
        ];
        let engine = types.len();
        Self {
            types,
            engine,
            has_marked: false,
        }
    }
}

impl Persisted {
    /// Returns the list of a world whose app is complete.
    pub(crate) fn of(world: &mut World) -> Self {
        world.init_resource::<Self>();
        world.resource_scope(|world, mut persisted: Mut<Self>| {
            if !persisted.has_marked
                && let Some(protocol) = world.get_resource::<Protocol>()
            {
                // Types of the engine; the checkpoints of games that do not use them do not list them.
                let mut added = Vec::new();
                if !protocol.predicted().is_empty() {
                    added.push(PersistedType::marker::<Rounded>());
                }
                if protocol.quanta_3d().is_some() {
                    added.push(PersistedType::of::<Position3d>());
                    added.push(PersistedType::of::<Velocity3d>());
                    added.push(PersistedType::of::<Rotation3d>());
                    added.push(PersistedType::of::<EyeHeight>());
                    added.push(PersistedType::of::<ViewHeight>());
                }
                let engine = persisted.engine;
                persisted.engine += added.len();
                persisted.types.splice(engine..engine, added);
                protocol.persisted().for_each(|marked| persisted.add(marked));
                persisted.has_marked = true;
            }
            persisted.clone()
        })
    }

    pub(super) fn types(&self) -> &[PersistedType] {
        &self.types
    }

    /// Returns the types of the app: an entity with one of them is held.
    pub(super) fn app_types(&self) -> &[PersistedType] {
        &self.types[self.engine..]
    }

    /// Returns the index of the type with this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.types.iter().position(|persisted| persisted.name() == name)
    }

    fn add(&mut self, added: PersistedType) {
        if self.index_of(added.name()).is_none() {
            self.types.push(added);
        }
    }
}
