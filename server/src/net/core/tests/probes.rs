//! Tests of the replies to probes: at once, of the same length, within the rate limit, and only to our own clients.

use throng_shared::protocol::PROBE_PACKET;

use super::*;

/// Returns the lengths of the datagrams that the worker has sent to a client since the last exchange.
fn sent_lengths(bench: &Bench, peer: &Peer) -> Vec<usize> {
    let sent = bench.out.sent.iter().filter(|(to, _)| *to == peer.address);
    sent.map(|(_, datagram)| datagram.len()).collect()
}

/// Returns the length of a datagram that contains a probe.
fn probe_length(bench: &Bench, peer: &mut Peer) -> usize {
    let mut buffer = [0; DATAGRAM_BUFFER_BYTES];
    let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + PROBE_PACKET.len();
    buffer[range.clone()].copy_from_slice(&PROBE_PACKET);
    peer.netcode.seal(bench.now, &mut buffer, range).unwrap().len()
}

#[test]
fn a_probe_is_replied_to_at_once_by_a_datagram_that_is_no_longer() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for round in 1..=20 {
        let asked = probe_length(&bench, &mut peer);
        bench.send(&mut peer, &PROBE_PACKET);
        let replied = sent_lengths(&bench, &peer);
        assert!(
            replied.len() == 1 && replied[0] <= asked,
            "without a tick, {asked} bytes asked: {replied:?}"
        );
        bench.exchange(&mut peer);
        assert_eq!(peer.inbox.drain(..).collect::<Vec<_>>(), [PROBE_PACKET]);
        assert_eq!(bench.figure("probes"), round);
    }
}

#[test]
fn a_flood_of_probes_is_replied_to_within_the_rate_limit() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for _ in 0..1_000 {
        bench.send(&mut peer, &PROBE_PACKET);
    }
    bench.exchange(&mut peer);
    let replies = peer.count(PayloadKind::PROBE) as u64;
    assert!(
        (240..=260).contains(&replies),
        "{replies} replies to 1,000 probes"
    );
    assert_eq!(
        (bench.figure("probes"), bench.figure("other_packets_limited")),
        (replies, 1_000 - replies)
    );
}

#[test]
fn a_session_that_sent_no_hello_and_a_malformed_probe_get_no_reply() {
    let mut bench = Bench::new();
    let (mut stock, mut ours) = (bench.connect(1), bench.join(2));
    bench.send(&mut stock, &PROBE_PACKET);
    bench.send(&mut ours, &[PayloadKind::PROBE, 0]);
    for peer in [&mut stock, &mut ours] {
        bench.exchange(peer);
        assert!(peer.inbox.is_empty(), "{:?}", peer.inbox);
    }
    assert_eq!(
        (bench.figure("probes"), bench.figure("payloads_malformed")),
        (0, 2)
    );
    assert_eq!(bench.core.connected(), 2);
}
