//! Tests what the protocol's hash covers of the registered types, and the checks of their first values.

use std::collections::{BTreeMap, HashMap};

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::limits::{COMPONENT_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::protocol::ids::Channel;

fn hash(build: impl FnOnce(&mut App)) -> ProtocolHash {
    let mut app = App::empty();
    build(&mut app);
    app.world_mut().get_resource_or_init::<Protocol>().hash()
}

/// Evaluates to the hash of a protocol with a type `Hull` of these fields. The type has the same name and path each time.
macro_rules! hash_with {
    ($($field:ident: $type:ty),*) => {{
        #[derive(Resource, Clone, Default, Serialize, Deserialize)]
        struct Hull { $($field: $type),* }
        impl PlayerInput for Hull {}
        [
            hash(|app| { app.replicate::<Hull>(); }),
            hash(|app| { app.message::<Hull>(Channel::ReliableOrdered); }),
            hash(|app| { app.replicate_resource::<Hull>(); }),
            hash(|app| { app.input::<Hull>(); }),
        ]
    }};
}

#[test]
fn the_hash_covers_names_order_and_formats_of_fields() {
    let revisions = [
        hash_with!(now: u16, max: u16),
        hash_with!(max: u16, now: u16),
        hash_with!(now: u16, most: u16),
        hash_with!(now: u16, max: u32),
        hash_with!(now: u16, max: i16),
        hash_with!(now: u16),
        hash_with!(now: u16, max: u16, more: u16),
        hash_with!(now: u16, max: Option<u16>),
        hash_with!(now: f32, max: f32),
        hash_with!(now: f64, max: f64),
        hash_with!(now: u16, max: Vec<u16>),
        hash_with!(now: u16, max: (u16, u16)),
        hash_with!(now: u16, max: [u16; 3]),
        hash_with!(now: u16, max: BTreeMap<u8, u16>),
        hash_with!(now: u16, max: String),
    ];
    for kind in 0..4 {
        let mut hashes: Vec<_> = revisions.iter().map(|hashes| hashes[kind].0).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), revisions.len(), "kind {kind}");
    }
    assert_eq!(hash_with!(now: u16, max: u16), revisions[0]);
}

/// Evaluates to the hash of a protocol with a type that has an enum of these variants inside.
macro_rules! hash_with_variants {
    ($($variants:tt)*) => {{
        #[derive(Clone, Serialize, Deserialize)]
        enum Mode { $($variants)* }
        #[derive(Component, Clone, Serialize, Deserialize)]
        struct Engine(Vec<Mode>);
        hash(|app| { app.replicate::<Engine>(); })
    }};
}

#[test]
fn the_hash_covers_names_order_and_content_of_variants_deep_inside() {
    let mut hashes = vec![
        hash_with_variants!(Off, Idle { rpm: u16, heat: u16 }, On(u8)).0,
        hash_with_variants!(Idle { rpm: u16, heat: u16 }, Off, On(u8)).0,
        hash_with_variants!(Off, Idle { heat: u16, rpm: u16 }, On(u8)).0,
        hash_with_variants!(Off, Idle { rpm: u16, heat: u16 }, On(u16)).0,
        hash_with_variants!(Off, Idle { rpm: u16, heat: u16 }, Run(u8)).0,
        hash_with_variants!(Off, Idle { rpm: u16, heat: u16 }, On(u8), Broken).0,
    ];
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 6);
}

#[test]
fn a_version_of_the_game_is_shown_and_is_part_of_the_hash() {
    let version = |text: &str| {
        let mut app = App::empty();
        app.protocol_version(text);
        app.world().resource::<Protocol>().version()
    };
    assert!(version("1.4.2").to_string().starts_with("1.4.2 (hash "));
    assert_ne!(version("1.4.2").hash, version("1.4.3").hash);
    assert_ne!(version("1.4.2").hash, Protocol::default().hash());
    assert_eq!(Protocol::default().version().release, Release::CURRENT);
}

#[test]
#[should_panic(expected = "a version has 1 to 32 printable ASCII characters without spaces, not \"one two\"")]
fn a_version_with_a_space_panics() {
    App::empty().protocol_version("one two");
}

#[derive(Component, Clone, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Open { width: u8 },
}

#[derive(Component, Clone, Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    width: u8,
}

#[derive(Clone, Serialize, Deserialize)]
struct Inner {
    height: u8,
}

#[derive(Component, Clone, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Component, Clone, Default, Serialize, Deserialize)]
struct Stock(HashMap<u8, u32>);

#[derive(Component, Clone, Default, Serialize, Deserialize)]
struct Sorted(BTreeMap<u8, u32>);

#[derive(Component, Clone, Serialize, Deserialize)]
struct Text(String);

/// Returns what is said about a component's values, in order.
fn faults<T>(codec: impl ComponentCodec<T>, values: impl IntoIterator<Item = T>) -> Vec<String>
where
    T: Component + Clone,
{
    let mut app = App::empty();
    app.replicate_with(codec);
    let protocol = app.world().resource::<Protocol>().clone();
    let entry = protocol.component_of::<T>().unwrap();
    let values = values.into_iter();
    values
        .filter_map(|value| Some(entry.check(&value)?.to_string()))
        .collect()
}

