//! Gameplay ends the sessions of players, and a restored world has players without sessions.

use bevy_ecs::prelude::*;

use super::sessions::{LINGER, harness, has_row, walkers, with_player};
use crate::boundary::link::LeaveReason;
use crate::persist::{end_sessions, load, save};
use crate::simulation::{Away, Player, Players, Tell};

#[test]
fn despawning_a_players_entity_ends_its_session_once() {
    let despawn = |mut commands: Commands, players: Query<Entity, With<Player>>| {
        for player in &players {
            commands.entity(player).despawn();
        }
    };
    let remove = |mut commands: Commands, players: Query<Entity, With<Player>>| {
        for player in &players {
            commands.entity(player).remove::<Player>();
        }
    };
    let despawn_parent = |mut commands: Commands, players: Query<Entity, With<Player>>| {
        let parent = commands.spawn_empty().id();
        for player in &players {
            commands.entity(player).insert(ChildOf(parent));
        }
        commands.entity(parent).despawn();
    };
    for way in 0..3 {
        let mut harness = harness(walkers());
        let key = harness.arrive(7, 1);
        harness.tick();
        let player = harness.player_of(7);
        match way {
            0 => harness.run_once(despawn),
            1 => harness.run_once(remove),
            _ => harness.run_once(despawn_parent),
        }
        let frame = harness.tick();
        assert!(!has_row(&frame, key), "way {way}");
        assert_eq!(harness.ended(), [(key, LeaveReason::Despawned)], "way {way}");
        harness.end(key, LeaveReason::Despawned);
        harness.ticks(3);
        assert_eq!(harness.happened(), ["1 joined", "1 left: Despawned"], "way {way}");
        assert!(harness.app.world().get_entity(player).is_err(), "way {way}");
        assert!(harness.app.world().resource::<Players>().is_empty(), "way {way}");
        // The client is a new player when it joins again.
        harness.arrive(7, 2);
        harness.tick();
        assert_eq!(harness.happened(), ["2 joined"], "way {way}");
    }
}

#[test]
fn despawning_an_away_player_ends_its_time_away() {
    let (mut harness, _) = with_player(1, true);
    harness.run_once(|mut commands: Commands, players: Query<Entity, With<Away>>| {
        for player in &players {
            commands.entity(player).despawn();
        }
    });
    harness.ticks(2 * LINGER);
    assert_eq!(harness.happened(), ["1 left: Despawned"]);
    assert!(harness.ended().is_empty());
}

#[test]
fn a_kicked_player_leaves_once_and_at_once_also_while_it_is_away() {
    let kick = |players: Query<&Player>, mut tell: Tell| {
        players.iter().for_each(|player| tell.kick(player, "no shouting"));
    };
    for is_away in [false, true] {
        let (mut harness, key) = with_player(1, is_away);
        harness.run_once(kick);
        harness.tick();
        let expected = if is_away {
            vec![]
        } else {
            vec![(key, LeaveReason::Kicked)]
        };
        assert_eq!(harness.ended(), expected);
        assert!(harness.app.world().resource::<Players>().is_empty());
        harness.end(key, LeaveReason::Kicked);
        harness.ticks(2 * LINGER);
        assert_eq!(harness.happened(), ["1 left: Kicked"], "away: {is_away}");
    }
}

#[test]
fn a_kick_by_an_old_copy_of_the_player_ends_its_newest_session() {
    let mut harness = harness(walkers());
    harness.arrive(7, 1);
    harness.tick();
    let old = *harness.app.world().get::<Player>(harness.player_of(7)).unwrap();
    let new = harness.arrive(7, 2);
    harness.tick();
    harness.ended();
    harness.run_once(move |mut tell: Tell| tell.kick(&old, "no shouting"));
    harness.ticks(2);
    assert_eq!(
        harness.ended(),
        [(old.session, LeaveReason::Kicked), (new, LeaveReason::Kicked)]
    );
    assert_eq!(
        harness.happened(),
        ["1 joined", "1 returned by session 2", "1 left: Kicked"]
    );
}

#[test]
fn away_players_are_restored_with_the_time_that_they_have_left() {
    let mut first = harness(walkers());
    let (lost, playing) = (first.arrive(7, 1), first.arrive(8, 2));
    first.tick();
    first.end(lost, LeaveReason::TimedOut);
    first.ticks(3);
    let bytes = save(first.app.world_mut()).unwrap();
    let mut second = harness(walkers());
    load(&mut second.app, &bytes).unwrap();
    second.ticks = first.ticks;
    assert_eq!(save(second.app.world_mut()).unwrap(), bytes);
    let frame = second.tick();
    assert!(has_row(&frame, playing) && frame.players.len() == 1);
    second.ticks(LINGER - 3);
    assert_eq!(second.happened(), ["1 left: TimedOut"]);
    // After a restart all sessions have ended, and their clients may come back.
    end_sessions(second.app.world_mut());
    second.tick();
    second.arrive(8, 9);
    second.ticks(2 * LINGER);
    assert_eq!(second.happened(), ["2 away: Shutdown", "2 returned by session 9"]);
}
