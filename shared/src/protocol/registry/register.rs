//! Fills the registry while the app is built.
//!
//! Guarantees that ids are given in the order of the calls. Every mistake here is the developer's, made
//! before anything runs: it panics with the type's name instead of returning an error.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::component::Mutable;
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::{Component, IntoScheduleConfigs};

use super::bounds::{SerdeComponent, SerdeMessage, SerdeResource};
use super::codecs::{ComponentCodec, Serde};
use super::components::ComponentEntry;
use super::messages::{
    Direction, FromPlayer, FromServer, MessageEntry, encode_value, message_entry, resource_entries,
};
use super::persisted::PersistedType;
use super::predicted::{PredictedType, is_of_pose};
use super::references::References;
use super::visibility::VisibilityRule;
use super::{InputEntry, Protocol, RegistryError, decode_input, encode_input};
use crate::limits::{COMPONENTS_MAX, MESSAGES_MAX, VERSION_BYTES_MAX};
use crate::protocol::active::{ActiveInput, TakenInput, decode_inputs};
use crate::protocol::codec;
use crate::protocol::ids::{Channel, ComponentId, MessageId};
use crate::protocol::input::PlayerInput;
use crate::protocol::pose3d::Quanta3d;
use crate::protocol::shape;
use crate::protocol::version::Release;

/// Registers the types that a protocol transfers. Implemented by [`App`] and by the values that registering
/// returns, so that registrations chain.
///
/// One plugin registers them all and is added on both ends:
///
/// ```
/// # use bevy_app::{App, Plugin};
/// # use bevy_ecs::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use throng_shared::protocol::ids::Channel;
/// # use throng_shared::protocol::input::PlayerInput;
/// # use throng_shared::protocol::registry::{ProtocolAppExt, Visibility, Witness};
/// #[derive(Component, Clone, Serialize, Deserialize)]
/// struct Hull(u16);
/// #[derive(Component, Clone, Serialize, Deserialize)]
/// struct Cargo(Vec<u16>);
/// #[derive(Component, Clone, Serialize, Deserialize)]
/// struct Cloak(bool);
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Stick(i8);
/// impl PlayerInput for Stick {}
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Chat(String);
/// #[derive(Resource, Serialize, Deserialize)]
/// struct Weather(u8);
///
/// struct MyProtocol;
///
/// impl Plugin for MyProtocol {
///     fn build(&self, app: &mut App) {
///         app.replicate::<Hull>().persisted().important(4);
///         app.replicate::<Cargo>().persisted().visible_to(Visibility::Owner);
///         app.replicate::<Cloak>()
///             .visible_to(|witness: Witness, cloak: &Cloak| !cloak.0 || witness.is_mate());
///         app.replicate::<ChildOf>();
///         app.replicate_resource::<Weather>();
///         app.input::<Stick>();
///         app.message::<Chat>(Channel::ReliableOrdered);
///         app.protocol_version("1.4.2");
///     }
/// }
/// # App::new().add_plugins(MyProtocol);
/// ```
///
/// Every method panics if there are too many types or if it registers a type twice.
pub trait ProtocolAppExt {
    /// Returns the app that contains the [`Protocol`].
    fn protocol_app(&mut self) -> &mut App;

    /// Replicates the component: every client that sees the entity is sent each change, and removes the
    /// component when it is removed on the server.
    ///
    /// References to entities in it (fields marked `#[entities]`) name the same entities at the other end,
    /// and [`Entity::PLACEHOLDER`](bevy_ecs::entity::Entity::PLACEHOLDER) while those are not in view there.
    /// A relationship such as [`ChildOf`](bevy_ecs::hierarchy::ChildOf) exists there while both its ends are
    /// in view.
    fn replicate<T>(&mut self) -> ComponentRegistration<'_, T>
    where
        T: SerdeComponent,
    {
        self.replicate_with(Serde)
    }

