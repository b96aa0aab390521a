//! Predictions of games that know nothing of quanta: on a perfect line none is corrected, on a lossy one only those
//! whose inputs the server did not have.

mod kinds;
mod page;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_client::predict::PredictionErrors;
use throng_client::world::Own;
use throng_server::prelude::*;

use super::fixtures::{avatar, welcome};
use super::log::LogCapture;
use super::*;

/// States that are compared with predictions.
const COMPARED: u64 = 601;

/// Runs until as many states were compared as are asked for; returns how many were corrected.
fn corrected_of(game: &mut LocalGame, player: LocalPlayer, compared: u64) -> u64 {
    for _ in 0..4 * compared {
        let errors = game.world(player).resource::<PredictionErrors>();
        if errors.compared() >= compared {
            return errors.corrected();
        }
        game.run(1);
    }
    panic!("the server's states do not arrive");
}

#[test]
fn the_step_of_the_page_is_never_corrected_on_a_perfect_line() {
    let mut game = LocalGame::new(page::server(true));
    let ada = game.join("Ada", page::client(true));
    assert_eq!(
        corrected_of(&mut game, ada, COMPARED),
        0,
        "of {COMPARED} predictions"
    );
    let avatar = avatar(&mut game, ada);
    let moved = game.server().get::<Position>(avatar).unwrap().0.x;
    assert!(moved > 50.0, "the avatar stands at {moved}");
    let mut own = game.world(ada).query_filtered::<&Position, With<Own>>();
    assert!(own.single(game.world(ada)).unwrap().0.x > 50.0);
}

#[test]
fn a_game_that_does_not_list_what_it_predicts_keeps_its_digits() {
    let mut game = LocalGame::new(page::server(false));
    let (mut ada, mut corrected) = (None, 0);
    let lines = LogCapture::lines_of("predicted", || {
        let player = *ada.insert(game.join("Ada", page::client(false)));
        corrected = corrected_of(&mut game, player, COMPARED);
    });
    let ada = ada.unwrap();
    let named =
        "write `app.predicted::<throng_shared::protocol::pose::Position>()` in the plugin that both ends add";
    assert!(
        matches!(&lines[..], [line] if line.contains(named)),
        "the client logs the line to write, once: {lines:?}"
    );
    assert!(corrected > COMPARED / 4, "{corrected} of {COMPARED}");
    let avatar = avatar(&mut game, ada);
    let mut position = game.server().get_mut::<Position>(avatar).unwrap();
    position.0.y = 0.123_456;
    game.run(2);
    assert_eq!(game.server().get::<Position>(avatar).unwrap().0.y, 0.123_456);
}

#[test]
fn a_step_that_writes_the_value_of_the_server_is_named_once() {
    let mut game = LocalGame::new(page::server(true));
    let lines = LogCapture::lines_of("", || {
        let ada = game.join("Ada", page::client_that_writes_the_mirror);
        let corrected = corrected_of(&mut game, ada, COMPARED);
        assert!(corrected > COMPARED / 2, "{corrected} of {COMPARED}");
    });
    assert!(
        matches!(&lines[..], [line] if line.contains("write `Present<T>`")),
        "the client logs it once: {lines:?}"
    );
}

#[test]
fn only_avatars_and_marked_entities_are_rounded() {
    let mut game = LocalGame::new(page::server(true));
    let ada = game.join("Ada", page::client(true));
    let place = Position(Vec2::new(3.0, 0.123_456));
    let slow = game.server().spawn((Replicated::default(), place)).id();
    let ball = game.server().spawn((Replicated::default(), Rounded, place)).id();
    let avatar = avatar(&mut game, ada);
    *game.server().get_mut::<Position>(avatar).unwrap() = place;
    game.run(1);
    let y = |game: &mut LocalGame, entity| game.server().get::<Position>(entity).unwrap().0.y;
    assert_eq!(y(&mut game, slow), 0.123_456);
    assert_eq!(y(&mut game, ball), 0.12);
    assert_eq!(y(&mut game, avatar), 0.12);
}
