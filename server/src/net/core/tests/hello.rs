//! Tests of how sessions begin, which kind they are, and how they end.

use bytes::Bytes;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::kick_text::KickText;
use throng_shared::protocol::version::ProtocolHash;
use throng_shared::reliable::Reliable;

use super::*;

/// Returns a client's due reliable packets.
fn reliable_packets(peer: &mut Reliable, now: Duration) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    peer.poll(now, 10_000, |packet| packets.push(packet.to_vec()))
        .unwrap();
    packets
}

#[test]
fn a_client_that_says_hello_receives_a_welcome_and_a_snapshot() {
    let mut bench = Bench::new();
    let mut peer = bench.connect(42);
    bench.hello(&mut peer);
    bench.hello(&mut peer);
    let values = bench.simulation().drain();
    let [
        ToSimulation::Joined {
            key,
            client_id: 42,
            number: 1,
            name,
            kind: PeerKind::Throng,
            at,
        },
    ] = values[..]
    else {
        panic!("{values:?}");
    };
    assert_eq!((name.as_str(), at, key.worker), ("tester", bench.now, 0));
    assert_eq!(bench.shared.directory.simulation_of(key), Some(SimulationId(0)));
    assert_eq!(bench.shared.stats.clients(), 1);
    bench.tick();
    bench.exchange(&mut peer);
    assert_eq!(peer.kinds(), [PayloadKind::HELLO, PayloadKind::SNAPSHOT]);
    peer.inbox.clear();
    bench.hello(&mut peer);
    bench.tick();
    bench.exchange(&mut peer);
    assert_eq!(
        peer.count(PayloadKind::HELLO),
        1,
        "the welcome was lost: it is sent again"
    );
    peer.inbox.clear();
    bench.tick();
    bench.exchange(&mut peer);
    assert_eq!(peer.count(PayloadKind::HELLO), 0);
}

#[test]
fn a_client_with_another_protocol_receives_both_versions_and_is_not_announced() {
    let mut bench = Bench::new();
    let mut peer = bench.connect(1);
    let server = bench.shared.protocol.version();
    let mut client = server;
    client.hash = ProtocolHash(server.hash.0 ^ 1);
    let mut packet = [0; HELLO_BYTES_MAX];
    let length = Hello { version: client }.write(&mut packet);
    bench.send(&mut peer, &packet[..length]);
    bench.exchange(&mut peer);
    assert_eq!(peer.goodbye(), Some(Goodbye::ProtocolMismatch { server, client }));
    assert!(peer.is_ended && bench.simulation().drain().is_empty());
    assert_eq!(
        (bench.core.connected(), bench.figure("protocol_mismatches")),
        (0, 1)
    );
}

#[test]
fn a_stock_renet_client_exchanges_messages_and_receives_no_other_packets() {
    let mut bench = Bench::new();
    let (mut silent, mut peer, mut renet) = (bench.connect(1), bench.connect(2), Reliable::new());
    let mut values = Vec::new();
    let mut replies = Vec::new();
    renet
        .send(Channel::ReliableOrdered, Bytes::from_static(b"to the server"))
        .unwrap();
    for _ in 0..40 {
        for packet in reliable_packets(&mut renet, bench.now) {
            bench.send(&mut peer, &packet);
        }
        for value in bench.simulation().drain() {
            if let ToSimulation::Message {
                key,
                channel,
                ref bytes,
            } = value
            {
                assert_eq!(&bytes[..], b"to the server");
                bench
                    .simulation()
                    .link
                    .send(key, channel, Bytes::from_static(b"to the client"));
            }
            values.push(value);
        }
        bench.tick();
        bench.exchange(&mut silent);
        bench.exchange(&mut peer);
        for payload in peer.inbox.drain(..) {
            assert_eq!(PayloadKind::of(&payload), Some(PayloadKind::Renet));
            renet.receive(&payload).unwrap();
        }
        replies.extend(std::iter::from_fn(|| renet.pop()).map(|(_, bytes)| bytes));
    }
    assert_eq!(arrivals(&values), [Ok(PeerKind::Renet)]);
    assert_eq!(replies, [Bytes::from_static(b"to the client")]);
    assert!(
        silent.inbox.is_empty(),
        "a client that sends no payload receives none"
    );
    bench.core.shutdown(bench.now, &mut bench.out);
    bench.exchange(&mut peer);
    assert!(peer.inbox.is_empty() && peer.is_ended, "not even our goodbye");
}

#[test]
fn a_client_whose_message_overtakes_its_hello_is_not_a_stock_client() {
    let mut bench = Bench::new();
    let (mut peer, mut renet) = (bench.connect(1), Reliable::new());
    renet
        .send(Channel::ReliableOrdered, Bytes::from_static(b"early"))
        .unwrap();
    for packet in reliable_packets(&mut renet, bench.now) {
        bench.send(&mut peer, &packet);
    }
    bench.tick();
    assert!(bench.simulation().drain().is_empty());
    bench.hello(&mut peer);
    let values = bench.simulation().drain();
    assert!(
        matches!(
            &values[..],
            [
                ToSimulation::Joined {
                    kind: PeerKind::Throng,
                    ..
                },
                ToSimulation::Message { .. }
            ]
        ),
        "{values:?}"
    );
}