    /// Replicates the component with its own codec: [`Delta`](super::Delta) for numbers,
    /// [`Custom`](super::Custom) for anything.
    fn replicate_with<T>(&mut self, codec: impl ComponentCodec<T>) -> ComponentRegistration<'_, T>
    where
        T: Component + Clone,
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
        protocol.components.push(ComponentEntry::new(id, codec));
        ComponentRegistration {
            app,
            id,
            component: PhantomData,
        }
    }

    /// Replicates the resource to every player: when the player joins, and when the resource is changed or
    /// removed.
    ///
    /// Fields that refer to entities are marked `#[entities]`, and the resource also derives
    /// [`MapEntities`], which provides that attribute. A client reads its own entities there, and
    /// [`Entity::PLACEHOLDER`](bevy_ecs::entity::Entity::PLACEHOLDER) while those are not in view.
    ///
    /// For data that seldom changes, such as the rules of a round: every change is a reliable message of at
    /// most [`MESSAGE_BYTES_MAX`](crate::limits::MESSAGE_BYTES_MAX) to every player: 1,021 for the value.
    fn replicate_resource<R>(&mut self) -> &mut App
    where
        R: SerdeResource,
    {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let type_id = TypeId::of::<R>();
        assert!(
            protocol.resources.iter().all(|entry| entry.type_id != type_id),
            "{} is replicated twice",
            type_name::<R>()
        );
        let id = next_message::<R>(&protocol);
        let (message, resource) = resource_entries::<R>(id);
        protocol.messages.push(message);
        protocol.resources.push(resource);
        app
    }

    /// Sets the input type that clients send every tick. Gameplay on the server reads it as an
    /// [`ActiveInput<I>`](ActiveInput) of the player's entity.
    ///
    /// # Panics
    /// Panics also when the type's default has more than [`INPUT_BYTES_MAX`](crate::limits::INPUT_BYTES_MAX) bytes.
    fn input<I: PlayerInput>(&mut self) -> &mut App {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let name = type_name::<I>();
        assert!(protocol.input.is_none(), "{name} is a second input type");
        protocol.input = Some(InputEntry {
            name,
            type_id: TypeId::of::<I>(),
            shape: shape::describe::<I>().into(),
            said: Arc::default(),
            neutral: encode_input(&I::default())
                .unwrap_or_else(|error| panic!("the default of the input {name} cannot be sent: {error}")),
            validate: |bytes| decode_input::<I>(bytes).map(drop),
            add_decoder: |world| {
                world.register_required_components::<TakenInput, ActiveInput<I>>();
                decode_inputs::<I>.into_configs()
            },
        });
        app
    }

    /// Gives the protocol a version of the game, such as `1.4.2`: ends with different versions refuse each other, and both
    /// versions are named. For changes that the registered types do not show, such as another meaning of a number. A
    /// second call replaces the version.
    ///
    /// # Panics
    /// Panics when the text is empty, longer than [`VERSION_BYTES_MAX`](crate::limits::VERSION_BYTES_MAX), or has anything
    /// but printable ASCII without spaces.
    fn protocol_version(&mut self, version: &str) -> &mut App {
        let release = Release::new(version.as_bytes()).filter(|_| !version.is_empty());
        let Some(release) = release else {
            panic!(
                "a version has 1 to {VERSION_BYTES_MAX} printable ASCII characters without spaces, not {version:?}"
            );
        };
        let app = self.protocol_app();
        app.world_mut().get_resource_or_init::<Protocol>().version = Some(release);
        app
    }

    /// Makes the game one in three dimensions: each replicated entity has a [`Position3d`](crate::protocol::pose3d::Position3d),
    /// a [`Velocity3d`](crate::protocol::pose3d::Velocity3d) and a [`Rotation3d`](crate::protocol::pose3d::Rotation3d), which
    /// clients are sent in these steps. Its `Position` is then the point on the ground plane below it, x and z; the server
    /// writes it.
    ///
    /// # Panics
    /// Panics when it is called twice, and after [`predicted`](Self::predicted).
    fn poses_3d(&mut self, quanta: Quanta3d) -> &mut App {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        assert!(protocol.quanta_3d.is_none(), "`poses_3d` is called twice");
        assert!(
            protocol.predicted.is_empty(),
            "call `poses_3d` before `predicted`, which rounds to its steps"
        );
        protocol.quanta_3d = Some(quanta);
        app
    }

    /// Lists a component that clients predict: `Position`, `Velocity`, `Heading`, or one that was replicated before. Both
    /// ends then round it to the value that clients are sent, at the end of every tick in which they move a predicted
    /// entity. So a step that both ends run has the same result at both, with digits of any number in between.
    ///
    /// On the server the avatars of players are rounded, and entities that the game marks. What a step changes by less than
    /// half of what is sent is lost: a position by less than 0.005 in a tick, a velocity by less than 0.025. The same holds
    /// for fields that the component's codec does not send.
    ///
    /// # Panics
    /// Panics when `T` is neither part of the pose nor replicated, and when it is listed twice.
    fn predicted<T>(&mut self) -> &mut App
    where
        T: Component<Mutability = Mutable>,
    {
        let app = self.protocol_app();
        let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
        let name = type_name::<T>();
        assert!(
            protocol.predicted_of::<T>().is_none(),
            "{name} is listed as predicted twice"
        );
        let Some(predicted) = PredictedType::of::<T>(protocol.quanta_3d, protocol.component_of::<T>()) else {
            assert!(
                !is_of_pose(TypeId::of::<T>()),
                "{name} is not part of the pose: a game in three dimensions, one with `poses_3d` before `predicted`, has \
                 `Position3d`, `Velocity3d` and `Rotation3d`, and one on the plane `Position`, `Velocity` and `Heading`"
            );
            panic!(
                "{name} is neither part of the pose nor replicated: write `app.replicate::<{name}>()` before"
            );
        };
        protocol.predicted.push(predicted);
        app
    }

    /// Lets messages of this type travel through `channel`, in both directions. They arrive as
    /// [`FromPlayer`] on the server and as [`FromServer`] on a client.
    fn message<M>(&mut self, channel: Channel) -> &mut App
    where
        M: SerdeMessage,
    {
        add_message::<M>(self.protocol_app(), channel, Direction::Both, |_| {})
    }

    /// Registers a message like [`message`](Self::message), from the server to clients only: what a client sends
    /// is refused.
    fn message_to_clients<M>(&mut self, channel: Channel) -> &mut App
    where
        M: SerdeMessage,
    {
        add_message::<M>(self.protocol_app(), channel, Direction::ToClients, |_| {})
    }

    /// Registers a message like [`message`](Self::message), from clients to the server only.
    fn message_to_server<M>(&mut self, channel: Channel) -> &mut App
    where
        M: SerdeMessage,
    {
        add_message::<M>(self.protocol_app(), channel, Direction::ToServer, |_| {})
    }

    /// Registers a message that refers to entities, in both directions. Each end sees its own entities
    /// in it, and [`Entity::PLACEHOLDER`](bevy_ecs::entity::Entity::PLACEHOLDER) for one that it does not
    /// have. A client can name any entity, in view or not: gameplay decides whether to accept that.
    ///
    /// A reliable message of the server waits at the client until the entities that it refers to are in view, for at most
    /// 20 ticks.
    fn message_with_entities<M>(&mut self, channel: Channel) -> &mut App
    where
        M: SerdeMessage + MapEntities + Clone,
    {
        add_message::<M>(self.protocol_app(), channel, Direction::Both, map_references::<M>)
    }
}

