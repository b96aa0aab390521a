//! Tests the registry in its three uses: by a game's plugin, by a server's worker and by a client's world.

use std::convert::identity as same;

use bevy_app::App;
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryBuilder;
use bevy_ecs::world::FilteredEntityRef;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::limits::{COMPONENT_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::protocol::ids::{Channel, GlobalId, MessageId, PlayerId, TeamId};

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

/// A fixed value, so that a build that changes it by accident fails. Update it with the wire version.
#[test]
fn the_hash_of_an_empty_protocol_is_the_same_in_every_build() {
    assert_eq!(Protocol::default().hash().to_string(), "6461ab8b7e3ade8a");
}

#[test]
fn the_hash_depends_on_order_visibility_channel_and_input() {
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
fn registering_a_component_twice_panics() {
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
        .map(|row| (row.id(), entry.read(&row, &mut |entity| entity).unwrap()))
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
    entry
        .insert(&mut mirrored, &bytes[1..], &mut |entity| entity)
        .unwrap();
    assert_eq!(mirrored.get::<Hull>(), Some(&Hull { now: 3, max: 900 }));
    assert!(entry.insert(&mut mirrored, &[], &mut |entity| entity).is_err());
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
fn inputs_that_are_invalid_are_refused() {
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
fn messages_are_refused_in_another_channel() {
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

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Target {
    #[entities]
    entity: Option<Entity>,
    range: u8,
}

#[derive(Component, Clone, Debug, PartialEq)]
struct Turret([f32; 2]);

impl From<&Turret> for [f32; 2] {
    fn from(turret: &Turret) -> Self {
        turret.0
    }
}

impl From<[f32; 2]> for Turret {
    fn from(numbers: [f32; 2]) -> Self {
        Self(numbers)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, MapEntities)]
struct Hail {
    #[entities]
    other: Entity,
}

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weather(String);

/// Returns the copy that a worker is given of the one entity that has `T`.
fn copy_of(app: &mut App, entry: &ComponentEntry, map: &mut MapReferences<'_>) -> Arc<AnyValue> {
    let world = app.world_mut();
    let component = entry.register(world);
    let mut query = QueryBuilder::<FilteredEntityRef>::new(world);
    query.ref_id(component);
    entry.read(&query.build().single(world).unwrap(), map).unwrap()
}

#[test]
fn references_name_the_same_entity_at_the_other_end() {
    let (mut server, mut client) = (App::empty(), App::empty());
    server.replicate::<Target>().replicate::<ChildOf>();
    let protocol = protocol(&server).clone();
    let target = protocol.component_of::<Target>().unwrap();
    let child_of = protocol.component_of::<ChildOf>().unwrap();
    let other = server.world_mut().spawn_empty().id();
    let entity = Some(other);
    server
        .world_mut()
        .spawn((Target { entity, range: 3 }, ChildOf(other)));
    let mut travel = |entity| {
        assert_eq!(entity, other);
        reference(GlobalId(77))
    };
    let (mut bytes, mut child_bytes) = (Vec::new(), Vec::new());
    let value = copy_of(&mut server, target, &mut travel);
    target.encode(&*value, &mut bytes).unwrap();
    let value = copy_of(&mut server, child_of, &mut travel);
    child_of.encode(&*value, &mut child_bytes).unwrap();

    let theirs = client.world_mut().spawn_empty().id();
    let mut known = |entity| {
        assert_eq!(referenced(entity), Some(GlobalId(77)));
        theirs
    };
    let mut unknown = |_| Entity::PLACEHOLDER;
    let mut mirrored = client.world_mut().spawn_empty();
    let inserted = target.insert(&mut mirrored, &bytes, &mut unknown).unwrap();
    assert_eq!(inserted, Inserted::Dangling);
    assert_eq!(
        mirrored.get::<Target>().unwrap().entity,
        Some(Entity::PLACEHOLDER)
    );
    let inserted = target.insert(&mut mirrored, &bytes, &mut known).unwrap();
    assert_eq!(inserted, Inserted::Complete);
    let expected = Target {
        entity: Some(theirs),
        range: 3,
    };
    assert_eq!(mirrored.get::<Target>(), Some(&expected));

    assert!(child_of.insert(&mut mirrored, &child_bytes, &mut known).is_ok());
    assert_eq!(mirrored.get::<ChildOf>(), Some(&ChildOf(theirs)));
    let inserted = child_of.insert(&mut mirrored, &child_bytes, &mut unknown);
    assert_eq!(inserted.unwrap(), Inserted::Dangling);
    assert_eq!(mirrored.get::<ChildOf>(), None);
    // A peer can also send a relationship that refers to the placeholder.
    child_bytes.clear();
    child_of
        .encode(&ChildOf(Entity::PLACEHOLDER), &mut child_bytes)
        .unwrap();
    let mut placeholder = |_| Entity::PLACEHOLDER;
    let inserted = child_of.insert(&mut mirrored, &child_bytes, &mut placeholder);
    assert_eq!(inserted.unwrap(), Inserted::Complete);
    assert_eq!(
        mirrored.get::<ChildOf>(),
        None,
        "a relationship to the placeholder is removed"
    );
}

#[test]
fn a_custom_rule_decides_which_clients_see_a_component() {
    let mut app = App::empty();
    app.replicate::<Hull>()
        .visible_to(|witness: Witness, hull: &Hull| hull.now > 5 || witness.is_mate());
    let entry = protocol(&app).component_of::<Hull>().unwrap();
    assert_eq!(entry.visibility, Visibility::Custom);
    let witness = |player_team| Witness {
        player: PlayerId(1),
        player_team: TeamId(player_team),
        team: TeamId(2),
        ..Witness::default()
    };
    let may_see = |team, now| entry.may_see(witness(team), &Hull { now, max: 9 });
    assert_eq!([may_see(1, 6), may_see(1, 5), may_see(2, 5)], [true, false, true]);
    assert!(!entry.may_see(witness(2), &Cargo(String::new())), "another type");
}

#[test]
fn numbers_are_sent_in_steps_and_each_step_size_has_its_own_hash() {
    let hash = |step| {
        let mut app = App::empty();
        app.replicate_with::<Turret>(Delta::<2>::quantized(step));
        protocol(&app).hash()
    };
    assert_ne!(hash(0.01), hash(0.02));
    let mut app = App::empty();
    app.replicate_with::<Turret>(Delta::<2>::quantized(0.25));
    let entry = protocol(&app).component_of::<Turret>().unwrap();
    let mut bytes = Vec::new();
    entry.encode(&Turret([3.1, -200.0]), &mut bytes).unwrap();
    assert_eq!(bytes.len(), 1 + 3);
    let value = entry.decode(&bytes).unwrap();
    assert_eq!(value.downcast_ref(), Some(&Turret([3.0, -200.0])));
    assert!(entry.decode(&bytes[..3]).is_err());
    assert!(entry.decode(&[0, 0, 0]).is_err());
    let mut extreme = Vec::new();
    entry
        .encode(&Turret([f32::NAN, f32::NEG_INFINITY]), &mut extreme)
        .unwrap();
    let value = entry.decode(&extreme).unwrap();
    let lowest = (f64::from(i32::MIN) * 0.25) as f32;
    assert_eq!(value.downcast_ref(), Some(&Turret([0.0, lowest])));
}

#[test]
fn messages_are_delivered_in_their_direction_only() {
    let mut app = App::new();
    app.message_to_clients::<Say>(Channel::ReliableOrdered);
    app.message_to_server::<Blink>(Channel::Unreliable);
    app.message_with_entities::<Hail>(Channel::ReliableOrdered);
    let protocol = protocol(&app).clone();
    let encode = |bytes: &mut Vec<u8>, hail: &Hail| {
        protocol
            .encode_message_with(hail, &mut |_| reference(GlobalId(5)), bytes)
            .map(drop)
    };
    let [mut say, mut blink, mut hail] = [const { Vec::new() }; 3];
    protocol.encode_message(&Say("x".into()), &mut say).unwrap();
    protocol.encode_message(&Blink(1), &mut blink).unwrap();
    let world = app.world_mut();
    let (player, seen) = (world.spawn_empty().id(), world.spawn_empty().id());
    encode(&mut hail, &Hail { other: seen }).unwrap();
    let map = |_: &World, entity| {
        assert_eq!(referenced(entity), Some(GlobalId(5)));
        seen
    };
    let (ordered, unreliable) = (Channel::ReliableOrdered, Channel::Unreliable);
    let refused = protocol.deliver_from_player(world, player, ordered, &say, &map);
    assert!(matches!(refused, Err(RegistryError::WrongDirection(_))));
    let refused = protocol.deliver_from_server(world, unreliable, &blink, &map);
    assert!(matches!(refused, Err(RegistryError::WrongDirection(_))));
    protocol.deliver_from_server(world, ordered, &say, &map).unwrap();
    protocol
        .deliver_from_player(world, player, unreliable, &blink, &map)
        .unwrap();
    protocol
        .deliver_from_player(world, player, ordered, &hail, &map)
        .unwrap();
    assert_eq!(received::<FromServer<Say>>(world), [FromServer(Say("x".into()))]);
    let message = Blink(1);
    assert_eq!(
        received::<FromPlayer<Blink>>(world),
        [FromPlayer { player, message }]
    );
    let message = Hail { other: seen };
    assert_eq!(
        received::<FromPlayer<Hail>>(world),
        [FromPlayer { player, message }]
    );
}

fn received<M: Message + Clone>(world: &mut World) -> Vec<M> {
    world.resource_mut::<Messages<M>>().drain().collect()
}

#[test]
fn resources_are_replicated_and_removed() {
    let (mut server, mut client) = (App::empty(), App::empty());
    server.replicate_resource::<Weather>();
    let protocol = protocol(&server).clone();
    let entry = &protocol.resources()[0];
    let mut carry = |server: &App| {
        let mut bytes = Vec::new();
        entry.encode(server.world(), &mut same, &mut bytes).unwrap();
        let world = client.world_mut();
        protocol
            .deliver_from_server(world, Channel::ReliableOrdered, &bytes, &|_, entity| entity)
            .unwrap();
        world.get_resource::<Weather>().cloned()
    };
    assert_eq!((entry.changed(server.world()), carry(&server)), (None, None));
    server.insert_resource(Weather("rain".into()));
    assert!(entry.changed(server.world()).is_some());
    assert_eq!(carry(&server), Some(Weather("rain".into())));
    server.world_mut().remove_resource::<Weather>();
    assert_eq!(carry(&server), None);
    server.insert_resource(Weather("x".repeat(MESSAGE_BYTES_MAX)));
    let mut bytes = vec![1];
    assert!(entry.encode(server.world(), &mut same, &mut bytes).is_err());
    assert_eq!(bytes, [1]);
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
