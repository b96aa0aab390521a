//! Messages that clients receive besides the state: chat, the score board, hits, explosions, content.

use bevy_app::{App, Last};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use glam::Vec2;
use skirmish_shared::SkirmishProtocol;
use skirmish_shared::chat::{BURST_LINES, ChatChannel, ChatLine, ChatNotice, Say, TEXT_BYTES_MAX};
use skirmish_shared::components::{Beam, BeamHit, Callsign, Hull, Score, Shield};
use skirmish_shared::content::ContentHash;
use skirmish_shared::input::PilotInput;
use skirmish_shared::messages::{
    ContentAnnounced, ContentTable, Destroyed, Exploded, Explosion, Hit, Killer,
};
use skirmish_shared::standings::{OwnStanding, Standings};
use throng_client::world::{NextInput, Own, TellServer};
use throng_local::{LocalGame, LocalPlayer};
use throng_server::simulation::{Avatar, Replicated};
use throng_shared::protocol::ids::TeamId;
use throng_shared::protocol::pose::{Heading, Position};
use throng_shared::protocol::registry::{FromServer, Protocol};

use super::shot;
use crate::SkirmishPlugin;
use crate::components::Condition;
use crate::content::{ReloadedRules, Rules, Sources};

/// All messages that a client received, in order.
#[derive(Resource, Default)]
struct ReceivedMessages {
    chat: Vec<ChatLine>,
    notices: Vec<ChatNotice>,
    hits: Vec<Hit>,
    explosions: Vec<Explosion>,
    destroyed: Vec<Destroyed>,
    own: Vec<OwnStanding>,
    tables: Vec<ContentTable>,
    hashes: Vec<ContentHash>,
}

fn client(app: &mut App) {
    app.add_plugins(SkirmishProtocol)
        .init_resource::<ReceivedMessages>()
        .add_systems(Last, (receive_events, receive_content).chain());
}

fn receive_events(
    mut chat: MessageReader<FromServer<ChatLine>>,
    mut notices: MessageReader<FromServer<ChatNotice>>,
    mut hits: MessageReader<FromServer<Hit>>,
    mut explosions: MessageReader<FromServer<Explosion>>,
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    mut received: ResMut<ReceivedMessages>,
) {
    received.chat.extend(chat.read().map(|message| message.0.clone()));
    received
        .notices
        .extend(notices.read().map(|message| message.0.clone()));
    received.hits.extend(hits.read().map(|message| message.0));
    received
        .explosions
        .extend(explosions.read().map(|message| message.0));
    received
        .destroyed
        .extend(destroyed.read().map(|message| message.0.clone()));
}

fn receive_content(
    mut own: MessageReader<FromServer<OwnStanding>>,
    mut tables: MessageReader<FromServer<ContentTable>>,
    mut hashes: MessageReader<FromServer<ContentAnnounced>>,
    mut received: ResMut<ReceivedMessages>,
) {
    received.own.extend(own.read().map(|message| message.0.clone()));
    received
        .tables
        .extend(tables.read().map(|message| message.0.clone()));
    received
        .hashes
        .extend(hashes.read().map(|message| message.0.hash));
}

/// Starts a game with pilots of these names along the x axis, 10 units apart, heading along it.
fn space_with<const N: usize>(names: [&str; N]) -> (LocalGame, [LocalPlayer; N]) {
    let mut game = LocalGame::new(SkirmishPlugin::new(0, 0));
    let pilots = names.map(|name| game.join(name, client));
    for (n, &pilot) in pilots.iter().enumerate() {
        place_ship(&mut game, pilot, Vec2::new(10.0 * n as f32, 0.0));
    }
    game.run(4);
    (game, pilots)
}

fn ship(game: &mut LocalGame, pilot: LocalPlayer) -> Entity {
    let player = game.player(pilot).unwrap();
    game.server().get::<Avatar>(player).unwrap().0
}

fn place_ship(game: &mut LocalGame, pilot: LocalPlayer, position: Vec2) {
    let ship = ship(game, pilot);
    let unprotected = (Position(position), Heading(0.0), Condition::default());
    game.server().entity_mut(ship).insert(unprotected);
}

fn received(game: &mut LocalGame, pilot: LocalPlayer) -> Mut<'_, ReceivedMessages> {
    game.world(pilot).resource_mut::<ReceivedMessages>()
}

fn say(game: &mut LocalGame, pilot: LocalPlayer, channel: ChatChannel, text: &str) {
    let line = Say {
        channel,
        text: text.to_owned(),
    };
    let speak = move |mut tell: TellServer| tell.send(&line).unwrap();
    game.world(pilot).run_system_once(speak).unwrap();
    game.run(4);
}

/// Takes the chat lines that each pilot received since the last call.
fn take_chat<const N: usize>(game: &mut LocalGame, pilots: [LocalPlayer; N]) -> [Vec<String>; N] {
    pilots.map(|pilot| {
        let lines = std::mem::take(&mut received(game, pilot).chat);
        lines
            .into_iter()
            .map(|line| format!("{}: {}", line.from, line.text))
            .collect()
    })
}