impl ProtocolAppExt for App {
    fn protocol_app(&mut self) -> &mut App {
        self
    }
}

/// A component that was just registered, to set its options.
pub struct ComponentRegistration<'a, T> {
    app: &'a mut App,
    id: ComponentId,
    component: PhantomData<fn(T)>,
}

impl<T> ComponentRegistration<'_, T> {
    /// Sets which clients are sent the component: a [`Visibility`](super::Visibility), or a rule
    /// `|witness: Witness, value: &T| -> bool` that depends on these two alone. All clients unless set.
    pub fn visible_to(&mut self, rule: impl VisibilityRule<T>) -> &mut Self {
        let (visibility, may_see) = rule.into_parts();
        let entry = self.entry();
        (entry.visibility, entry.may_see) = (visibility, may_see);
        self
    }

    /// Sets how much sooner a change of the component is sent where a client's budget does not suffice for
    /// all: as if the entity were so many times as important. 1 unless set.
    ///
    /// # Panics
    /// Panics with 0: do not replicate a component that must not be sent.
    pub fn important(&mut self, importance: u8) -> &mut Self {
        assert!(importance > 0, "the importance of a component is at least 1");
        self.entry().importance = importance;
        self
    }

    /// Keeps the component: the server's checkpoints hold it, and it comes along when its entity migrates to another
    /// simulation. The bytes are serde's, also with a codec of its own.
    pub fn persisted(&mut self) -> &mut Self
    where
        T: SerdeComponent,
    {
        self.entry().persisted = Some(PersistedType::of::<T>());
        self
    }

    /// Returns the id of the component.
    #[must_use]
    pub fn id(&self) -> ComponentId {
        self.id
    }

    fn entry(&mut self) -> &mut ComponentEntry {
        let protocol = self.app.world_mut().resource_mut::<Protocol>().into_inner();
        &mut protocol.components[usize::from(self.id.0)]
    }
}

