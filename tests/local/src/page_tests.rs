//! What `docs/gameplay.md` says about teams on players and avatars and about rounding, its chat and its round timer.

use bevy_app::{App, FixedUpdate, Update};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_client::world::TellServer;
use throng_server::prelude::*;
use throng_shared::protocol::active::TakenInput;

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
fn a_team_that_is_removed_from_a_player_is_no_team() {
    let mut game = LocalGame::new(server);
    let [ada, mate] = ["Ada", "Bob"].map(|name| game.join(name, client));
    game.run(3);
    set_teams(&mut game, ada, 1, 1);
    set_teams(&mut game, mate, 1, 1);
    game.run(5);
    assert_eq!(seen(&mut game, ada, mate), Some(Plan(7)));
    let (player, plan_of) = (game.player(ada).unwrap(), avatar(&mut game, mate));
    game.server().entity_mut(player).remove::<Team>();
    game.server().entity_mut(plan_of).insert(Plan(8));
    game.run(5);
    assert_eq!(seen::<Plan>(&mut game, ada, mate), None, "its plan is stale");
    assert_eq!(game.server().get(player), Some(&Team(TeamId::NONE)));
    game.server().entity_mut(player).insert(Team(TeamId(1)));
    game.run(5);
    assert_eq!(seen(&mut game, ada, mate), Some(Plan(8)));
}

#[test]
fn a_player_whose_required_components_are_removed_is_sent_on() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(3);
    let (player, ship) = (game.player(ada).unwrap(), avatar(&mut game, ada));
    let mut x = 0.0;
    let mut is_sent = |game: &mut LocalGame| {
        x += 1.0;
        game.server().entity_mut(ship).insert(Position(Vec2::new(x, 0.0)));
        game.run(5);
        seen::<Position>(game, ada, ada) == Some(Position(Vec2::new(x, 0.0)))
    };
    assert!(is_sent(&mut game));
    game.server().entity_mut(player).remove::<Room>();
    assert!(is_sent(&mut game), "without its room");
    game.server().entity_mut(player).remove::<Eye>();
    assert!(is_sent(&mut game), "without its eye");
    game.server().entity_mut(player).remove::<TakenInput>();
    assert!(is_sent(&mut game), "without its input");
    let all = game.server().entity(player).archetype().components().to_vec();
    let own: Vec<_> = all
        .into_iter()
        .filter(|&component| {
            let name = game.server().components().get_name(component).unwrap();
            let is_kept = ["::Player", "::Avatar", "::Viewer"]
                .iter()
                .any(|kept| name.ends_with(kept));
            !is_kept
        })
        .collect();
    for component in own {
        let name = game.server().components().get_name(component).unwrap();
        game.server().entity_mut(player).remove_by_id(component);
        assert!(is_sent(&mut game), "without {name}");
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

// The round timer of the page begins here.
/// The round that is played, and the tick in which it ends.
#[derive(Resource, Serialize, Deserialize)]
struct Round {
    number: u32,
    ends: Tick,
}

/// A part of the protocol, which both ends add.
fn round_protocol(app: &mut App) {
    app.replicate_resource::<Round>();
}

/// A system of the server, in `FixedUpdate`, in `ServerSystems::Simulate`: a round takes 90 seconds.
fn run_rounds(round: Option<ResMut<Round>>, time: Res<TickTime>, mut commands: Commands) {
    let length = (90.0 / time.length.as_secs_f32()) as u32;
    let ends = time.tick + length;
    match round {
        None => commands.insert_resource(Round { number: 1, ends }),
        Some(mut round) if time.tick.since(round.ends) >= 0 => {
            let number = round.number + 1;
            *round = Round { number, ends };
        }
        Some(_) => {}
    }
}

/// What is left of the round at a client, in seconds; `None` without a session.
fn seconds_left(round: Option<Res<Round>>, clock: Res<ClientClock>) -> Option<f32> {
    Some(clock.until(round?.ends)?.max(0.0))
}
// The round timer of the page ends here.

#[test]
fn a_client_counts_a_round_down_by_the_tick_of_its_end() {
    let mut game = LocalGame::new(|app: &mut App| {
        app.add_plugins((server, round_protocol))
            .add_systems(FixedUpdate, run_rounds.in_set(ServerSystems::Simulate));
    });
    let ada = game.join("Ada", |app: &mut App| {
        app.add_plugins((protocol, round_protocol));
    });
    game.run(20);
    for ticks in [40, 400, 1_400] {
        let tick = game.server().resource::<TickTime>().tick;
        let ends = game.server().resource::<Round>().ends;
        let expected = ends.since(tick) as f32 / 20.0;
        let left = game.world(ada).run_system_once(seconds_left).unwrap().unwrap();
        assert!(
            (left - expected).abs() < 0.15,
            "{left} s at the client, {expected} s at the server"
        );
        let past = game
            .world(ada)
            .resource::<ClientClock>()
            .until(tick - 20)
            .unwrap();
        assert!((past + 1.0).abs() < 0.15, "{past} s to a tick of a second ago");
        game.run(ticks);
    }
    assert_eq!(game.world(ada).resource::<Round>().number, 2);
    assert_eq!(ClientClock::default().until(Tick(5)), None);
}

#[test]
fn the_page_shows_the_chat_and_the_timer_that_the_tests_run() {
    let page = include_str!("../../../docs/gameplay.md");
    let file = include_str!("page_tests.rs");
    for part in ["chat", "round timer"] {
        let begin = format!("// The {part} of the page begins here.\n");
        let shown = between(file, &begin, &format!("// The {part} of the page ends here."));
        assert!(page.contains(shown), "docs/gameplay.md does not show\n{shown}");
    }
}
