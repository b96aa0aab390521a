//! Players join, see, send inputs and leave.

use glam::Vec2;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{PlayerId, Slot};
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::{Harness, TICK};
use crate::boundary::frame::Frame;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey, ToSimulation};
use crate::input::InputCounters;
use crate::simulation::{Areas, Players, Replicated, SimulationPlugin, Space};
use crate::space::{Block, REACH_FACTOR};
use crate::tests::walkers::{IDLE, Steer, VIEW_RADIUS, Walkers};

fn harness(world: Walkers) -> Harness {
    Harness::new(SimulationPlugin::default(), world)
}

/// Returns a game of `count` walkers in a square of `side` units.
fn walkers(count: u32, side: f32) -> Walkers {
    Walkers {
        count,
        side,
        moves: true,
    }
}

fn steer(harness: &mut Harness, key: SessionKey, tick: Tick, turn: f32) {
    let bytes = harness
        .app
        .world()
        .resource::<Protocol>()
        .encode_input(&Steer { turn, thrust: 0.0 })
        .unwrap();
    let arrived_at = harness.now().saturating_sub(TICK / 2);
    assert!(harness.worker.input(ToSimulation::Input {
        key,
        tick,
        view: None,
        arrived_at,
        bytes
    }));
}

fn avatar(frame: &Frame, key: SessionKey) -> Slot {
    frame
        .players
        .get(key.worker, key.session)
        .unwrap()
        .entity
        .unwrap()
}

#[test]
fn a_players_input_turns_its_avatar() {
    let mut harness = harness(walkers(50, 178.0));
    let key = harness.join(7);
    let first = harness.tick();
    let slot = avatar(&first, key);
    assert_eq!(first.identity(slot).owner, PlayerId(1));
    let yaw = |frame: &Frame| f64::from(frame.row(slot).unwrap().pose.yaw);
    let mut before = yaw(&first);
    for n in 0..10 {
        let tick = harness.next();
        steer(&mut harness, key, tick, 1.0);
        let frame = harness.tick();
        let row = frame.players.get(0, key.session).unwrap();
        assert_eq!((row.last_input, row.margin_16), (frame.tick, 8));
        assert_eq!(row.eye, frame.row(slot).unwrap().pose.position().0);
        let turned = (yaw(&frame) - before).rem_euclid(1_024.0);
        // 0.3 rad in quanta; walkers that bounce at the edge turn by another angle.
        let step = 0.3 / std::f64::consts::TAU * 1_024.0;
        assert!(
            (turned - step).abs() < 1.01 || frame.row(slot).unwrap().pose.x.abs() > 1_000,
            "{n}: {turned}"
        );
        before = yaw(&frame);
    }
    // The input is held for 1.5 s, then the neutral one applies and the walker keeps its heading.
    for _ in 0..30 {
        harness.tick();
    }
    let counters = *harness.app.world().resource::<InputCounters>();
    assert_eq!((counters.kept, counters.repeated, counters.neutral), (10, 30, 0));
    harness.tick();
    assert_eq!(harness.app.world().resource::<InputCounters>().neutral, 1);
}

#[test]
fn the_avatar_of_a_player_that_left_is_given_to_a_later_one() {
    let mut harness = harness(walkers(1, 35.0));
    let first = harness.join(0);
    let frame = harness.tick();
    let slot = avatar(&frame, first);
    let second = harness.join(1);
    let frame = harness.tick();
    assert_ne!(avatar(&frame, second), slot, "a second avatar was spawned");
    assert_eq!(frame.rows().count(), 2);
    harness.worker.announce(ToSimulation::Left {
        key: first,
        reason: LeaveReason::Client,
    });
    let frame = harness.tick();
    assert!(frame.players.get(0, first.session).is_none());
    assert_eq!(
        (frame.identity(slot).owner, frame.players.len()),
        (PlayerId::NONE, 1)
    );
    let third = SessionKey {
        worker: 0,
        session: SessionId {
            index: 0,
            generation: 1,
        },
    };
    let kind = PeerKind::Throng;
    let (name, at) = Default::default();
    harness.worker.announce(ToSimulation::Joined {
        key: third,
        client_id: 3,
        number: 1,
        name,
        kind,
        at,
    });
    let frame = harness.tick();
    assert_eq!(
        (avatar(&frame, third), frame.identity(slot).owner),
        (slot, PlayerId(3))
    );
}

#[test]
fn a_session_that_joins_and_leaves_within_a_tick_changes_nothing() {
    let mut harness = harness(walkers(1, 35.0));
    for n in 0..10 {
        let key = harness.join(n);
        harness.worker.announce(ToSimulation::Left {
            key,
            reason: LeaveReason::Client,
        });
        harness.worker.announce(ToSimulation::Left {
            key,
            reason: LeaveReason::Client,
        });
        let frame = harness.tick();
        assert_eq!((frame.players.len(), frame.rows().count()), (0, 1));
    }
    assert!(harness.app.world().resource::<Players>().is_empty());
}