#[test]
fn a_hostile_renet_packet_ends_its_own_session_only() {
    let mut bench = Bench::new();
    let (mut good, mut bad) = (bench.join(1), bench.join(2));
    // A slice with the index 7 of 2, which makes renet itself panic.
    let slice = [&[2, 2, 0, 0, 7, 2][..], &[0x44, 0xB0], &[0; 1_200][..1_160]].concat();
    bench.send(&mut bad, &slice);
    bench.exchange(&mut bad);
    assert_eq!(bad.goodbye(), Some(Goodbye::Abuse));
    assert_eq!(arrivals(&bench.simulation().drain()), [Err(LeaveReason::Abuse)]);
    bench.tick();
    bench.exchange(&mut good);
    assert!(!good.is_ended && bench.core.connected() == 1);
    assert_eq!(bench.figure("sessions_abused"), 1);
}

#[test]
fn a_newer_session_of_a_client_replaces_the_older() {
    let mut bench = Bench::new();
    let mut old = bench.join(7);
    let mut new = bench.connect(7);
    bench.exchange(&mut old);
    assert_eq!(old.goodbye(), Some(Goodbye::Replaced));
    bench.hello(&mut new);
    let values = bench.simulation().drain();
    assert_eq!(
        arrivals(&values),
        [Err(LeaveReason::Replaced), Ok(PeerKind::Throng)]
    );
    assert_eq!(bench.core.connected(), 1);
}

#[test]
fn a_newer_session_on_another_worker_replaces_the_older() {
    let mut bench = Bench::new();
    let places = Arc::new(Places::unlimited(2));
    bench.shared.places = Arc::clone(&places);
    let (link, theirs) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    bench.core = core(0, vec![theirs], &bench.shared, &mut bench.entropy);
    bench.simulation().link = link;
    let mut old = bench.join(7);
    let elsewhere = SessionKey {
        worker: 1,
        session: bench.simulation().players[0].session,
    };
    places
        .claim(7, 2, AddressGroup::UNKNOWN, elsewhere, bench.now)
        .unwrap();
    bench.tick();
    bench.exchange(&mut old);
    assert_eq!(old.goodbye(), Some(Goodbye::Replaced));
    assert_eq!(
        arrivals(&bench.simulation().drain()),
        [Err(LeaveReason::Replaced)]
    );
    // The client's second token has the number of the session on the other worker.
    let late = bench.attempt(7);
    assert!(late.is_ended && bench.core.connected() == 0);
}

#[test]
fn every_end_of_a_session_is_announced_once_with_its_reason() {
    let mut bench = Bench::new();
    let (mut leaver, mut kicked, mut silent, mut last) =
        (bench.join(1), bench.join(2), bench.join(3), bench.join(4));
    let kicked_key = bench.simulation().players[1];
    leaver.netcode.disconnect(&mut |_, datagram| {
        bench
            .core
            .receive_datagram(bench.now, leaver.address, &mut datagram.to_vec(), &mut bench.out);
    });
    assert_eq!(arrivals(&bench.simulation().drain()), [Err(LeaveReason::Client)]);
    bench.simulation().link.disconnect(
        kicked_key,
        LeaveReason::Kicked,
        Some(Box::new(KickText::new("no shouting"))),
    );
    bench.tick();
    bench.exchange(&mut kicked);
    assert_eq!(
        kicked.goodbye(),
        Some(Goodbye::Kicked(KickText::new("no shouting")))
    );
    assert_eq!(arrivals(&bench.simulation().drain()), [Err(LeaveReason::Kicked)]);
    for _ in 0..120 {
        bench.tick();
        bench.inputs(&mut last, 1_000, &[]);
        bench.exchange(&mut last);
    }
    bench.exchange(&mut silent);
    assert!(silent.is_ended);
    assert_eq!(
        arrivals(&bench.simulation().drain()),
        [Err(LeaveReason::TimedOut)]
    );
    bench.core.shutdown(bench.now, &mut bench.out);
    bench.exchange(&mut last);
    assert_eq!(last.goodbye(), Some(Goodbye::Shutdown));
    assert_eq!(
        arrivals(&bench.simulation().drain()),
        [Err(LeaveReason::Shutdown)]
    );
    assert_eq!((bench.core.connected(), bench.shared.stats.clients()), (0, 0));
}

#[test]
fn new_sessions_are_refused_when_kept_arrivals_reach_their_bound() {
    let config = LinkConfig {
        to_simulation: 1,
        retained: 2,
        ..LinkConfig::default()
    };
    let mut bench = Bench::with(1, &config);
    for client_id in 1..=3 {
        let mut peer = bench.connect(client_id);
        bench.hello(&mut peer);
    }
    let refused = bench.attempt(4);
    assert!(refused.is_ended);
    assert_eq!((bench.core.connected(), bench.figure("sessions_refused")), (3, 1));
    let mut values = Vec::new();
    for _ in 0..5 {
        values.extend(bench.simulation().drain());
        bench.tick();
    }
    assert_eq!(arrivals(&values), [Ok(PeerKind::Throng); 3]);
}
