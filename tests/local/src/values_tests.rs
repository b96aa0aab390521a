//! Values that cannot be sent as they are, and revisions of a game that do not fit each other: what both ends do and log.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use serde::{Deserialize, Serialize};
use throng_client::world::{NextInput, Own};
use throng_server::prelude::*;
use throng_shared::protocol::registry::Protocol;

use super::fixtures::welcome;
use super::log::LogCapture;
use super::*;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note(String);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page<const N: u8>(String);

#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stock(HashMap<u8, u32>);

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Door {
    Open { width: u8 },
}

/// Decodes only below 100.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
struct Percent(u8);

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = &'static str;

    fn try_from(percent: u8) -> Result<Self, Self::Error> {
        if percent < 100 {
            Ok(Self(percent))
        } else {
            Err("more than all")
        }
    }
}

#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rules(String);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Keys(Vec<u8>);
impl PlayerInput for Keys {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Letter(String);

fn protocol(app: &mut App) {
    app.replicate::<Note>();
    app.replicate::<Page<0>>();
    app.replicate::<Page<1>>();
    app.replicate::<Page<2>>();
    app.replicate::<Stock>();
    app.replicate::<Door>();
    app.replicate::<Percent>();
    app.replicate_resource::<Rules>();
    app.message::<Letter>(Channel::ReliableOrdered);
    app.input::<Keys>();
}

fn server(app: &mut App) {
    app.add_plugins(protocol)
        .add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
}

/// Starts a game with one player, whose avatar has these components. Returns the avatar too.
fn playing(bundle: impl Bundle) -> (LocalGame, LocalPlayer, Entity) {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", protocol);
    let player = game.player(ada).unwrap();
    let avatar = game.server().get::<Avatar>(player).unwrap().0;
    game.server().entity_mut(avatar).insert(bundle);
    game.run(4);
    (game, ada, avatar)
}

/// Returns the component of the client's own entity.
fn own<T: Component + Clone>(game: &mut LocalGame, player: LocalPlayer) -> Option<T> {
    let world = game.world(player);
    let mut query = world.query_filtered::<Option<&T>, With<Own>>();
    query.single(world).unwrap().cloned()
}

#[test]
fn revisions_with_two_fields_swapped_refuse_each_other_and_name_both_versions() {
    let mut game = {
        #[derive(Component, Clone, Serialize, Deserialize)]
        struct Hull {
            now: u16,
            max: u16,
        }
        LocalGame::new(|app: &mut App| {
            app.replicate::<Hull>().protocol_version("1.4.1");
        })
    };
    let client = {
        #[derive(Component, Clone, Serialize, Deserialize)]
        struct Hull {
            max: u16,
            now: u16,
        }
        |app: &mut App| {
            app.replicate::<Hull>().protocol_version("1.4.1");
        }
    };
    let server = game.server().resource::<Protocol>().version().to_string();
    assert!(server.starts_with("1.4.1 (hash "), "{server}");
    let mut refusal = String::new();
    let logged = LogCapture::lines_of("another protocol", || {
        let joined = catch_unwind(AssertUnwindSafe(|| game.join("Ada", client)));
        let reason = joined.expect_err("the revisions meet");
        refusal = reason.downcast_ref::<String>().cloned().unwrap_or_default();
    });
    assert!(
        refusal.contains(&format!("the server speaks protocol {server}")),
        "{refusal}"
    );
    assert!(refusal.contains("the client 1.4.1 (hash "), "{refusal}");
    assert!(
        logged.len() == 1
            && logged[0].contains(&format!("server={server}"))
            && logged[0].contains("client=1.4.1 (hash "),
        "{logged:?}"
    );
}

#[test]
fn a_component_that_grows_over_the_limit_is_removed_at_clients_until_it_fits_and_said_once() {
    let text = |bytes| Note("x".repeat(bytes));
    let (mut game, ada, avatar) = playing(text(10));
    assert_eq!(own::<Note>(&mut game, ada), Some(text(10)));
    // After the values that are checked when they are first seen.
    for _ in 0..70 {
        game.server().get_mut::<Note>(avatar).unwrap().set_changed();
        game.run(1);
    }
    let global = game.server().get::<Replicated>(avatar).unwrap().global();
    let lines = LogCapture::lines_of("Note", || {
        for bytes in [600, 601, 602] {
            game.server().entity_mut(avatar).insert(text(bytes));
            game.run(4);
            assert_eq!(own::<Note>(&mut game, ada), None);
        }
    });
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in [
        &format!("entity={global}"),
        "603 bytes",
        "512",
        "values_tests::Note",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // Another component that changes does not bring the old value back.
    game.server().entity_mut(avatar).insert(Percent(7));
    game.run(4);
    assert_eq!(own::<Note>(&mut game, ada), None);
    assert_eq!(own::<Percent>(&mut game, ada), Some(Percent(7)));
    game.server().entity_mut(avatar).insert(text(20));
    game.run(4);
    assert_eq!(own::<Note>(&mut game, ada), Some(text(20)));
}

#[test]
fn components_that_do_not_fit_a_packet_together_leave_no_old_value() {
    let page = |bytes| "x".repeat(bytes);
    let (mut game, ada, avatar) = playing((Page::<0>(page(9)), Page::<1>(page(9)), Page::<2>(page(9))));
    assert_eq!(own(&mut game, ada), Some(Page::<2>(page(9))));
    let lines = LogCapture::lines_of("Page<2>", || {
        let pages = (Page::<0>(page(400)), Page::<1>(page(401)), Page::<2>(page(402)));
        game.server().entity_mut(avatar).insert(pages);
        game.run(4);
    });
    assert_eq!(own(&mut game, ada), Some(Page::<1>(page(401))));
    assert_eq!(own::<Page<2>>(&mut game, ada), None);
    assert!(
        matches!(&lines[..], [line] if line.contains("405 bytes") && line.contains("900 together")),
        "{lines:?}"
    );
    game.server().entity_mut(avatar).insert(Page::<2>(page(403)));
    game.run(4);
    assert_eq!(own(&mut game, ada), Some(Page::<2>(page(403))));
}

#[test]
fn a_component_that_serde_cannot_decode_is_said_once_by_the_server_without_a_client() {
    let mut game = LocalGame::new(server);
    let lines = LogCapture::lines_of("Door", || {
        for width in 0..3 {
            game.server().spawn((Replicated::default(), Door::Open { width }));
            game.run(2);
        }
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("entity=#1") && line.contains("cannot be decoded")),
        "{lines:?}"
    );
}

#[test]
fn a_value_that_the_client_cannot_decode_replaces_the_old_one_by_nothing() {
    let (mut game, ada, avatar) = playing(Percent(7));
    assert_eq!(own(&mut game, ada), Some(Percent(7)));
    let lines = LogCapture::lines_of("Percent", || {
        for percent in [150, 151] {
            game.server().entity_mut(avatar).insert(Percent(percent));
            game.run(4);
            assert_eq!(own::<Percent>(&mut game, ada), None);
        }
    });
    let [at_server, at_client] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(at_server.contains("is not replicated as it is"), "{at_server}");
    assert!(at_client.contains("removed a component"), "{at_client}");
    game.server().entity_mut(avatar).insert(Percent(8));
    game.run(4);
    assert_eq!(own(&mut game, ada), Some(Percent(8)));
}

#[test]
fn a_hash_map_is_said_once_with_type_and_entity_even_while_it_is_empty() {
    let mut game = LocalGame::new(server);
    let lines = LogCapture::lines_of("Stock", || {
        game.server().spawn((Replicated::default(), Stock::default()));
        game.run(2);
        let stock = Stock((0..9).map(|n| (n, 1)).collect());
        game.server().spawn((Replicated::default(), stock));
        game.run(2);
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("entity=#1") && line.contains("not encoded alike")),
        "{lines:?}"
    );
}

#[test]
fn a_resource_that_grows_over_the_limit_is_removed_at_clients_and_said_once() {
    let (mut game, ada, _) = playing(());
    let rules = |bytes| Rules("x".repeat(bytes));
    game.server().insert_resource(rules(5));
    game.run(4);
    assert_eq!(game.world(ada).get_resource(), Some(&rules(5)));
    let lines = LogCapture::lines_of("Rules", || {
        for bytes in [2_000, 2_001] {
            game.server().insert_resource(rules(bytes));
            game.run(4);
            assert_eq!(game.world(ada).get_resource::<Rules>(), None);
        }
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("2003 bytes") && line.contains("the 1021 allowed")),
        "{lines:?}"
    );
    game.server().insert_resource(rules(6));
    game.run(4);
    assert_eq!(game.world(ada).get_resource(), Some(&rules(6)));
}

#[test]
fn the_limits_that_errors_name_are_the_real_ones() {
    let (mut game, ada, _) = playing(());
    // The length of a text takes three bytes.
    for (bytes, fits) in [(1_022 - 3, true), (1_023 - 3, false)] {
        let letter = Letter("x".repeat(bytes));
        let send = move |mut tell: Tell| tell.all(&letter).map_err(|error| error.to_string());
        let sent = game.server().run_system_once(send).unwrap();
        assert_eq!(sent.is_ok(), fits, "{sent:?}");
        let rules = Rules("x".repeat(bytes - 1));
        game.server().insert_resource(rules.clone());
        game.run(4);
        assert_eq!(game.world(ada).get_resource(), Some(&rules).filter(|_| fits));
    }
}

#[test]
fn a_message_over_the_limit_is_an_error_and_said_once() {
    let (mut game, ada, _) = playing(());
    let lines = LogCapture::lines_of("Letter", || {
        for bytes in [2_000, 70_000] {
            let letter = Letter("x".repeat(bytes));
            let send = move |mut tell: Tell| tell.all(&letter).map_err(|error| error.to_string());
            let sent = game.server().run_system_once(send).unwrap();
            assert!(sent.unwrap_err().contains("the 1022 allowed"));
        }
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("2003 bytes")),
        "{lines:?}"
    );
    assert!(game.player(ada).is_some());
}

#[test]
fn an_input_over_the_limit_becomes_the_neutral_one_and_is_said_once() {
    let (mut game, ada, _) = playing(());
    let set = |game: &mut LocalGame, keys: usize| {
        let set = move |protocol: Res<Protocol>, mut next: ResMut<NextInput>| {
            let keys = Keys(vec![1; keys]);
            let set = next.set(&protocol, &keys).map_err(|error| error.to_string());
            (set, next.0 == protocol.neutral_input())
        };
        game.world(ada).run_system_once(set).unwrap()
    };
    assert_eq!(set(&mut game, 3), (Ok(()), false));
    let lines = LogCapture::lines_of("Keys", || {
        for keys in [40, 41] {
            let (sent, is_neutral) = set(&mut game, keys);
            assert!(sent.unwrap_err().contains("the 24 allowed"));
            assert!(is_neutral);
        }
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("41 bytes")),
        "{lines:?}"
    );
}