#[test]
fn renet_clients_and_idle_clients_own_nothing_and_see_nothing() {
    let mut harness = harness(IDLE);
    let key = harness.join(0);
    let frame = harness.tick();
    let row = frame.players.get(0, key.session).unwrap();
    assert_eq!((row.entity, row.radius, row.area.leaves.len()), (None, 0.0, 0));

    let mut harness = self::harness(walkers(5, 95.0));
    let key = SessionKey {
        worker: 0,
        session: SessionId {
            index: 0,
            generation: 0,
        },
    };
    let kind = PeerKind::Renet;
    let (name, at) = Default::default();
    harness.worker.announce(ToSimulation::Joined {
        key,
        client_id: 1,
        number: 1,
        name,
        kind,
        at,
    });
    let frame = harness.tick();
    assert_eq!(
        frame.players.get(0, key.session).map(|row| row.entity),
        Some(None)
    );
}

#[test]
fn inputs_of_unknown_sessions_and_other_ticks_are_counted_and_dropped() {
    let mut harness = harness(walkers(5, 95.0));
    let key = harness.join(0);
    harness.tick();
    let next = harness.next();
    let ghost = SessionKey {
        worker: 0,
        session: SessionId {
            index: 0,
            generation: 9,
        },
    };
    steer(&mut harness, ghost, next, 1.0);
    steer(&mut harness, key, next - 1, 1.0);
    steer(&mut harness, key, next + 1_000_000, 1.0);
    for _ in 0..1_000 {
        steer(&mut harness, key, next, 1.0);
    }
    harness.tick();
    let counters = *harness.app.world().resource::<InputCounters>();
    let expected = InputCounters {
        kept: 1,
        late: 1,
        early: 1,
        duplicate: 999,
        stray: 1,
        ..Default::default()
    };
    assert_eq!(counters, expected);
}

#[test]
fn a_view_covers_exactly_the_entities_in_reach_while_all_move() {
    for world in [walkers(2_000, 605.0), walkers(1_500, 35.0)] {
        let mut harness = harness(world);
        let keys: Vec<_> = (0..60).map(|index| harness.join(index)).collect();
        for _ in 0..60 {
            let frame = harness.tick();
            let index = &harness.app.world().resource::<Space>().0;
            for &key in &keys {
                let row = frame.players.get(0, key.session).unwrap();
                assert_eq!(row.radius, VIEW_RADIUS);
                let leaves = row.area.leaves.iter().flat_map(|&leaf| frame.index.leaf(leaf));
                let rows = leaves.flatten().flat_map(Block::rows);
                let mut covered: Vec<_> = rows.map(|(slot, _)| slot).collect();
                covered.sort_unstable();
                let seen = frame.rows().filter(|(_, other)| {
                    other.pose.position().0.distance(row.eye) <= VIEW_RADIUS * REACH_FACTOR
                });
                let mut count = 0;
                for (slot, _) in seen {
                    assert!(
                        covered.binary_search(&slot).is_ok(),
                        "{slot:?} is in sight and not in the area"
                    );
                    count += 1;
                }
                assert!(
                    covered.len() <= count * 4,
                    "{} examined for {count}",
                    covered.len()
                );
                let mut found = Vec::new();
                index.within(&frame.index, row.eye, VIEW_RADIUS * REACH_FACTOR, &mut found);
                assert_eq!(found.len(), count);
            }
        }
        let counters = harness.app.world().resource::<Space>().0.hash().counters();
        if world.side < VIEW_RADIUS {
            assert!(counters.splits > 10, "{counters:?}");
        }
    }
}

#[test]
fn cells_split_when_a_crowd_gathers_and_merge_when_it_disperses() {
    let mut harness = harness(Walkers {
        moves: false,
        ..walkers(1_000, 378.0)
    });
    harness.join(0);
    harness.tick();
    let gather = |harness: &mut Harness, scale: f32| {
        let world = harness.app.world_mut();
        let mut positions = world.query::<(&Replicated, &mut Position)>();
        for (replicated, mut position) in positions.iter_mut(world) {
            let angle = replicated.global().0 as f32;
            position.0 = Vec2::from_angle(angle) * scale * (angle % 100.0) / 100.0;
        }
        harness.tick();
        harness.app.world().resource::<Space>().0.hash().counters()
    };
    let together = gather(&mut harness, 30.0);
    let apart = gather(&mut harness, 3_000.0);
    assert!(
        together.splits > 10 && apart.merges > 10,
        "{together:?} {apart:?}"
    );
    harness.worker.announce(ToSimulation::Left {
        key: SessionKey {
            worker: 0,
            session: SessionId {
                index: 0,
                generation: 0,
            },
        },
        reason: LeaveReason::Client,
    });
    harness.tick();
    assert!(harness.app.world().resource::<Areas>().0.is_empty());
}