fn hold(game: &mut LocalGame, pilot: LocalPlayer, buttons: u8) {
    let input = PilotInput {
        buttons,
        ..PilotInput::default()
    };
    let world = game.world(pilot);
    let bytes = world.resource::<Protocol>().encode_input(&input).unwrap();
    world.insert_resource(NextInput(bytes));
}

#[test]
fn chat_reaches_pilots_nearby_the_team_or_one_pilot_by_channel() {
    // Teams 1, 2, 1, 2.
    let (mut game, pilots) = space_with(["Ada", "Bob", "Cyd", "Dan"]);
    place_ship(&mut game, pilots[2], Vec2::new(0.0, 500.0));
    place_ship(&mut game, pilots[3], Vec2::new(0.0, 500.0));
    game.run(2);
    say(&mut game, pilots[0], ChatChannel::Nearby, "hello\u{7}  there\n");
    let line = || vec!["Ada: hello there".to_owned()];
    assert_eq!(take_chat(&mut game, pilots), [line(), line(), vec![], vec![]]);
    say(&mut game, pilots[0], ChatChannel::Team, "hello there");
    assert_eq!(take_chat(&mut game, pilots), [line(), vec![], line(), vec![]]);
    say(
        &mut game,
        pilots[0],
        ChatChannel::Tell("dAN".to_owned()),
        "hello there",
    );
    let last = received(&mut game, pilots[3]).chat.last().unwrap().clone();
    assert_eq!(last.channel, ChatChannel::Tell("Dan".to_owned()));
    assert_eq!((last.team, last.from.as_str()), (TeamId(1), "Ada"));
    assert_eq!(take_chat(&mut game, pilots), [line(), vec![], vec![], line()]);
    game.leave(pilots[3]);
    game.run(4);
    say(&mut game, pilots[0], ChatChannel::Tell("Dan".to_owned()), "gone?");
    assert_eq!(take_chat(&mut game, pilots).concat(), [""; 0]);
    let notices = &received(&mut game, pilots[0]).notices;
    assert_eq!(notices.last(), Some(&ChatNotice::NotOnline("Dan".to_owned())));
    assert_eq!(notices.last().unwrap().to_string(), "Dan is not online.");
}

#[test]
fn chat_beyond_the_limits_is_dropped_with_one_notice() {
    let (mut game, pilots) = space_with(["Ada", "Bob"]);
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    say(&mut game, pilots[0], ChatChannel::Nearby, &long);
    assert_eq!(
        received(&mut game, pilots[0]).notices.last(),
        Some(&ChatNotice::TooLong)
    );
    game.run(20);
    for n in 0..20 {
        let line = Say {
            channel: ChatChannel::Nearby,
            text: n.to_string(),
        };
        let speak = move |mut tell: TellServer| tell.send(&line).unwrap();
        game.world(pilots[0]).run_system_once(speak).unwrap();
    }
    game.run(6);
    assert_eq!(received(&mut game, pilots[1]).chat.len(), BURST_LINES as usize);
    let warnings = |game: &mut LocalGame| {
        let notices = &received(game, pilots[0]).notices;
        let is_warning = |notice: &&ChatNotice| matches!(notice, ChatNotice::TooFast { .. });
        notices.iter().filter(is_warning).count()
    };
    assert_eq!(warnings(&mut game), 1, "one notice for many lines");
    game.run(20);
    say(&mut game, pilots[0], ChatChannel::Nearby, "again");
    assert_eq!(take_chat(&mut game, [pilots[1]])[0].last().unwrap(), "Ada: again");
    assert_eq!(warnings(&mut game), 1);
}

#[test]
fn pilot_names_are_cleaned_and_unique() {
    let (mut game, pilots) = space_with(["Ada", "aDA", "  Ada "]);
    let names: Vec<String> = pilots
        .iter()
        .map(|&pilot| match received(&mut game, pilot).notices.first() {
            Some(ChatNotice::Welcome { name, .. }) => name.clone(),
            other => panic!("received {other:?} instead of a welcome"),
        })
        .collect();
    assert_eq!(names, ["Ada", "aDA-2", "Ada-3"]);
    let world = game.world(pilots[2]);
    let mut seen: Vec<String> = world
        .query::<&Callsign>()
        .iter(world)
        .map(|name| name.0.clone())
        .collect();
    seen.sort();
    assert_eq!(seen, ["Ada", "Ada-3", "aDA-2"]);
}

