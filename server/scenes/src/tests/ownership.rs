//! Players are given entities, steer them and give them back.

use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::{PeerKind, SessionKey};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{PlayerId, Slot};

use super::Harness;
use crate::Scene;
use crate::protocol::{SteerInput, VIEW_RADIUS};

fn crowd(entities: u32, visible: u32) -> Harness {
    Harness::new(Scene::Crowd { entities, visible }, 0, 1)
}

fn avatar(frame: &Frame, key: SessionKey) -> Slot {
    let row = frame.players.get(key.worker, key.session).unwrap();
    row.entity.unwrap()
}

#[test]
fn player_owns_an_entity_that_its_input_turns() {
    let mut harness = crowd(50, 10);
    let key = harness.join(7);
    let first = harness.tick();
    let slot = avatar(&first, key);
    assert_eq!(first.identity(slot).owner, PlayerId(1));
    assert_eq!(first.players.get(0, key.session).unwrap().radius, VIEW_RADIUS);
    let yaw = |frame: &Frame| f64::from(frame.row(slot).unwrap().pose.yaw);
    let mut before = yaw(&first);
    for n in 0..10 {
        let input = SteerInput {
            turn: 1.0,
            thrust: 0.0,
        };
        harness.steer(key, input);
        let frame = harness.tick();
        let row = frame.players.get(0, key.session).unwrap();
        assert_eq!(row.eye, frame.row(slot).unwrap().pose.position().0);
        let turned = (yaw(&frame) - before).rem_euclid(1_024.0);
        // The input turns it by 0.3 rad; a bounce at the edge turns it differently.
        let step = 0.3 / std::f64::consts::TAU * 1_024.0;
        assert!(
            (turned - step).abs() < 1.01 || frame.row(slot).unwrap().pose.x.abs() > 1_000,
            "{n}: {turned}"
        );
        before = yaw(&frame);
    }
}

#[test]
fn entity_is_unowned_again_when_its_player_leaves() {
    let mut harness = crowd(1, 1);
    let first = harness.join(0);
    let frame = harness.tick();
    let slot = avatar(&frame, first);
    let second = harness.join(1);
    let frame = harness.tick();
    assert_ne!(avatar(&frame, second), slot, "one more was spawned");
    assert_eq!(frame.rows().count(), 2);
    harness.leave(first);
    let frame = harness.tick();
    assert!(frame.players.get(0, first.session).is_none());
    assert_eq!(
        (frame.identity(slot).owner, frame.players.len()),
        (PlayerId::NONE, 1)
    );
    let renewed = SessionId {
        index: 0,
        generation: 1,
    };
    let third = harness.join_as(renewed, PeerKind::Throng);
    let frame = harness.tick();
    assert_eq!(
        (avatar(&frame, third), frame.identity(slot).owner),
        (slot, PlayerId(3))
    );
}

#[test]
fn player_that_joins_and_leaves_within_a_tick_takes_no_entity() {
    let mut harness = crowd(1, 1);
    for n in 0..10 {
        let key = harness.join(n);
        harness.leave(key);
        harness.leave(key);
        let frame = harness.tick();
        assert_eq!((frame.players.len(), frame.rows().count()), (0, 1));
    }
}

#[test]
fn renet_peers_and_idle_clients_own_and_see_nothing() {
    let mut harness = Harness::new(Scene::Idle, 0, 1);
    let key = harness.join(0);
    let frame = harness.tick();
    let row = frame.players.get(0, key.session).unwrap();
    assert_eq!((row.entity, row.radius, row.area.leaves.len()), (None, 0.0, 0));

    let mut harness = crowd(5, 2);
    let session = SessionId {
        index: 0,
        generation: 0,
    };
    let key = harness.join_as(session, PeerKind::Renet);
    let frame = harness.tick();
    assert_eq!(
        frame.players.get(0, key.session).map(|row| row.entity),
        Some(None)
    );
}
