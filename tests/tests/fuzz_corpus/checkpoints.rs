//! The corpus of checkpoints, which this build saves.

use std::time::Duration;

use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::link::{LeaveReason, PeerKind, SessionKey, ToSimulation};
use throng_server::persist::save;
use throng_server::prelude::*;
use throng_server::record::app_of;
use throng_server::runner::{finish_plugins, tick_once};
use throng_shared::netcode::SessionId;
use throng_tests::fuzzing::files::{
    CHECKPOINT_HEADER_BYTES, Follows, Hold, PersistentGame, Round, recorded_world, restored,
};

use super::{connect_worker, inputs, write_seeds};

/// Gives every new player an avatar that holds something and follows the player.
fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let place = Position(Vec2::splat(joined.player.id.0 as f32));
        let avatar = commands.spawn((Replicated::default(), Owner(joined.player.id), place));
        let avatar = avatar.id();
        commands.spawn((Hold(vec![7; 3]), Follows(joined.entity), ChildOf(avatar)));
        commands
            .entity(joined.entity)
            .insert((Avatar(avatar), Viewer { radius: 50.0 }));
    }
}

/// Returns the checkpoint of a small game with this many players, of whom the last is away.
fn checkpoint(players: u32) -> Vec<u8> {
    let mut app = app_of(&recorded_world(), PersistentGame);
    app.add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
    app.insert_resource(Round((players > 0).then_some(players)));
    let mut worker = connect_worker(&mut app);
    finish_plugins(&mut app);
    let key = |index| SessionKey {
        worker: 0,
        session: SessionId { index, generation: 0 },
    };
    for index in 0..players {
        worker.announce(ToSimulation::Joined {
            key: key(index),
            client_id: u64::from(index),
            number: 1,
            name: PlayerName::new("Ann").unwrap(),
            kind: PeerKind::Throng,
            at: Duration::ZERO,
        });
    }
    for tick in 1..=5 {
        tick_once(&mut app, Duration::from_millis(50) * tick);
        while worker.frame().is_some() {}
    }
    if let Some(last) = players.checked_sub(1) {
        let reason = LeaveReason::TimedOut;
        worker.announce(ToSimulation::Left {
            key: key(last),
            reason,
        });
        tick_once(&mut app, Duration::from_millis(300));
    }
    save(app.world_mut()).unwrap()
}

/// Returns the seeds of the corpus for a game with this many players: a complete checkpoint, its body, and both cut
/// off.
fn seeds(players: u32) -> [Vec<u8>; 4] {
    let file = checkpoint(players);
    let body = &file[CHECKPOINT_HEADER_BYTES..];
    let seed = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
    [
        seed(0, &file),
        seed(1, body),
        seed(0, &file[..CHECKPOINT_HEADER_BYTES]),
        seed(1, &body[..body.len() * 2 / 3]),
    ]
}

#[test]
fn new_checkpoints_are_loaded() {
    let all = [0, 1, 2].map(seeds);
    for (players, [file, body, ..]) in all.iter().enumerate() {
        for input in [file, body] {
            let mut game = match restored(input) {
                Some(Ok(game)) => game,
                other => panic!(
                    "{players} players, kind {}: {:?}",
                    input[0],
                    other.map(|loaded| loaded.err())
                ),
            };
            let world = game.world_mut();
            let held = world.query::<(&Hold, &Follows)>().iter(world).count();
            let away = world.query::<&Away>().iter(world).count();
            assert_eq!((held, away), (players, players.min(1)));
        }
    }
    write_seeds("checkpoints", all.as_flattened());
}

/// Checkpoints in an older format are refused at their first bytes, so that they would test no other code.
#[test]
fn corpus_checkpoints_have_the_current_format() {
    let is_loaded = |input: &[u8]| matches!(restored(input), Some(Ok(_)));
    let loaded = inputs("checkpoints")
        .into_iter()
        .filter(|(_, input)| is_loaded(input));
    let loaded = loaded.count();
    assert!(loaded >= 6, "only {loaded} checkpoints are loaded");
}
