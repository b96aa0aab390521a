//! Filling the registry while the app is built.
//!
//! Guarantees that ids are given in the order of the calls. Every mistake here is the developer's,
//! made before anything runs, so it panics with the type's name instead of returning an error.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::{Component, World};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::changes::Scan;
use super::{
    ComponentEntry, InputEntry, MessageEntry, Protocol, RegistryError, Visibility, decode_boxed,
    decode_input, encode_bounded, encode_input,
};
use crate::limits::{COMPONENT_BYTES_MAX, COMPONENTS_MAX, MESSAGES_MAX};
use crate::protocol::codec::{self, CodecError};
use crate::protocol::ids::{Channel, ComponentId, MessageId};
use crate::protocol::input::PlayerInput;

/// Registers the protocol's types; implemented by [`App`] and by what registering answers, so that
/// registrations chain.
///
/// Every method panics when the app is built with too many types or registers one twice.
pub trait ProtocolAppExt {
    /// The app in which the [`Protocol`] is.
    fn protocol_app(&mut self) -> &mut App;

    /// Replicates the component: sent to those who see the entity when it changed.
    fn replicate<T>(&mut self) -> ComponentRegistration<'_>
    where
        T: Component + Serialize + DeserializeOwned + Clone,
    {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let name = type_name::<T>();
        assert!(
            protocol.components.len() < COMPONENTS_MAX,
            "more than {COMPONENTS_MAX} components, with {name}"
        );
        assert!(
            protocol.component_of::<T>().is_none(),
            "{name} is replicated twice"
        );
        let id = ComponentId(protocol.components.len() as u8);
        protocol.components.push(component_entry::<T>(id));
        ComponentRegistration { app, id }
    }

    /// Sets what clients send every tick.
    fn input<I: PlayerInput>(&mut self) -> &mut App {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let name = type_name::<I>();
        assert!(protocol.input.is_none(), "{name} is a second input type");
        protocol.input = Some(InputEntry {
            name,
            type_id: TypeId::of::<I>(),
            neutral: encode_input(&I::default()).expect("an input's default must encode in the bytes it has"),
            validate: |bytes| decode_input::<I>(bytes).map(drop),
        });
        app
    }

    /// Lets messages of this type travel through `channel`, in both directions.
    fn message<M>(&mut self, channel: Channel) -> &mut App
    where
        M: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let name = type_name::<M>();
        let type_id = TypeId::of::<M>();
        assert!(
            protocol.messages.len() < MESSAGES_MAX,
            "more than {MESSAGES_MAX} messages, with {name}"
        );
        assert!(
            protocol.messages.iter().all(|entry| entry.type_id != type_id),
            "{name} is registered twice"
        );
        let id = MessageId(protocol.messages.len() as u16);
        protocol.messages.push(MessageEntry {
            id,
            name,
            channel,
            type_id,
            decode: decode_boxed::<M>,
        });
        app
    }
}

impl ProtocolAppExt for App {
    fn protocol_app(&mut self) -> &mut App {
        self
    }
}

/// A component just registered, for the options it has.
pub struct ComponentRegistration<'a> {
    app: &'a mut App,
    id: ComponentId,
}

impl ComponentRegistration<'_> {
    /// Sets who is sent the component; [`Visibility::Everyone`] unless it is set.
    pub fn visible_to(&mut self, visibility: Visibility) -> &mut Self {
        let mut protocol = self.app.world_mut().resource_mut::<Protocol>();
        protocol.components[usize::from(self.id.0)].visibility = visibility;
        self
    }

    /// The component's id.
    #[must_use]
    pub fn id(&self) -> ComponentId {
        self.id
    }
}

impl ProtocolAppExt for ComponentRegistration<'_> {
    fn protocol_app(&mut self) -> &mut App {
        self.app
    }
}

fn component_entry<T>(id: ComponentId) -> ComponentEntry
where
    T: Component + Serialize + DeserializeOwned + Clone,
{
    ComponentEntry {
        id,
        name: type_name::<T>(),
        visibility: Visibility::default(),
        type_id: TypeId::of::<T>(),
        register: World::register_component::<T>,
        read: |entity| Some(Arc::new(entity.get::<T>()?.clone())),
        changes: || Box::new(Scan::<T>::default()),
        encode: |value, out| {
            let value = value
                .downcast_ref::<T>()
                .ok_or(RegistryError::WrongType(type_name::<T>()))?;
            encode_bounded(value, out, COMPONENT_BYTES_MAX)
        },
        decode: |bytes| Ok(Box::new(decode_component::<T>(bytes)?)),
        insert: |entity, bytes| {
            entity.insert(decode_component::<T>(bytes)?);
            Ok(())
        },
        remove: |entity| {
            entity.remove::<T>();
        },
    }
}

fn decode_component<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RegistryError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(CodecError::TooLong {
            bytes: bytes.len(),
            max: COMPONENT_BYTES_MAX,
        }
        .into());
    }
    Ok(codec::decode_exact(bytes)?)
}
