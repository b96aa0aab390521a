//! Tests of how frames and messages of the simulations are served.

use bytes::Bytes;
use throng_shared::limits::MESSAGE_BYTES_MAX;
use throng_shared::protocol::ids::Channel;
use throng_shared::reliable::Reliable;

use super::*;
use crate::boundary::link::Audience;
use crate::net::core::ServeState;

#[test]
fn slices_serve_every_session_once_in_order() {
    let mut bench = Bench::new();
    let mut peers: Vec<Peer> = (1..=10).map(|client_id| bench.connect(client_id)).collect();
    for peer in &mut peers {
        bench.hello(peer);
    }
    bench.simulation().drain();
    bench.out.sent.clear();
    let now = bench.now;
    bench.simulation().publish(now);
    let mut states = Vec::new();
    loop {
        let state = bench.core.serve(now, 4, &mut bench.out);
        if state == ServeState::Idle {
            break;
        }
        states.push(state == ServeState::More);
    }
    assert_eq!(states, [true, true, false]);
    let mut served: Vec<SocketAddr> = bench.out.sent.iter().map(|(to, _)| *to).collect();
    served.dedup();
    assert_eq!(served, peers.iter().map(|peer| peer.address).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_is_behind_serves_the_newest_frame() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let now = bench.now;
    (0..3).for_each(|_| bench.simulation().publish(now));
    let served = bench.core.publish(now, &mut bench.out).unwrap();
    assert_eq!((served.tick, served.published_at), (bench.simulation().tick, now));
    assert_eq!(bench.figure("ticks_skipped"), 2);
    bench.exchange(&mut peer);
    assert!(peer.count(PayloadKind::SNAPSHOT) <= 1);
}

#[test]
fn frames_of_several_simulations_are_served_together_unless_one_is_late() {
    let mut bench = Bench::with(2, &LinkConfig::default());
    let mut peer = bench.join(1);
    let mut now = bench.now;
    bench.simulations[0].publish(now);
    assert!(bench.core.publish(now, &mut bench.out).is_none() && bench.core.is_waiting());
    bench.simulations[1].publish(now);
    assert!(bench.core.publish(now, &mut bench.out).is_some() && !bench.core.is_waiting());
    bench.simulations[0].publish(now);
    assert!(bench.core.publish(now, &mut bench.out).is_none());
    now += TICK / 4;
    assert!(bench.core.publish(now, &mut bench.out).is_some());
    bench.exchange(&mut peer);
}

#[test]
fn inputs_of_a_moved_session_reach_its_new_simulation() {
    let mut bench = Bench::with(2, &LinkConfig::default());
    let mut peer = bench.join(1);
    let key = bench.simulation().players[0];
    bench.inputs(&mut peer, 1_001, &[1]);
    assert!(
        bench
            .shared
            .directory
            .move_session(key, SimulationId(0), SimulationId(1))
    );
    bench.inputs(&mut peer, 1_002, &[1]);
    assert_eq!(
        (
            bench.simulations[0].drain().len(),
            bench.simulations[1].drain().len()
        ),
        (1, 1)
    );
    bench.core.shutdown(bench.now, &mut bench.out);
    assert_eq!(
        arrivals(&bench.simulations[1].drain()),
        [Err(LeaveReason::Shutdown)]
    );
    assert!(bench.simulations[0].drain().is_empty());
}

#[test]
fn reliable_messages_reach_the_client_in_order() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let key = bench.simulation().players[0];
    for number in 0..20u8 {
        let sent =
            bench
                .simulation()
                .link
                .send(key, Channel::ReliableOrdered.id(), Bytes::from(vec![number; 200]));
        assert!(sent);
    }
    let (mut renet, mut received) = (Reliable::new(), Vec::new());
    for _ in 0..20 {
        bench.tick();
        bench.exchange(&mut peer);
        for payload in peer.inbox.drain(..) {
            if PayloadKind::of(&payload) == Some(PayloadKind::Renet) {
                renet.receive(&payload).unwrap();
            }
        }
        received.extend(std::iter::from_fn(|| renet.pop()).map(|(_, bytes)| bytes[0]));
    }
    assert_eq!(received, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_broadcast_reaches_each_player_once_from_any_simulation() {
    let mut bench = Bench::with(2, &LinkConfig::default());
    let mut peers = [bench.join(1), bench.join(2)];
    // The second player moves to the other simulation. The first player sees a part of that one, too.
    let [first, second] = bench.simulations[0].players[..] else {
        panic!("two players");
    };
    bench.simulations[0].players.pop();
    bench.simulations[1].join(second);
    bench.simulations[1].watchers.push(first);
    bench.tick();
    for (index, simulation) in (0..).zip(&mut bench.simulations) {
        let audiences = [Audience::All, Audience::Own, Audience::Team(TeamId(3))];
        for (number, audience) in (0..).zip(audiences) {
            let bytes = Bytes::from(vec![index * 10 + number]);
            let channel = Channel::ReliableOrdered.id();
            assert!(simulation.link.broadcast(audience, channel, bytes));
        }
    }
    let mut received = [Vec::new(), Vec::new()];
    let mut renets = [Reliable::new(), Reliable::new()];
    for _ in 0..5 {
        bench.tick();
        for ((peer, renet), received) in peers.iter_mut().zip(&mut renets).zip(&mut received) {
            bench.exchange(peer);
            for payload in peer.inbox.drain(..) {
                if PayloadKind::of(&payload) == Some(PayloadKind::Renet) {
                    renet.receive(&payload).unwrap();
                }
            }
            received.extend(std::iter::from_fn(|| renet.pop()).map(|(_, bytes)| bytes[0]));
        }
    }
    assert_eq!(received, [vec![0, 1, 10], vec![0, 10, 11]]);
}

#[test]
fn a_client_to_which_more_messages_are_sent_than_fit_its_queue_is_disconnected() {
    let mut bench = Bench::new();
    let (mut good, mut silent) = (bench.join(1), bench.join(2));
    let key = bench.simulation().players[1];
    for _ in 0..300 {
        let message = Bytes::from(vec![1; MESSAGE_BYTES_MAX]);
        bench
            .simulation()
            .link
            .send(key, Channel::ReliableOrdered.id(), message);
    }
    bench.tick();
    bench.exchange(&mut silent);
    bench.exchange(&mut good);
    assert_eq!(silent.goodbye(), Some(Goodbye::Overflow));
    assert_eq!(
        arrivals(&bench.simulation().drain()),
        [Err(LeaveReason::Overflow)]
    );
    assert!(!good.is_ended);
}

#[test]
fn a_flood_of_messages_without_room_ends_the_receivers_session() {
    let mut bench = Bench::with(
        1,
        &LinkConfig {
            to_worker: 8,
            ..LinkConfig::default()
        },
    );
    let mut peer = bench.join(1);
    let key = bench.simulation().players[0];
    let sent = (0..20)
        .filter(|_| {
            bench
                .simulation()
                .link
                .send(key, Channel::Unreliable.id(), Bytes::from_static(b"x"))
        })
        .count();
    assert_eq!(sent, 8);
    bench.tick();
    bench.tick();
    bench.exchange(&mut peer);
    assert_eq!(peer.goodbye(), Some(Goodbye::Overflow));
    assert_eq!(
        bench
            .simulation()
            .link
            .counters()
            .sessions_overflowed
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
}

#[test]
fn a_flood_of_reliable_broadcasts_ends_the_sessions_of_their_audience() {
    let config = LinkConfig {
        to_worker: 8,
        ..LinkConfig::default()
    };
    let mut bench = Bench::with(1, &config);
    let mut peers = [bench.join(1), bench.join(2)];
    let flood = |bench: &mut Bench, audience, channel: Channel| {
        let link = &mut bench.simulation().link;
        let taken = (0..20).filter(|_| link.broadcast(audience, channel.id(), Bytes::from_static(b"x")));
        assert_eq!(taken.count(), 8);
        bench.tick();
        bench.tick();
    };
    let is_gone = |bench: &mut Bench, peer: &mut Peer| {
        bench.exchange(peer);
        peer.goodbye() == Some(Goodbye::Overflow)
    };
    flood(&mut bench, Audience::All, Channel::Unreliable);
    assert!(peers.iter_mut().all(|peer| !is_gone(&mut bench, peer)));
    // No player is in that team.
    flood(&mut bench, Audience::Team(TeamId(3)), Channel::ReliableOrdered);
    assert!(peers.iter_mut().all(|peer| !is_gone(&mut bench, peer)));
    flood(&mut bench, Audience::All, Channel::ReliableOrdered);
    assert!(peers.iter_mut().all(|peer| is_gone(&mut bench, peer)));
    assert_eq!(bench.figure("broadcasts_dropped"), 12);
    assert_eq!(bench.figure("broadcasts_overflowed"), 24);
}