#[test]
fn a_value_that_cannot_be_decoded_is_said_once() {
    let open = Tagged::Open { width: 3 };
    let said = faults(Serde, [open.clone(), open]);
    assert!(
        matches!(&said[..], [one] if one.contains("cannot be decoded") && one.contains("bytes (at most 512)")),
        "{said:?}"
    );
    let (name, width) = (None, 3);
    let said = faults(Serde, [Skips { name, width }]);
    assert!(said[0].contains("cannot be decoded"), "{said:?}");
    let inner = Inner { height: 3 };
    let said = faults(Serde, [Flat { inner }]);
    assert!(said[0].contains("cannot be sent"), "{said:?}");
    assert!(faults(Serde, [Text("fine".into())]).is_empty());
}

#[test]
fn a_value_over_the_limit_is_said_with_size_and_limit() {
    for bytes in [COMPONENT_BYTES_MAX, 70_000] {
        let said = faults(Serde, [Text("x".repeat(bytes)), Text("x".repeat(bytes))]);
        let encoded = bytes + if bytes > 65_535 { 5 } else { 3 };
        let expected = format!("the value cannot be sent: {encoded} bytes are more than the 512 allowed");
        assert_eq!(said, [expected]);
    }
}

#[test]
fn a_hash_map_is_said_at_the_first_value_even_if_it_is_empty() {
    let stocks = [Stock::default(), Stock((0..9).map(|n| (n, 7)).collect())];
    for stock in &stocks {
        let said = faults(Serde, [stock.clone(), stocks[1].clone()]);
        assert!(
            matches!(&said[..], [one] if one.contains("not encoded alike")),
            "{said:?}"
        );
    }
    let sorted = (0..9).map(|n| (n, 7)).collect();
    assert!(faults(Serde, [Sorted::default(), Sorted(sorted)]).is_empty());
}

#[test]
fn a_hash_map_in_a_format_of_the_game_is_said_at_a_value_with_several_elements() {
    let pairs = Custom {
        name: "pairs",
        encode: |stock: &Stock, out| out.extend(stock.0.iter().flat_map(|(&key, &value)| [key, value as u8])),
        decode: |bytes| {
            let pairs = bytes.chunks_exact(2);
            Some(Stock(pairs.map(|pair| (pair[0], pair[1].into())).collect()))
        },
    };
    let said = faults(
        pairs,
        [Stock::default(), Stock((0..20).map(|n| (n, 7)).collect())],
    );
    assert!(
        matches!(&said[..], [one] if one.contains("not encoded alike")),
        "{said:?}"
    );
}

#[derive(Component, Clone)]
struct Yaw(f32);

impl From<&Yaw> for [f32; 1] {
    fn from(yaw: &Yaw) -> Self {
        [yaw.0]
    }
}

impl From<[f32; 1]> for Yaw {
    fn from([yaw]: [f32; 1]) -> Self {
        Self(yaw)
    }
}

#[test]
fn a_format_that_rounds_is_no_fault() {
    let values = [0.004, 1e7 + 1.0, f32::MAX, f32::NAN].map(Yaw);
    assert!(faults(Delta::<1>::quantized(0.01), values).is_empty());
}

#[test]
fn faults_of_messages_and_inputs_are_said_once() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Long(Vec<u8>);
    impl PlayerInput for Long {
        fn validate(&self) -> Result<(), &'static str> {
            if self.0.is_empty() {
                Ok(())
            } else {
                Err("not empty")
            }
        }
    }
    let mut app = App::empty();
    app.input::<Long>().message::<Tagged>(Channel::ReliableOrdered);
    app.message::<Text>(Channel::ReliableOrdered);
    let protocol = app.world().resource::<Protocol>();

    let mut said = Vec::new();
    let mut send = |text: &str| {
        let mut bytes = Vec::new();
        let encoded = protocol.encode_message(&Text(text.into()), &mut bytes);
        let entry = encoded.map(|_| &protocol.messages()[1]);
        said.extend(
            protocol
                .message_fault::<Text>(&entry, &bytes)
                .map(|fault| fault.to_string()),
        );
    };
    send("short");
    send(&"x".repeat(MESSAGE_BYTES_MAX));
    send(&"x".repeat(70_000));
    let limit = MESSAGE_BYTES_MAX - 2;
    let expected = format!(
        "the value cannot be sent: {} bytes are more than the {limit} allowed",
        MESSAGE_BYTES_MAX + 3
    );
    assert_eq!(said, [expected]);

    let mut bytes = Vec::new();
    let open = Tagged::Open { width: 1 };
    protocol.encode_message(&open, &mut bytes).unwrap();
    let sent = Ok(&protocol.messages()[0]);
    let fault = protocol.message_fault::<Tagged>(&sent, &bytes).unwrap();
    assert!(fault.to_string().contains("cannot be decoded"), "{fault}");
    assert_eq!(protocol.message_fault::<Tagged>(&sent, &bytes), None);

    let input = |length| protocol.encode_input(&Long(vec![7; length]));
    assert_eq!(protocol.input_fault(&input(0)), None);
    let refused = protocol.input_fault(&input(1)).unwrap();
    assert!(refused.to_string().contains("not empty"), "{refused}");
    let long = protocol.input_fault(&input(40)).unwrap();
    assert_eq!(
        long.to_string(),
        "the value cannot be sent: 41 bytes are more than the 24 allowed"
    );
    assert_eq!(protocol.input_fault(&input(40)), None);
}
