//! A restored world continues as the saved one, and bytes that are not a checkpoint are refused.

mod disabled;
mod game;
mod references;
mod refusals;

use bevy_app::App;
use throng_shared::protocol::pose3d::Pose3d;

use super::{end_sessions, load, save};
use crate::boundary::frame::Frame;
use crate::simulation::{Frames, Players, Replicated};
use crate::tests::in_space::lift_after;
use crate::tests::scripted::{LINGER, ScriptedSimulation};
use crate::tests::walkers::{CROWD, walk};
use throng_seeds::seeds;

/// Number of ticks that both worlds run after the checkpoint.
const AFTER: u32 = 200;

/// Returns a crowd with players after `ticks` ticks, and its checkpoint.
fn saved(seed: u64, ticks: u32) -> (ScriptedSimulation, Vec<u8>) {
    let mut scripted = ScriptedSimulation::new(CROWD, seed, |_| {});
    scripted.run(ticks);
    let bytes = save(scripted.app.world_mut()).unwrap();
    (scripted, bytes)
}

#[test]
fn a_restored_checkpoint_continues_as_the_uninterrupted_simulation() {
    for (seed, ticks) in seeds((1..=10).zip([1, 30, 64, 65, 100, 127, 200, 3, 150, 77]), 3) {
        let (mut first, bytes) = saved(seed, ticks);
        // Its configuration has another seed, which the checkpoint replaces.
        let mut second = ScriptedSimulation::with_script(CROWD, seed + 100, first.script(), |_| {});
        assert_eq!(load(&mut second.app, &bytes).unwrap().0, ticks, "seed {seed}");
        let newest = |scripted: &ScriptedSimulation| {
            let frames = &scripted.app.world().resource::<Frames>().0;
            frames.newest().unwrap().checksum()
        };
        assert_eq!(newest(&first), newest(&second), "seed {seed} at the checkpoint");
        for tick in 1..=AFTER {
            let (expected, found) = (first.tick(), second.tick());
            assert_eq!(expected.checksum(), found.checksum(), "seed {seed}, tick +{tick}");
            assert_eq!(
                expected.players.len(),
                found.players.len(),
                "seed {seed}, tick +{tick}"
            );
        }
        let players = first.app.world().resource::<Players>().len();
        assert!(players > 5, "seed {seed}: only {players} players");
        let both = [&mut first, &mut second].map(|one| save(one.app.world_mut()).unwrap());
        assert_eq!(both[0], both[1], "seed {seed}: checkpoints {AFTER} ticks later");
    }
}

#[test]
fn a_restored_checkpoint_in_space_continues_as_the_uninterrupted_simulation() {
    let in_space = |app: &mut App| lift_after(app, walk);
    for (seed, ticks) in seeds((1..=4).zip([1, 30, 80, 130]), 2) {
        let mut first = ScriptedSimulation::new(CROWD, seed, in_space);
        first.run(ticks);
        let bytes = save(first.app.world_mut()).unwrap();
        let mut second = ScriptedSimulation::with_script(CROWD, seed + 100, first.script(), in_space);
        load(&mut second.app, &bytes).unwrap();
        for tick in 1..=80 {
            let (expected, found) = (first.tick(), second.tick());
            assert_eq!(expected.checksum(), found.checksum(), "seed {seed}, tick +{tick}");
            let poses = |frame: &Frame| -> Vec<_> {
                let slots = frame.rows().map(|(slot, _)| slot);
                slots.map(|slot| frame.pose_3d(slot).copied().unwrap()).collect()
            };
            assert_eq!(poses(&expected), poses(&found), "seed {seed}, tick +{tick}");
            let views = |frame: &Frame| -> Vec<_> {
                let players = frame.players.iter();
                players
                    .map(|(_, player)| (player.player, player.upright))
                    .collect()
            };
            assert_eq!(views(&expected), views(&found), "seed {seed}, tick +{tick}");
            let is_lifted =
                |pose: &Pose3d| pose.position[1] != 0 && pose.rotation != Pose3d::default().rotation;
            assert!(poses(&found).iter().any(is_lifted), "seed {seed}, tick +{tick}");
        }
        // A game on the plane refuses it.
        let mut plane = ScriptedSimulation::with_script(CROWD, seed, first.script(), |_| {});
        assert!(load(&mut plane.app, &bytes).is_err(), "seed {seed}");
    }
}

#[test]
fn a_checkpoint_replaces_a_world_that_has_run() {
    let (mut first, bytes) = saved(5, 90);
    let script = first.script();
    let mut other = ScriptedSimulation::new(CROWD, 6, |_| {});
    other.run(40);
    load(&mut other.app, &bytes).unwrap();
    other.set_script(script);
    assert_eq!(save(other.app.world_mut()).unwrap(), bytes);
    for tick in 1..=AFTER {
        assert_eq!(first.tick().checksum(), other.tick().checksum(), "tick +{tick}");
    }
}

#[test]
fn saving_a_checkpoint_changes_nothing() {
    let mut watched = ScriptedSimulation::new(CROWD, 3, |_| {});
    let mut alone = ScriptedSimulation::new(CROWD, 3, |_| {});
    for tick in 0..100 {
        assert_eq!(watched.tick().checksum(), alone.tick().checksum(), "tick {tick}");
        save(watched.app.world_mut()).unwrap();
    }
}

#[test]
fn players_of_ended_sessions_are_away_after_a_restore_and_leave_later() {
    let (_, bytes) = saved(9, 120);
    let mut restarted = ScriptedSimulation::new(CROWD, 9, |_| {});
    load(&mut restarted.app, &bytes).unwrap();
    let before = restarted.app.world().resource::<Players>().ids_given();
    end_sessions(restarted.app.world_mut());
    let frame = restarted.tick();
    assert!(frame.players.len() <= 1, "only a new player has a session");
    let owners = |frame: &Frame| {
        let slots = frame.rows().map(|(slot, _)| slot);
        let owners: Vec<u32> = slots
            .map(|slot| frame.identity(slot).owner.0)
            .filter(|&owner| (1..=before).contains(&owner))
            .collect();
        owners
    };
    assert!(owners(&frame).len() > 5, "{:?}", owners(&frame));
    let frame = restarted.run(LINGER.as_millis() as u32 / 50);
    assert_eq!(
        owners(&frame),
        [0; 0],
        "entities of players that did not come back"
    );
    let world = restarted.app.world_mut();
    assert_eq!(world.query::<&Replicated>().iter(world).count(), 300);
}