#[test]
fn score_board_lists_the_best_and_each_pilot_receives_its_own_rank() {
    let mut game = LocalGame::new(SkirmishPlugin::new(0, 0));
    let pilots: Vec<_> = (0..36).map(|n| game.join(&format!("P{n}"), client)).collect();
    for (n, &pilot) in pilots.iter().enumerate() {
        let player = game.player(pilot).unwrap();
        game.server().get_mut::<Score>(player).unwrap().kills = n as u32;
    }
    game.run(90);
    let (first, last) = (pilots[0], pilots[35]);
    for pilot in [first, last] {
        let board = game.world(pilot).resource::<Standings>();
        assert_eq!((board.pilots, board.best.len()), (36, 32));
        assert_eq!(
            (board.best[0].name.as_str(), board.best[0].score.kills),
            ("P35", 35)
        );
        assert_eq!(board.best[31].name, "P4");
        assert!(board.best[0].team != board.best[1].team);
    }
    let own = |game: &mut LocalGame, pilot| received(game, pilot).own.last().unwrap().clone();
    assert_eq!((own(&mut game, last).rank, own(&mut game, first).rank), (1, 36));
    assert_eq!(own(&mut game, first).standing.name, "P0");
    // An unchanged standing is not sent again.
    let sent_before = received(&mut game, first).own.len();
    game.run(90);
    assert_eq!(received(&mut game, first).own.len(), sent_before);
}

#[test]
fn shots_hits_and_deaths_are_sent_to_clients_in_sight() {
    let (mut game, [shooter, victim, far]) = space_with(["Ada", "Bob", "Cyd"]);
    place_ship(&mut game, far, Vec2::new(0.0, 500.0));
    let [gunship, target] = [shooter, victim].map(|pilot| {
        let ship = ship(&mut game, pilot);
        game.server().get::<Replicated>(ship).unwrap().global()
    });
    hold(&mut game, shooter, PilotInput::FIRE);
    game.run(12);
    for pilot in [shooter, victim] {
        let hit = *received(&mut game, pilot)
            .hits
            .first()
            .expect("the hit was not reported");
        assert_eq!((hit.victim, hit.by), (target, Some(gunship)));
        assert_eq!(
            (hit.damage, hit.absorbed),
            (shot(), shot()),
            "the shield absorbs it"
        );
    }
    // The victim's client shows the shooter's beam, and that the beam ended at a ship.
    let seen = game
        .world(victim)
        .resource::<throng_client::world::WorldMirror>()
        .find(gunship)
        .unwrap();
    let beam = *game.world(victim).get::<Beam>(seen).unwrap();
    assert_eq!(beam.hit, BeamHit::Craft);
    assert!((85..92).contains(&beam.reach_10) && beam.yaw == 0, "{beam:?}");
    // The final hit.
    let weak = ship(&mut game, victim);
    game.server()
        .entity_mut(weak)
        .insert((Hull { now: 1, max: 100 }, Shield::default()));
    game.run(12);
    for pilot in [shooter, victim] {
        let received = received(&mut game, pilot);
        let [explosion] = received.explosions[..] else {
            panic!("{:?}", received.explosions);
        };
        assert_eq!((explosion.of, explosion.by), (target, Some(gunship)));
        assert_eq!(explosion.kind, Exploded::Ship(0));
        assert!((explosion.at.0 - 10.0).abs() < 1.0);
        let [destroyed] = &received.destroyed[..] else {
            panic!("{:?}", received.destroyed);
        };
        assert_eq!((destroyed.ship, destroyed.victim.as_str()), (target, "Bob"));
        assert_eq!(destroyed.killer, Killer::Pilot("Ada".to_owned()));
    }
    let distant = received(&mut game, far);
    assert!(distant.hits.is_empty() && distant.explosions.is_empty() && distant.destroyed.is_empty());
    let own = game
        .world(shooter)
        .query_filtered::<&Score, With<Own>>()
        .single(game.world(shooter))
        .copied();
    assert_eq!(own.unwrap().kills, 1);
}

#[test]
fn content_and_its_hash_are_sent_on_joining_and_after_a_reload() {
    let (mut game, [early]) = space_with(["Ada"]);
    let old = Rules::built_in();
    let content = |received: &ReceivedMessages| {
        let mut lines: Vec<String> = received.tables.iter().map(|table| format!("{table:?}")).collect();
        lines.sort();
        (lines, received.hashes.clone())
    };
    let expected = |rules: &Rules| {
        let mut lines: Vec<String> = rules.tables().iter().map(|table| format!("{table:?}")).collect();
        lines.sort();
        (lines, vec![rules.hash])
    };
    assert_eq!(content(&received(&mut game, early)), expected(&old));
    *received(&mut game, early) = ReceivedMessages::default();

    let mut sources = Sources::built_in();
    sources
        .0
        .iter_mut()
        .for_each(|text| *text = text.replace("speed: 36.0", "speed: 40.0"));
    let new = sources.rules().unwrap();
    assert!(new.hash != old.hash);
    game.server().resource::<ReloadedRules>().leave(new.clone());
    game.run(6);
    assert_eq!(content(&received(&mut game, early)), expected(&new));
    let late = game.join("Bob", client);
    game.run(4);
    assert_eq!(content(&received(&mut game, late)), expected(&new));
    assert_eq!(
        received(&mut game, early).hashes,
        [new.hash],
        "the hash was sent more than once"
    );
}
