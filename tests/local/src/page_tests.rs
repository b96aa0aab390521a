//! What `docs/gameplay.md` says about teams on players and avatars and about rounding, and its chat.

use bevy_app::{App, FixedUpdate, Update};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_client::world::TellServer;
use throng_server::prelude::*;

use super::fixtures::{self, avatar, between};
use super::*;

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan(u8);

fn protocol(app: &mut App) {
    app.replicate::<Plan>().visible_to(Visibility::Team);
    app.replicate::<Team>();
}

fn server(app: &mut App) {
    app.add_plugins(protocol)
        .add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
}

fn client(app: &mut App) {
    app.add_plugins(protocol);
}

fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let body = (Replicated::default(), Owner(joined.player.id), Plan(7));
        let avatar = Avatar(commands.spawn(body).id());
        commands
            .entity(joined.entity)
            .insert((avatar, Viewer { radius: 50.0 }));
    }
}

/// Gives a player and its avatar teams; 0 is none.
fn set_teams(game: &mut LocalGame, player: LocalPlayer, on_player: u8, on_avatar: u8) {
    let (entity, avatar) = (game.player(player).unwrap(), avatar(game, player));
    game.server().entity_mut(entity).insert(Team(TeamId(on_player)));
    game.server().entity_mut(avatar).insert(Team(TeamId(on_avatar)));
}

/// Returns the component `T` that `viewer` has of the avatar of `of`, which it must see.
fn seen<T: Component + Clone>(game: &mut LocalGame, viewer: LocalPlayer, of: LocalPlayer) -> Option<T> {
    let avatar = avatar(game, of);
    let entity = fixtures::seen(game, viewer, avatar).expect("it is in view");
    game.world(viewer).get::<T>(entity).cloned()
}

#[test]
fn team_components_are_sent_by_the_team_of_the_player_and_that_of_the_entity() {
    let mut game = LocalGame::new(server);
    let [own, mate, other] = ["Ada", "Bob", "Cid"].map(|name| game.join(name, client));
    game.run(3);
    set_teams(&mut game, mate, 1, 1);
    set_teams(&mut game, other, 2, 2);
    // Teams of the player and of its avatar, and which of itself, a mate of team 1 and a player of team 2 are sent its plan.
    for (on_player, on_avatar, expected) in [
        (1, 1, [true, true, false]),
        (1, 0, [false, false, false]),
        (0, 1, [false, true, false]),
        (1, 2, [false, false, true]),
        (0, 0, [false, false, false]),
        (1, 1, [true, true, false]),
    ] {
        set_teams(&mut game, own, on_player, on_avatar);
        game.run(5);
        let sent = [own, mate, other].map(|viewer| seen::<Plan>(&mut game, viewer, own).is_some());
        assert_eq!(sent, expected, "player {on_player}, avatar {on_avatar}");
        let team = seen::<Team>(&mut game, other, own);
        assert_eq!(
            team,
            Some(Team(TeamId(on_avatar))),
            "every client is sent the avatar's team"
        );
        let sees_mates = seen::<Plan>(&mut game, own, mate).is_some();
        assert_eq!(sees_mates, on_player == 1, "player {on_player}");
    }
}

#[test]
fn a_pose_is_sent_in_steps_and_keeps_its_digits_at_the_server() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(3);
    let ship = avatar(&mut game, ada);
    let exact = (
        Position(Vec2::new(1.234_56, -0.004)),
        Velocity(Vec2::new(1.03, 0.02)),
        Heading(4.0),
    );
    game.server().entity_mut(ship).insert(exact);
    game.run(3);
    assert_eq!(game.server().get::<Position>(ship), Some(&exact.0));
    assert_eq!(
        seen::<Position>(&mut game, ada, ada),
        Some(Position(Vec2::new(1.23, 0.0)))
    );
    assert_eq!(
        seen::<Velocity>(&mut game, ada, ada),
        Some(Velocity(Vec2::new(1.05, 0.0)))
    );
    let heading = seen::<Heading>(&mut game, ada, ada).unwrap().0;
    let turn = std::f32::consts::TAU;
    assert!((heading - (4.0 - turn)).abs() <= turn / 2_048.0, "{heading}");
}

// The chat of the page begins here.
#[derive(Serialize, Deserialize)]
struct Say(String);

#[derive(Serialize, Deserialize)]
struct Said {
    name: String,
    text: String,
}

/// A part of the protocol, which both ends add.
fn chat_protocol(app: &mut App) {
    app.message_to_server::<Say>(Channel::ReliableOrdered);
    app.message_to_clients::<Said>(Channel::ReliableOrdered);
}

/// A system of the server, in `FixedUpdate`, in `ServerSystems::Simulate`.
fn chat(mut lines: MessageReader<FromPlayer<Say>>, players: Query<&Player>, mut tell: Tell) -> Result {
    for line in lines.read() {
        // A player may have left since the line arrived.
        let Ok(player) = players.get(line.player) else {
            continue;
        };
        tell.all(&Said {
            name: player.name.to_string(),
            text: line.message.0.chars().take(200).collect(),
        })?;
    }
    Ok(())
}
// The chat of the page ends here.

/// What a client was shown.
#[derive(Resource, Default)]
struct Shown(Vec<String>);

fn show_chat(mut said: MessageReader<FromServer<Said>>, mut shown: ResMut<Shown>) {
    for FromServer(said) in said.read() {
        shown.0.push(format!("{}: {}", said.name, said.text));
    }
}

fn chat_client(app: &mut App) {
    app.add_plugins((protocol, chat_protocol))
        .init_resource::<Shown>()
        .add_systems(Update, show_chat);
}

#[test]
fn a_line_of_the_chat_of_the_page_is_shown_to_all_in_its_first_200_characters() {
    let mut game = LocalGame::new(|app: &mut App| {
        app.add_plugins((server, chat_protocol))
            .add_systems(FixedUpdate, chat.in_set(ServerSystems::Simulate));
    });
    let [ada, bob] = ["Ada", "Bob"].map(|name| game.join(name, chat_client));
    game.run(3);
    // Four bytes for each character: 200 of them and a name fit into a message.
    for (player, text) in [(ada, "Hello".to_owned()), (bob, "\u{1F680}".repeat(250))] {
        let say = move |mut tell: TellServer| tell.send(&Say(text.clone())).unwrap();
        game.world(player).run_system_once(say).unwrap();
        game.run(4);
    }
    let expected = [
        "Ada: Hello".to_owned(),
        format!("Bob: {}", "\u{1F680}".repeat(200)),
    ];
    for player in [ada, bob] {
        assert_eq!(game.world(player).resource::<Shown>().0, expected);
    }
}

#[test]
fn the_page_shows_the_chat_that_the_test_runs() {
    let page = include_str!("../../../docs/gameplay.md");
    let file = include_str!("page_tests.rs");
    let chat = between(
        file,
        "// The chat of the page begins here.\n",
        "// The chat of the page ends here.",
    );
    assert!(page.contains(chat), "docs/gameplay.md does not show\n{chat}");
}
