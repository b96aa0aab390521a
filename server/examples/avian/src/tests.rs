//! The yard in memory: crates are pushed, seen, kept inside, and end in the same places every time.

use std::collections::BTreeMap;

use throng_client::world::Mirrored;
use throng_local::LocalGame;
use throng_server::boundary::frame::Checksum;
use throng_server::simulation::Frames;

use super::*;

/// Where everything is, by global id.
fn places(world: &mut World) -> BTreeMap<GlobalId, Vec2> {
    let mut crates = world.query_filtered::<(&Position, &Replicated), With<Crate>>();
    let placed = crates.iter(world).map(|(place, name)| (name.global(), place.0));
    placed.collect()
}

/// Where a client sees everything.
fn seen(world: &mut World) -> BTreeMap<GlobalId, Vec2> {
    let mut crates = world.query_filtered::<(&Position, &GlobalId), (With<Crate>, With<Mirrored>)>();
    crates.iter(world).map(|(place, name)| (*name, place.0)).collect()
}

fn speeds(world: &mut World) -> f32 {
    let mut crates = world.query_filtered::<&Velocity, With<Crate>>();
    crates.iter(world).map(|velocity| velocity.0.length()).sum()
}

fn checksum(game: &mut LocalGame) -> Checksum {
    game.server()
        .resource::<Frames>()
        .0
        .newest()
        .expect("a tick has run")
        .checksum()
}

#[test]
fn crates_are_pushed_and_seen_and_stay_in_the_yard() {
    let mut game = LocalGame::new(server);
    game.run(1);
    let before = places(game.server());
    let ada = game.join("Ada", client);
    game.join("Bob", client);
    game.run(400);
    let after = places(game.server());
    assert_eq!((before.len(), after.len()), (100, 100));
    let moved = before
        .iter()
        .filter(|(name, place)| after[name].distance(**place) > 0.5);
    let moved = moved.count();
    assert!(moved > 5, "only {moved} crates were pushed");
    assert!(after.values().all(|place| place.abs().max_element() < YARD));
    let seen = seen(game.world(ada));
    assert_eq!(seen.len(), 100);
    // What is seen is up to a tick old.
    let worst = seen.iter().map(|(name, place)| place.distance(after[name]));
    let worst = worst.fold(0.0, f32::max);
    assert!(worst <= RUN * 2.0 / 20.0, "{worst} apart");
}

#[test]
fn what_nobody_pushes_comes_to_rest() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(200);
    assert!(speeds(game.server()) > 1.0);
    game.leave(ada);
    game.run(400);
    assert_eq!(speeds(game.server()), 0.0);
    let mut bodies = game.server().query::<&RigidBody>();
    assert_eq!(
        bodies.iter(game.server()).count(),
        104,
        "the player's body is gone"
    );
}

#[test]
fn the_same_inputs_end_in_the_same_world_in_every_tick() {
    let play = |players: usize| {
        let mut game = LocalGame::new(server);
        for n in 0..players {
            game.join(&format!("player {n}"), client);
        }
        let mut sums = Vec::new();
        game.run_with(300, |game| sums.push(checksum(game)));
        sums
    };
    assert_eq!(play(3), play(3));
    assert_ne!(play(3).last(), play(2).last());
}