impl<T> ProtocolAppExt for ComponentRegistration<'_, T> {
    fn protocol_app(&mut self) -> &mut App {
        self.app
    }
}

fn next_message<M>(protocol: &Protocol) -> MessageId {
    assert!(
        protocol.messages.len() < MESSAGES_MAX,
        "more than {MESSAGES_MAX} messages, with {}",
        type_name::<M>()
    );
    MessageId(protocol.messages.len() as u16)
}

fn add_message<M>(
    app: &mut App,
    channel: Channel,
    direction: Direction,
    adapt: fn(&mut MessageEntry),
) -> &mut App
where
    M: SerdeMessage,
{
    let mut protocol = app.world_mut().get_resource_or_init::<Protocol>();
    let type_id = TypeId::of::<M>();
    assert!(
        protocol.messages.iter().all(|entry| entry.type_id != type_id),
        "{} is registered twice",
        type_name::<M>()
    );
    let mut entry = message_entry::<M>(next_message::<M>(&protocol), channel, direction);
    adapt(&mut entry);
    protocol.messages.push(entry);
    app.add_message::<FromPlayer<M>>().add_message::<FromServer<M>>()
}

/// Lets a message's references name the same entities at both ends.
fn map_references<M>(entry: &mut MessageEntry)
where
    M: SerdeMessage + MapEntities + Clone,
{
    entry.encode_mapped = Some(|message, map, out| {
        let message = message.downcast_ref::<M>();
        let mut message = message.ok_or(RegistryError::WrongType(type_name::<M>()))?.clone();
        message.map_entities(&mut References(map));
        encode_value(&message, out)
    });
    entry.map_encoded = Some(|bytes, map, out| {
        let mut message = codec::decode_exact::<M>(bytes)?;
        message.map_entities(&mut References(map));
        encode_value(&message, out)
    });
    entry.from_player = |world, player, bytes, map| {
        let mut message = codec::decode_exact::<M>(bytes)?;
        message.map_entities(&mut References(&mut |entity| map(world, entity)));
        world.write_message(FromPlayer { player, message });
        Ok(())
    };
    entry.from_server = |world, bytes, map| {
        let mut message = codec::decode_exact::<M>(bytes)?;
        message.map_entities(&mut References(&mut |entity| map(world, entity)));
        world.write_message(FromServer(message));
        Ok(())
    };
}
