//! What of a player survives a lost line, a restart of the client and its leaving, and whom the game's rule admits.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use throng_client::connection::EndReason;
use throng_client::world::{Mirrored, Own};
use throng_server::boundary::claims::PlayerName;
use throng_server::prelude::*;
use throng_shared::protocol::hello::Goodbye;
use throng_shared::protocol::kick_text::KickText;

use super::*;

/// Points of a player, on its entity: they last as long as the player.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
struct Points(u32);

/// Names that do not join, and the number of players that may.
#[derive(Resource, Default)]
struct Rules {
    banned: Vec<PlayerName>,
    seats: Option<usize>,
    panics: bool,
}

/// What happened to players, in order.
#[derive(Resource, Default)]
struct Happened(Vec<&'static str>);

fn server(app: &mut App) {
    app.init_resource::<Rules>()
        .init_resource::<Happened>()
        .may_join(may_join)
        .add_systems(
            FixedUpdate,
            (welcome, watch).chain().in_set(ServerSystems::Simulate),
        );
}

fn client(_: &mut App) {}

fn may_join(
    InRef(request): InRef<JoinRequest>,
    rules: Res<Rules>,
    players: Query<(), With<Player>>,
) -> Result<(), Refusal> {
    assert!(!rules.panics, "a defect of the game");
    if rules.banned.contains(&request.name) {
        return Err(Refusal::new("you shouted"));
    }
    let is_new = request.player.is_none();
    if is_new && rules.seats.is_some_and(|seats| players.iter().count() >= seats) {
        return Err(Refusal::new("all seats are taken"));
    }
    Ok(())
}

fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let avatar = commands
            .spawn((Replicated::default(), Owner(joined.player.id)))
            .id();
        let view = Viewer { radius: 50.0 };
        commands
            .entity(joined.entity)
            .insert((Avatar(avatar), view, Points(1)));
    }
}

fn watch(
    mut joined: MessageReader<PlayerJoined>,
    mut returned: MessageReader<PlayerReturned>,
    mut away: MessageReader<PlayerAway>,
    mut left: MessageReader<PlayerLeft>,
    mut happened: ResMut<Happened>,
) {
    happened.0.extend(joined.read().map(|_| "joined"));
    happened.0.extend(returned.read().map(|_| "returned"));
    happened.0.extend(away.read().map(|away| match away.reason {
        LeaveReason::Refused => "away, refused",
        _ => "away",
    }));
    happened.0.extend(left.read().map(|_| "left"));
}

fn happened(game: &mut LocalGame) -> Vec<&'static str> {
    std::mem::take(&mut game.server().resource_mut::<Happened>().0)
}

fn points(game: &mut LocalGame, player: LocalPlayer) -> Option<u32> {
    let entity = game.player(player)?;
    game.server().get::<Points>(entity).map(|points| points.0)
}

/// A game in which Ada has seven points, and what she is: her player, avatar and id.
fn with_ada() -> (LocalGame, LocalPlayer, (Entity, Entity, u32)) {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    let entity = game.player(ada).unwrap();
    game.server().get_mut::<Points>(entity).unwrap().0 = 7;
    happened(&mut game);
    let who = who(&mut game, ada);
    (game, ada, who)
}

fn who(game: &mut LocalGame, player: LocalPlayer) -> (Entity, Entity, u32) {
    let entity = game.player(player).unwrap();
    let avatar = game.server().get::<Avatar>(entity).unwrap().0;
    (entity, avatar, game.client(player).player().unwrap().0)
}

fn refused(text: &str) -> Box<EndReason> {
    Box::new(EndReason::Goodbye(Goodbye::Refused(KickText::new(text))))
}

#[test]
fn a_client_whose_line_was_cut_rejoins_as_its_lingering_player() {
    let (mut game, ada, before) = with_ada();
    game.cut_off(ada, true);
    // The server waits for 10 s before it takes the session for lost.
    game.run(220);
    assert_eq!(happened(&mut game), ["away"]);
    game.rejoin(ada).unwrap();
    assert_eq!(happened(&mut game), ["returned"]);
    assert_eq!(who(&mut game, ada), before);
    assert_eq!(points(&mut game, ada), Some(7));
    let world = game.world(ada);
    let own = world
        .query_filtered::<(), (With<Own>, With<Mirrored>)>()
        .iter(world)
        .count();
    assert_eq!(own, 1);
    assert_eq!(world.query::<&Mirrored>().iter(world).count(), 1);
}

