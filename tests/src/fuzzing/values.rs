//! Fuzz target for typed messages and components, which are decoded from a peer's bytes into a world.

use std::collections::BTreeMap;

use bevy_app::App;
use bevy_ecs::{entity::MapEntities, prelude::*};
use serde::{Deserialize, Serialize};
use throng_shared::protocol::{
    ids::Channel,
    registry::{Custom, Delta, Protocol, ProtocolAppExt, RegistryError, referenced},
};

/// A message with all kinds of serde values.
#[derive(Serialize, Deserialize, Clone, Debug, MapEntities)]
pub struct Order {
    /// Entities that receive the order.
    #[entities]
    pub recipients: Vec<Entity>,
    /// Texts of any length.
    pub reasons: Vec<String>,
    /// A value of an enum.
    pub kind: OrderKind,
}

/// An enum with all kinds of variants.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub enum OrderKind {
    /// A variant without fields.
    Wait,
    /// A variant with named fields.
    Go {
        /// Target position of the order.
        to: (f32, f32),
        /// Time of the order, if any.
        at: Option<u64>,
    },
    /// A variant that contains another value of this type.
    Either(Box<OrderKind>),
}

/// A message to clients only.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Notice(pub String);

/// A message to the server only, without a value.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Ready;

/// A replicated resource with texts by number.
#[derive(Resource, Serialize, Deserialize, Clone, Debug)]
pub struct RuleTexts(pub BTreeMap<u16, String>);

#[derive(Component, Serialize, Deserialize, Clone)]
struct Target(#[entities] Option<Entity>);

#[derive(Component, Clone)]
struct Aim([f32; 2]);

#[derive(Component, Clone)]
struct Percent(u8);

impl From<&Aim> for [f32; 2] {
    fn from(aim: &Aim) -> Self {
        aim.0
    }
}

impl From<[f32; 2]> for Aim {
    fn from(numbers: [f32; 2]) -> Self {
        Self(numbers)
    }
}

/// Registers the protocol of the fuzzed game.
pub fn protocol(app: &mut App) {
    app.replicate::<Target>()
        .replicate::<ChildOf>()
        .replicate_with::<Aim>(Delta::<2>::quantized(0.01))
        .replicate_with(Custom {
            name: "percent",
            encode: |percent: &Percent, out| out.push(percent.0),
            decode: |bytes| match bytes {
                [percent @ 0..=100] => Some(Percent(*percent)),
                _ => None,
            },
        })
        .message_with_entities::<Order>(Channel::ReliableOrdered)
        .message_to_clients::<Notice>(Channel::Unreliable)
        .message_to_server::<Ready>(Channel::ReliableUnordered)
        .replicate_resource::<RuleTexts>();
}

/// Decodes a message, on the channel that the first byte selects, as the server and as a client would. Then decodes the
/// same bytes as a value of each component.
///
/// It must not panic. A value that decodes is delivered if its direction allows it, and can be encoded again.
pub fn messages(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let mut app = App::new();
    protocol(&mut app);
    let protocol = app.world().resource::<Protocol>().clone();
    let world = app.world_mut();
    let player = world.spawn_empty().id();
    // Every second referenced entity exists.
    let find = |named: Entity| match referenced(named) {
        Some(global) if global.0 % 2 == 0 => player,
        _ => Entity::PLACEHOLDER,
    };
    let channel = Channel::ALL[usize::from(first) % Channel::ALL.len()];
    let decodes = protocol.decode_message(channel, bytes).is_ok();
    let map = |_: &World, named| find(named);
    for delivered in [
        protocol.deliver_from_player(world, player, channel, bytes, &map),
        protocol.deliver_from_server(world, channel, bytes, &map),
    ] {
        let is_misdirected = matches!(delivered, Err(RegistryError::WrongDirection(_)));
        assert!(is_misdirected || delivered.is_ok() == decodes, "{delivered:?}");
    }
    for entry in protocol.components() {
        let decoded = entry.decode(bytes);
        let mut entity = world.spawn_empty();
        let inserted = entry.insert(&mut entity, bytes, &mut { find });
        assert_eq!(inserted.is_ok(), decoded.is_ok(), "{}", entry.name);
        if let Ok(value) = decoded {
            let encoded = entry.encode(&*value, &mut Vec::new());
            assert!(encoded.is_ok(), "{}: {encoded:?}", entry.name);
        }
    }
}
