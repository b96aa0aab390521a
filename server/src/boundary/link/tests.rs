//! Tests of the link: arrival, order and the behaviour of full queues.

use super::*;
use crate::boundary::frame::FrameWriter;
use crate::space::CellIndex;
use std::sync::atomic::AtomicU32;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::TeamId;

fn key(index: u32) -> SessionKey {
    let session = SessionId { index, generation: 0 };
    SessionKey { worker: 0, session }
}

fn left(index: u32) -> ToSimulation {
    ToSimulation::Left {
        key: key(index),
        reason: LeaveReason::Client,
    }
}

fn pair(config: &LinkConfig) -> (SimulationLink, WorkerLink, Arc<AtomicU32>) {
    let woken = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&woken);
    let wake: Wake = Arc::new(move || {
        counter.fetch_add(1, Relaxed);
    });
    let (simulation, worker) = link(SimulationId(0), 0, config, wake);
    (simulation, worker, woken)
}

fn indices(link: &mut SimulationLink) -> Vec<u32> {
    link.drain()
        .map(|value| match value {
            ToSimulation::Left { key, .. } | ToSimulation::Message { key, .. } => key.session.index,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn departures_without_room_are_kept_and_later_values_do_not_overtake_them() {
    let (mut simulation, mut worker, _) = pair(&LinkConfig {
        to_simulation: 2,
        retained: 2,
        ..LinkConfig::default()
    });
    (0..4).for_each(|index| worker.announce(left(index)));
    assert!(!worker.admits(), "two departures are kept");
    assert!(!worker.has_room() && !worker.message(key(9), ChannelId(0), Bytes::new()));
    assert_eq!(indices(&mut simulation), [0, 1]);
    assert!(
        !worker.message(key(9), ChannelId(0), Bytes::new()),
        "the kept departures come first"
    );
    assert_eq!(indices(&mut simulation), [2, 3]);
    assert!(worker.admits() && worker.message(key(4), ChannelId(0), Bytes::new()));
    assert_eq!(indices(&mut simulation), [4]);
}

#[test]
fn a_drain_returns_only_values_that_waited_when_it_began() {
    let (mut simulation, mut worker, _) = pair(&LinkConfig::default());
    worker.announce(left(0));
    let mut drain = simulation.drain();
    worker.announce(left(1));
    assert_eq!(drain.by_ref().count(), 1);
    drop(drain);
    assert_eq!(indices(&mut simulation), [1]);
    assert_eq!(simulation.counters().to_simulation_depth.load(Relaxed), 1);
}

#[test]
fn a_publish_wakes_once_and_a_full_queue_skips_the_frame() {
    let (mut simulation, mut worker, woken) = pair(&LinkConfig {
        frames: 2,
        ..LinkConfig::default()
    });
    let mut writer = FrameWriter::new(SimulationId(0));
    let mut publish = |simulation: &mut SimulationLink, tick| {
        let frame = writer.publish(
            Tick(tick),
            Duration::ZERO,
            CellIndex::default(),
            Default::default(),
        );
        simulation.publish(&frame)
    };
    simulation.send(key(0), ChannelId(0), Bytes::new());
    assert_eq!(
        [1, 2, 3].map(|tick| publish(&mut simulation, tick)),
        [true, true, false]
    );
    assert_eq!(
        (
            woken.load(Relaxed),
            simulation.counters().frames_skipped.load(Relaxed)
        ),
        (3, 1)
    );
    assert_eq!(worker.frame().map(|frame| frame.tick), Some(Tick(1)));
    assert!(publish(&mut simulation, 4));
}

#[test]
fn a_disconnect_without_room_is_retried_until_sent() {
    let (mut simulation, mut worker, _) = pair(&LinkConfig {
        to_worker: 1,
        ..LinkConfig::default()
    });
    assert!(simulation.send(key(0), ChannelId(0), Bytes::new()));
    assert!(
        !simulation.send(key(1), ChannelId(0), Bytes::new()),
        "without room, its session ends"
    );
    assert!(!simulation.send(key(1), ChannelId(0), Bytes::new()));
    let text = KickText::new("no shouting");
    simulation.disconnect(key(2), LeaveReason::Kicked, Some(Box::new(text)));
    assert!(matches!(worker.pop(), Some((_, ToWorker::Message { .. }))));
    let mut ended = Vec::new();
    for _ in 0..2 {
        simulation.flush_ended();
        if let Some((_, ToWorker::Disconnect { key, reason, text })) = worker.pop() {
            ended.push((key.session.index, reason, text.map(|text| *text)));
        }
    }
    assert_eq!(
        ended,
        [
            (1, LeaveReason::Overflow, None),
            (2, LeaveReason::Kicked, Some(text))
        ]
    );
    assert_eq!(simulation.counters().sessions_overflowed.load(Relaxed), 1);
}

#[test]
fn a_reliable_broadcast_without_room_ends_the_sessions_of_its_audience() {
    let (mut simulation, mut worker, _) = pair(&LinkConfig {
        to_worker: 1,
        ..LinkConfig::default()
    });
    let [unreliable, ordered] = [Channel::Unreliable.id(), Channel::ReliableOrdered.id()];
    let team = |team| Audience::Team(TeamId(team));
    assert!(simulation.broadcast(Audience::All, ordered, Bytes::new()));
    assert!(!simulation.broadcast(Audience::All, unreliable, Bytes::new()));
    assert!(!simulation.broadcast(team(1), ordered, Bytes::new()));
    assert!(!simulation.broadcast(team(1), ordered, Bytes::new()));
    assert!(matches!(worker.pop(), Some((_, ToWorker::Broadcast { .. }))));
    // There is room, but no message is sent before the sessions that missed one are ended.
    assert!(!simulation.broadcast(team(2), ordered, Bytes::new()));
    assert!(!simulation.send(key(5), ordered, Bytes::new()));
    let mut ended = Vec::new();
    for _ in 0..4 {
        simulation.flush_ended();
        ended.push(worker.pop().map(|(_, value)| value));
    }
    let is_end = |value: &Option<ToWorker>, of: Audience| matches!(value, Some(ToWorker::DisconnectMany { audience, reason: LeaveReason::Overflow }) if *audience == of);
    assert!(matches!(ended[0], Some(ToWorker::Disconnect { .. })), "{ended:?}");
    assert!(
        is_end(&ended[1], team(2)) && is_end(&ended[2], team(1)),
        "{ended:?}"
    );
    assert!(ended[3].is_none() && simulation.send(key(6), ordered, Bytes::new()));
    let counters = simulation.counters();
    assert_eq!(counters.broadcasts_dropped.load(Relaxed), 1);
    assert_eq!(counters.broadcasts_overflowed.load(Relaxed), 3);

    for number in 0..200 {
        simulation.broadcast(team(number), ordered, Bytes::new());
    }
    assert!(simulation.missed.len() <= MISSED_MAX && simulation.missed.contains(&Audience::All));
}

#[test]
fn all_messages_pass_between_two_threads_in_order() {
    let (mut simulation, mut worker, _) = pair(&LinkConfig {
        to_simulation: 64,
        ..LinkConfig::default()
    });
    let sender = std::thread::spawn(move || {
        for index in 0..10_000 {
            while !worker.message(key(index), ChannelId(0), Bytes::new()) {
                std::thread::yield_now();
            }
        }
    });
    let mut received = Vec::new();
    while received.len() < 10_000 {
        received.extend(indices(&mut simulation));
    }
    assert_eq!(received, (0..10_000).collect::<Vec<_>>());
    sender.join().unwrap();
}
