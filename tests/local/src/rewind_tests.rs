//! What gameplay reads of the past, also across skipped ticks.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use glam::Vec2;
use throng_server::prelude::*;

use super::*;

/// A game whose entities are at the tick's number.
fn drifting(app: &mut App) {
    let drift = |mut positions: Query<&mut Position>, time: Res<TickTime>| {
        positions
            .iter_mut()
            .for_each(|mut position| position.0.x = time.tick.0 as f32);
    };
    app.add_systems(FixedUpdate, drift.in_set(ServerSystems::Simulate));
}

#[test]
fn rewind_returns_the_published_poses() {
    let mut game = LocalGame::new(drifting);
    let entity = game.server().spawn(Replicated::default()).id();
    game.run(100);
    let check = move |rewind: Rewind, time: Res<TickTime>| {
        let newest = time.tick;
        assert_eq!(rewind.ticks(), Some((newest - 63, newest)));
        for age in 0..64 {
            let tick = newest - age;
            assert_eq!(
                rewind.position(entity, tick, 0.0),
                Some(Vec2::new(tick.0 as f32, 0.0))
            );
        }
        let between = rewind.position(entity, newest - 10, 0.25).unwrap();
        assert!((between.x - ((newest - 10).0 as f32 + 0.25)).abs() < 0.01);
        assert_eq!(rewind.pose(entity, newest - 64), None);
        assert_eq!(rewind.pose(entity, newest.next()), None);
        assert_eq!(rewind.pose(Entity::PLACEHOLDER, newest), None);
    };
    game.server().run_system_once(check).unwrap();
    // Its slot was empty then.
    let late = game.server().spawn(Replicated::default()).id();
    game.run(1);
    let check = move |rewind: Rewind, time: Res<TickTime>| {
        assert!(rewind.pose(late, time.tick).is_some() && rewind.pose(late, time.tick - 1).is_none());
    };
    game.server().run_system_once(check).unwrap();
}

#[test]
fn rewind_interpolates_over_skipped_ticks() {
    let mut game = LocalGame::new(drifting);
    let entity = game.server().spawn(Replicated::default()).id();
    game.run(10);
    game.stall(3);
    game.run(1);
    let check = move |rewind: Rewind, time: Res<TickTime>| {
        let newest = time.tick;
        assert_eq!((newest, time.skipped), (Tick(14), 3));
        assert_eq!(rewind.ticks(), Some((Tick(1), newest)));
        assert_eq!(rewind.ticks_around(newest - 2), Some((newest - 4, Some(newest))));
        assert_eq!(rewind.pose(entity, newest - 2), None);
        let between = rewind.position(entity, newest - 2, 0.5).unwrap();
        assert!((between.x - 12.5).abs() < 0.01, "{between}");
        assert_eq!(rewind.position(entity, newest.next(), 0.0), None);
    };
    game.server().run_system_once(check).unwrap();
}
