//! Hostile bytes, from unknown addresses and from clients with valid keys: no panic, no state, a reason.

use proptest::prelude::*;

use super::aead::Key;
use super::wire::{CHALLENGE_BODY_BYTES, PacketCipher, PacketKind};
use super::*;

const KINDS: [PacketKind; 7] = [
    PacketKind::Request,
    PacketKind::Denied,
    PacketKind::Challenge,
    PacketKind::Response,
    PacketKind::KeepAlive,
    PacketKind::Payload,
    PacketKind::Disconnect,
];

/// Returns a server with one session, one handshake under way, and both clients' tokens.
fn busy_host() -> (Host, ClientNetcode, ConnectToken, ConnectToken) {
    let mut host = Host::new();
    let (connected, waiting) = (host.token(1, 1), host.token(2, 1));
    let mut client = ClientNetcode::new(host.now, &connected);
    host.connect(&mut client, address(1));
    assert_eq!(host.give(address(2), &waiting.request()).0, Seen::Handshake);
    (host, client, connected, waiting)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_datagrams_are_dropped_and_change_nothing(
        datagrams in proptest::collection::vec(
            (0u32..4, proptest::collection::vec(any::<u8>(), 0..1_500)), 1..8),
    ) {
        let (mut host, mut client, ..) = busy_host();
        let before = host.server.footprint();
        for (from, mut datagram) in datagrams {
            let (seen, reply) = host.give(address(from), &datagram);
            prop_assert!(matches!(seen, Seen::Dropped(_)) && reply.is_empty());
            let received = client.receive(host.now, &mut datagram);
            prop_assert!(matches!(received, ClientReceived::Dropped(_)));
        }
        prop_assert_eq!(host.server.footprint(), before);
        let datagram = seal(&mut client, host.now, b"unmoved");
        prop_assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(..)));
    }

    #[test]
    fn a_damaged_or_truncated_request_is_dropped(
        index in any::<proptest::sample::Index>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut host = Host::new();
        let request = host.token(1, 1).request();
        let mut changed = request;
        let bit = index.index(changed.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(matches!(host.give(address(1), &changed).0, Seen::Dropped(_)));
        let shorter = &request[..cut.index(request.len())];
        prop_assert!(matches!(host.give(address(1), shorter).0, Seen::Dropped(_)));
        prop_assert_eq!(host.give(address(1), &request).0, Seen::Handshake);
    }

    /// A client can seal any body as any kind and under any number.
    #[test]
    fn invalid_authentic_packets_affect_only_their_own_session(
        packets in proptest::collection::vec(
            (any::<bool>(), 0..KINDS.len(), any::<u64>(), 0usize..CHALLENGE_BODY_BYTES + 40, any::<u8>()), 1..12),
    ) {
        let (mut host, _client, connected, waiting) = busy_host();
        let (mut bystander, _) = host.connected(3, 1, address(3));
        let cipher = PacketCipher::new(PROTOCOL_ID);
        for (from_waiting, kind, sequence, length, fill) in packets {
            let token = if from_waiting { &waiting } else { &connected };
            let key = Key::new(&token.client_to_server).cipher();
            let datagram =
                framed(&vec![fill; length], |buf, range| cipher.seal(KINDS[kind], sequence, &key, buf, range))
                    .unwrap();
            let (seen, _) = host.give(address(if from_waiting { 2 } else { 1 }), &datagram);
            let connects = matches!(seen, Seen::Connected { .. });
            prop_assert!(!connects, "no body of one repeated byte is a challenge");
        }
        let datagram = seal(&mut bystander, host.now, b"unmoved");
        prop_assert!(matches!(host.give(address(3), &datagram).0, Seen::Payload(..)));
    }

    /// A server can seal any body as any kind and under any number, too.
    #[test]
    fn invalid_authentic_packets_of_a_server_do_not_panic(
        connect in any::<bool>(),
        packets in proptest::collection::vec(
            (0..KINDS.len(), any::<u64>(), 0usize..CHALLENGE_BODY_BYTES + 40, any::<u8>()), 1..12),
    ) {
        let mut host = Host::new();
        let token = host.token(1, 1);
        let mut client = ClientNetcode::new(host.now, &token);
        if connect {
            host.connect(&mut client, address(1));
        }
        let (cipher, key) = (PacketCipher::new(PROTOCOL_ID), Key::new(&token.server_to_client).cipher());
        for (kind, sequence, length, fill) in packets {
            let mut datagram =
                framed(&vec![fill; length], |buf, range| cipher.seal(KINDS[kind], sequence, &key, buf, range))
                    .unwrap();
            client.receive(host.now, &mut datagram);
            host.now += Duration::from_millis(100);
            client.update(host.now, &mut |_, _| {});
        }
    }
}

#[test]
fn bodies_of_a_wrong_length_are_malformed() {
    let (mut host, _client, token, _) = busy_host();
    let cipher = PacketCipher::new(PROTOCOL_ID);
    let key = Key::new(&token.client_to_server).cipher();
    let cases: [(PacketKind, &[u8]); 3] = [
        (PacketKind::Payload, b""),
        (PacketKind::KeepAlive, b"1234567"),
        (PacketKind::Disconnect, b"x"),
    ];
    for (sequence, (kind, body)) in (100..).zip(cases) {
        let packet = cipher.control(kind, sequence, &key, body);
        assert_eq!(
            host.give(address(1), packet.as_slice()).0,
            Seen::Dropped(DropReason::Malformed)
        );
    }
    for kind in [PacketKind::Denied, PacketKind::Challenge] {
        let packet = cipher.control(kind, 200, &key, b"");
        assert_eq!(
            host.give(address(1), packet.as_slice()).0,
            Seen::Dropped(DropReason::Unexpected)
        );
    }
    assert_eq!(host.server.connected(), 1);
}
