//! Tests of sessions that do not prove themselves, and of sessions without a place.

use bytes::Bytes;
use throng_shared::protocol::ids::Channel;
use throng_shared::reliable::Reliable;

use super::*;
use crate::boundary::address_group::AddressGroup;
use crate::net::assign::AssignStrategy;
use crate::net::places::PlaceLimits;

/// Returns a bench whose sessions have to send a hello within this time.
fn bench(hello_timeout: Duration, places_max: u32) -> Bench {
    let mut bench = Bench::new();
    let limits = PlaceLimits {
        places_max,
        worker_max: places_max,
        address_max: 2,
        trusts_loopback: false,
        hello_timeout: Some(hello_timeout),
    };
    bench.shared.places = Arc::new(Places::new(1, AssignStrategy::RoundRobin, limits));
    let (link, theirs) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    bench.core = core(0, vec![theirs], &bench.shared, &mut bench.entropy);
    bench.simulation().link = link;
    bench
}

/// Runs ticks for some milliseconds, in which the peers send only keep-alives.
fn rest(bench: &mut Bench, millis: u64, peers: &mut [&mut Peer]) {
    for _ in 0..millis / TICK.as_millis() as u64 {
        bench.tick();
        for peer in &mut *peers {
            bench.exchange(peer);
        }
    }
}

#[test]
fn a_session_that_only_sends_keep_alives_ends_after_the_time_for_its_hello() {
    let mut bench = bench(Duration::from_secs(5), 100);
    let mut silent = bench.connect(1);
    let mut player = bench.join(2);
    rest(&mut bench, 4_800, &mut [&mut silent, &mut player]);
    assert!(!silent.is_ended && bench.core.connected() == 2);
    rest(&mut bench, 400, &mut [&mut silent, &mut player]);
    assert!(silent.is_ended && !player.is_ended);
    assert_eq!(silent.goodbye(), None);
    assert_eq!((bench.core.connected(), bench.figure("sessions_silent")), (1, 1));
    assert!(
        arrivals(&bench.simulation().drain()).is_empty(),
        "the simulation knows nothing of it"
    );
}

#[test]
fn sessions_do_not_wait_for_a_hello_that_has_no_time() {
    let mut bench = Bench::new();
    let _peers = [1, 2, 3].map(|id| bench.connect(id));
    assert_eq!((bench.core.connected(), bench.core.silent.len()), (3, 0));
}

#[test]
fn only_a_hello_and_messages_of_plain_renet_prove_a_session() {
    let mut bench = bench(Duration::from_secs(2), 100);
    let mut with_inputs = bench.connect(1);
    let mut with_garbage = bench.connect(2);
    let mut with_acks = bench.connect(3);
    let mut plain = bench.connect(4);
    let mut late = bench.connect(5);
    bench.inputs(&mut with_inputs, 1_001, &[1]);
    bench.send(&mut with_garbage, &[0x80, 1, 2, 3]);
    // A packet of renet with acknowledgements only.
    let mut acks = Reliable::new();
    let mut packets = Vec::new();
    acks.send(Channel::Unreliable, Bytes::from_static(b"x")).unwrap();
    acks.poll(bench.now, 10_000, |packet| packets.push(packet.to_vec()))
        .unwrap();
    let mut answered = Reliable::new();
    answered.receive(&packets[0]).unwrap();
    packets.clear();
    answered
        .poll(bench.now + Duration::from_secs(1), 10_000, |packet| {
            packets.push(packet.to_vec());
        })
        .unwrap();
    assert!(!packets.is_empty(), "an acknowledgement is due");
    packets
        .iter()
        .for_each(|packet| assert_eq!(bench.send(&mut with_acks, packet), ReceivedKind::Payload));
    rest(&mut bench, 1_800, &mut [&mut plain, &mut late]);
    // A plain client's first message arrives just before its time is over, and is recognized a second later.
    let mut messages = Reliable::new();
    messages
        .send(Channel::ReliableOrdered, Bytes::from_static(b"x"))
        .unwrap();
    packets.clear();
    messages
        .poll(bench.now, 10_000, |packet| packets.push(packet.to_vec()))
        .unwrap();
    packets
        .iter()
        .for_each(|packet| assert_eq!(bench.send(&mut plain, packet), ReceivedKind::Payload));
    bench.hello(&mut late);
    let mut peers = [
        &mut with_inputs,
        &mut with_garbage,
        &mut with_acks,
        &mut plain,
        &mut late,
    ];
    rest(&mut bench, 4_000, &mut peers);
    let ended = peers.map(|peer| peer.is_ended);
    assert_eq!(ended, [true, true, true, false, false]);
    let counted = bench.figure("sessions_silent") + bench.figure("sessions_abused");
    assert_eq!(counted, 3, "a forged acknowledgement may be abuse");
}

#[test]
fn a_hello_that_waits_while_the_process_is_stopped_is_in_time() {
    let mut bench = bench(Duration::from_secs(1), 100);
    let mut peer = bench.connect(1);
    bench.tick();
    bench.now += Duration::from_secs(3);
    bench.core.update(bench.now, &mut bench.out);
    bench.hello(&mut peer);
    rest(&mut bench, 2_000, &mut [&mut peer]);
    assert!(!peer.is_ended && bench.core.connected() == 1);
}

#[test]
fn a_token_that_is_used_when_the_server_is_full_opens_no_session() {
    let mut bench = bench(Duration::from_secs(5), 2);
    bench.join(1);
    let mut second = bench.connect(2);
    let third = bench.attempt(3);
    assert!(third.is_ended);
    assert_eq!((bench.core.connected(), bench.figure("sessions_refused")), (2, 1));
    second.netcode.disconnect(&mut |_, datagram| {
        bench
            .core
            .receive_datagram(bench.now, second.address, &mut datagram.to_vec(), &mut bench.out);
    });
    bench.connect(3);
}

#[test]
fn sessions_are_counted_for_the_address_to_which_their_tokens_were_issued() {
    let mut bench = bench(Duration::from_secs(5), 100);
    let home = AddressGroup::of([203, 0, 113, 7].into());
    let mut connect = |client_id: u64, group: AddressGroup| {
        bench.issued_to = group;
        let is_ended = bench.attempt(client_id).is_ended;
        (is_ended, bench.core.connected())
    };
    assert_eq!(connect(1, home), (false, 1));
    assert_eq!(connect(2, home), (false, 2));
    assert_eq!(connect(3, home), (true, 2), "two of one address");
    assert_eq!(connect(4, AddressGroup::of([203, 0, 113, 8].into())), (false, 3));
    assert_eq!(connect(1, home), (false, 3), "a client comes back");
}
