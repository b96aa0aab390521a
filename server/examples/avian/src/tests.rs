//! The yard in memory: crates are pushed, seen and kept inside, and end at the same positions every time.

use std::collections::BTreeMap;

use throng_client::world::Mirrored;
use throng_local::LocalGame;
use throng_server::boundary::frame::Checksum;
use throng_server::simulation::Frames;

use super::*;

/// Returns the positions of the crates, by global id.
fn positions(world: &mut World) -> BTreeMap<GlobalId, Vec2> {
    let mut crates = world.query_filtered::<(&Position, &Replicated), With<Crate>>();
    let positions = crates.iter(world).map(|(position, id)| (id.global(), position.0));
    positions.collect()
}

/// Returns the positions of the crates in a client's view, by global id.
fn seen(world: &mut World) -> BTreeMap<GlobalId, Vec2> {
    let mut crates = world.query_filtered::<(&Position, &GlobalId), (With<Crate>, With<Mirrored>)>();
    crates
        .iter(world)
        .map(|(position, id)| (*id, position.0))
        .collect()
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
    let before = positions(game.server());
    let ada = game.join("Ada", client);
    game.join("Bob", client);
    game.run(400);
    let after = positions(game.server());
    assert_eq!((before.len(), after.len()), (100, 100));
    let moved = before
        .iter()
        .filter(|(id, position)| after[id].distance(**position) > 0.5);
    let moved = moved.count();
    assert!(moved > 5, "only {moved} crates were pushed");
    assert!(after.values().all(|position| position.abs().max_element() < YARD));
    let seen = seen(game.world(ada));
    assert_eq!(seen.len(), 100);
    // A client's view is up to a tick old.
    let worst = seen.iter().map(|(id, position)| position.distance(after[id]));
    let worst = worst.fold(0.0, f32::max);
    assert!(worst <= RUN * 2.0 / 20.0, "{worst} apart");
}

#[test]
fn bodies_that_are_not_pushed_come_to_rest() {
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
fn same_inputs_give_the_same_checksums_in_every_tick() {
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