#[test]
fn a_client_that_rejoins_at_once_takes_its_player_over() {
    let (mut game, ada, before) = with_ada();
    for _ in 0..3 {
        game.rejoin(ada).unwrap();
        assert_eq!((who(&mut game, ada), points(&mut game, ada)), (before, Some(7)));
    }
    assert_eq!(happened(&mut game), ["returned"; 3]);
}

#[test]
fn a_client_program_that_starts_anew_has_its_player_again() {
    let (mut game, ada, before) = with_ada();
    #[derive(Resource)]
    struct OfTheFirstProgram;
    game.world(ada).insert_resource(OfTheFirstProgram);
    game.restart(ada, client).unwrap();
    assert_eq!((who(&mut game, ada), points(&mut game, ada)), (before, Some(7)));
    assert!(!game.world(ada).contains_resource::<OfTheFirstProgram>());
}

#[test]
fn a_client_that_left_rejoins_with_its_client_id_as_a_new_player() {
    let (mut game, ada, before) = with_ada();
    let client_id = game.client(ada).client_id();
    game.leave(ada);
    game.run(3);
    assert_eq!(happened(&mut game), ["left"]);
    game.rejoin(ada).unwrap();
    assert_eq!(happened(&mut game), ["joined"]);
    let after = who(&mut game, ada);
    assert!(before.2 != after.2 && before.1 != after.1, "{before:?} {after:?}");
    assert_eq!(points(&mut game, ada), Some(1));
    let player = game.server().get::<Player>(after.0).unwrap();
    assert_eq!(player.client_id, client_id);
}

#[test]
fn a_refused_client_is_shown_the_games_text_and_has_no_player() {
    let (mut game, _, _) = with_ada();
    game.server().resource_mut::<Rules>().seats = Some(1);
    let bob = game.try_join("Bob", client);
    assert_eq!(bob, Err(refused("all seats are taken")));
    let text = bob.unwrap_err().to_string();
    assert_eq!(text, "the game does not admit the player: all seats are taken");
    assert_eq!(happened(&mut game), [""; 0]);
    let world = game.server();
    assert_eq!(world.query::<&Player>().iter(world).count(), 1);
    world.resource_mut::<Rules>().seats = None;
    game.join("Bob", client);
    assert_eq!(happened(&mut game), ["joined"]);
}

#[test]
fn a_returning_client_and_one_that_takes_over_are_asked_for_as_well() {
    for waits in [true, false] {
        let (mut game, ada, before) = with_ada();
        if waits {
            game.cut_off(ada, true);
            game.run(220);
            assert_eq!(happened(&mut game), ["away"]);
        }
        game.server().resource_mut::<Rules>().banned = vec![PlayerName::new("Ada").unwrap()];
        // A second try changes nothing more.
        for _ in 0..2 {
            assert_eq!(game.rejoin(ada), Err(refused("you shouted")), "waits: {waits}");
        }
        let away: &[&str] = if waits { &[] } else { &["away, refused"] };
        assert_eq!(happened(&mut game), away, "waits: {waits}");
        assert!(game.server().get::<Away>(before.0).is_some(), "waits: {waits}");
        // It lingers for 30 s, and may come back.
        game.server().resource_mut::<Rules>().banned.clear();
        game.rejoin(ada).unwrap();
        assert_eq!((who(&mut game, ada), points(&mut game, ada)), (before, Some(7)));
    }
}

#[test]
fn a_rule_that_panics_refuses_the_client_and_the_server_goes_on() {
    let (mut game, ada, before) = with_ada();
    game.server().resource_mut::<Rules>().panics = true;
    let text = "the server cannot decide whether this player may join";
    assert_eq!(game.try_join("Bob", client), Err(refused(text)));
    game.server().resource_mut::<Rules>().panics = false;
    game.join("Bob", client);
    assert_eq!(who(&mut game, ada), before);
}

#[test]
fn in_single_player_a_refusal_ends_the_session() {
    let mut app = App::new();
    app.add_plugins(server).add_plugins(SinglePlayerPlugin::default());
    app.world_mut().resource_mut::<Rules>().seats = Some(0);
    app.finish();
    for _ in 0..3 {
        app.world_mut().run_schedule(bevy_app::FixedMain);
    }
    let world = app.world_mut();
    assert_eq!(world.query::<&Player>().iter(world).count(), 0);
}
