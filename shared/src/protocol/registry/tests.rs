//! The registry as its users see it: a game's plugin, a server worker, a client's world.

use bevy_app::App;
use bevy_ecs::query::QueryBuilder;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::limits::COMPONENT_BYTES_MAX;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hull {
    now: u16,
    max: u16,
}

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cargo(String);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stick {
    turn: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Say(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Blink(u8);

impl PlayerInput for Stick {
    fn validate(&self) -> Result<(), &'static str> {
        if (-1.0..=1.0).contains(&self.turn) {
            Ok(())
        } else {
            Err("turn is not in -1..=1")
        }
    }
}

fn game() -> App {
    let mut app = App::empty();
    app.replicate::<Hull>()
        .replicate::<Cargo>()
        .visible_to(Visibility::Owner)
        .input::<Stick>()
        .message::<Say>(Channel::ReliableOrdered)
        .message::<Blink>(Channel::Unreliable);
    app
}

fn protocol(app: &App) -> &Protocol {
    app.world().resource::<Protocol>()
}

#[test]
fn ids_follow_the_order_of_registration() {
    let app = game();
    let protocol = protocol(&app);
    let hull = protocol.component_of::<Hull>().unwrap();
    let cargo = protocol.component(ComponentId(1)).unwrap();
    assert_eq!((hull.id, hull.visibility), (ComponentId(0), Visibility::Everyone));
    assert_eq!((cargo.id, cargo.visibility), (ComponentId(1), Visibility::Owner));
    assert!(cargo.name.ends_with("Cargo"));
    assert!(protocol.component(ComponentId(2)).is_none());
    assert_eq!(protocol.messages()[1].channel, Channel::Unreliable);
}

/// Fixed, so that a build in which it changes by accident is noticed: update it with the wire version.
#[test]
fn an_empty_protocol_has_the_same_hash_in_every_build() {
    assert_eq!(Protocol::default().hash().to_string(), "7b06e05b8f11a2a7");
}

#[test]
fn hash_sees_order_visibility_channel_and_input() {
    let hash = |build: fn(&mut App)| {
        let mut app = App::empty();
        build(&mut app);
        app.world_mut().get_resource_or_init::<Protocol>().hash()
    };
    let mut hashes = vec![
        hash(|_| {}),
        hash(|app| {
            app.replicate::<Hull>();
        }),
        hash(|app| {
            app.replicate::<Hull>().visible_to(Visibility::Team);
        }),
        hash(|app| {
            app.replicate::<Hull>().replicate::<Cargo>();
        }),
        hash(|app| {
            app.replicate::<Cargo>().replicate::<Hull>();
        }),
        hash(|app| {
            app.message::<Say>(Channel::ReliableOrdered);
        }),
        hash(|app| {
            app.message::<Say>(Channel::Unreliable);
        }),
        hash(|app| {
            app.input::<Stick>();
        }),
    ];
    assert_eq!(
        hash(|app| {
            app.replicate::<Hull>();
        }),
        hashes[1]
    );
    hashes.sort_unstable_by_key(|hash| hash.0);
    hashes.dedup();
    assert_eq!(hashes.len(), 8);
}

#[test]
#[should_panic(expected = "replicated twice")]
fn registering_twice_panics() {
    game().replicate::<Hull>();
}

#[test]
fn components_travel_from_world_to_world() {
    let (mut server, mut client) = (game(), game());
    let protocol = protocol(&server).clone();
    let entry = protocol.component_of::<Hull>().unwrap();
    let world = server.world_mut();
    let component = entry.register(world);
    let entity = world.spawn(Hull { now: 3, max: 900 }).id();
    world.spawn(Cargo("ore".into()));

    let mut query = QueryBuilder::<FilteredEntityRef>::new(world);
    query.ref_id(component);
    let mut query = query.build();
    let found: Vec<_> = query
        .iter(world)
        .map(|row| (row.id(), entry.read(&row).unwrap()))
        .collect();
    let [(row, value)] = &found[..] else {
        panic!("{} rows", found.len())
    };
    assert_eq!(*row, entity);

    let mut bytes = vec![0xee];
    assert_eq!(entry.encode(&**value, &mut bytes).unwrap(), bytes.len() - 1);
    assert_eq!(
        entry.decode(&bytes[1..]).unwrap().downcast_ref(),
        Some(&Hull { now: 3, max: 900 })
    );

    let mut mirrored = client.world_mut().spawn_empty();
    entry.insert(&mut mirrored, &bytes[1..]).unwrap();
    assert_eq!(mirrored.get::<Hull>(), Some(&Hull { now: 3, max: 900 }));
    assert!(entry.insert(&mut mirrored, &[]).is_err());
    assert_eq!(mirrored.get::<Hull>(), Some(&Hull { now: 3, max: 900 }));
    entry.remove(&mut mirrored);
    assert!(!mirrored.contains::<Hull>());
}

#[test]
fn a_component_too_large_or_of_another_type_is_refused() {
    let app = game();
    let mut out = vec![1];
    let entry = protocol(&app).component_of::<Cargo>().unwrap();
    let large = Cargo("x".repeat(COMPONENT_BYTES_MAX));
    assert!(matches!(
        entry.encode(&large, &mut out),
        Err(RegistryError::Codec(CodecError::TooLong { .. }))
    ));
    assert!(matches!(
        entry.encode(&Say(String::new()), &mut out),
        Err(RegistryError::WrongType(_))
    ));
    assert_eq!(out, [1]);
    let mut bytes = Vec::new();
    codec::encode_into(&large, &mut bytes).unwrap();
    assert!(matches!(
        entry.decode(&bytes),
        Err(RegistryError::Codec(CodecError::TooLong { .. }))
    ));
}

#[test]
fn inputs_are_validated() {
    let app = game();
    let protocol = protocol(&app);
    assert_eq!(
        protocol
            .decode_input::<Stick>(protocol.neutral_input().as_slice())
            .unwrap(),
        Stick::default()
    );
    let encode = |turn| protocol.encode_input(&Stick { turn }).unwrap();
    assert!(protocol.validate_input(encode(-1.0).as_slice()).is_ok());
    for turn in [f32::NAN, f32::INFINITY, 1.1] {
        let result = protocol.validate_input(encode(turn).as_slice());
        assert!(
            matches!(result, Err(RegistryError::InvalidInput(_))),
            "{turn}: {result:?}"
        );
    }
    assert!(matches!(
        Protocol::default().validate_input(&[]),
        Err(RegistryError::Unregistered(_))
    ));
    let long = [0; INPUT_BYTES_MAX + 1];
    assert!(matches!(
        protocol.validate_input(&long),
        Err(RegistryError::Codec(CodecError::TooLong { .. }))
    ));
}

#[test]
fn messages_keep_their_channel() {
    let app = game();
    let protocol = protocol(&app);
    let mut bytes = Vec::new();
    assert_eq!(
        protocol.encode_message(&Blink(9), &mut bytes).unwrap(),
        Channel::Unreliable
    );
    let (entry, value) = protocol.decode_message(Channel::Unreliable, &bytes).unwrap();
    assert_eq!(entry.id, MessageId(1));
    assert_eq!(value.downcast_ref(), Some(&Blink(9)));
    let wrong = protocol.decode_message(Channel::ReliableOrdered, &bytes);
    assert!(matches!(wrong, Err(RegistryError::WrongChannel { .. })));
    let unknown = protocol.decode_message(Channel::Unreliable, &[2, 0, 0]);
    assert!(matches!(unknown, Err(RegistryError::UnknownMessage(2))));
    bytes.clear();
    assert!(
        protocol
            .encode_message(&Say("x".repeat(MESSAGE_BYTES_MAX - 4)), &mut bytes)
            .is_err()
    );
    assert!(protocol.encode_message(&Stick::default(), &mut bytes).is_err());
    assert!(bytes.is_empty());
}

proptest! {
    #[test]
    fn messages_round_trip(text in ".{0,60}") {
        let app = game();
        let mut bytes = Vec::new();
        let channel = protocol(&app).encode_message(&Say(text.clone()), &mut bytes).unwrap();
        let (_, value) = protocol(&app).decode_message(channel, &bytes).unwrap();
        prop_assert_eq!(value.downcast_ref(), Some(&Say(text)));
        for end in 0..bytes.len() {
            prop_assert!(protocol(&app).decode_message(channel, &bytes[..end]).is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let app = game();
        for channel in Channel::ALL {
            let _ = protocol(&app).decode_message(channel, &bytes);
        }
        let _ = protocol(&app).validate_input(&bytes);
        for entry in protocol(&app).components() {
            let _ = entry.decode(&bytes);
        }
    }
}
