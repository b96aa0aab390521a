//! Refused tokens, full tables and floods: each has a drop reason and a counter.

use super::*;

/// Sends the first request of `token` from `from`.
fn show(host: &mut Host, token: &ConnectToken, from: SocketAddr) -> (Seen, Vec<u8>) {
    host.give(from, &token.request())
}

fn ours() -> [SocketAddr; 1] {
    [SERVER.parse().unwrap()]
}

#[test]
fn a_token_of_another_key_is_refused() {
    let mut host = Host::new();
    let token = host.token_with(7, 1, &ours(), |request| request.private_key = &[12; KEY_BYTES]);
    assert_eq!(
        show(&mut host, &token, address(1)),
        (Seen::Dropped(DropReason::TokenForged), vec![])
    );
    assert_eq!(host.dropped(DropReason::TokenForged), 1);
}

#[test]
fn a_changed_nonce_or_expiry_is_refused() {
    let mut host = Host::new();
    let mut token = host.token(7, 1);
    token.expire_unix_s += 1;
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::TokenForged)
    );
    let mut token = host.token(7, 1);
    token.nonce[0] ^= 1;
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::TokenForged)
    );
}

#[test]
fn an_expired_token_is_refused_to_the_second() {
    let mut host = Host::new();
    let token = host.token(7, 1);
    host.now += Duration::from_secs(60);
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::TokenExpired)
    );
    host.now -= Duration::from_secs(1);
    assert_eq!(show(&mut host, &token, address(1)).0, Seen::Handshake);
}

#[test]
fn another_protocol_version_or_server_is_refused() {
    let mut host = Host::new();
    let token = host.token_with(7, 1, &ours(), |request| request.protocol_id ^= 1);
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::ProtocolId)
    );
    let elsewhere = ["192.0.2.1:5001".parse().unwrap()];
    let token = host.token_with(7, 1, &elsewhere, |_| {});
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::WrongServer)
    );
    let mut request = host.token(7, 1).request();
    request[12] = b'1';
    assert_eq!(
        host.give(address(1), &request).0,
        Seen::Dropped(DropReason::Version)
    );
}

#[test]
fn a_request_of_another_length_is_refused_before_it_is_opened() {
    let mut host = Host::with(|config| config.requests_per_s_max = 1);
    let token = host.token(7, 1);
    let mut longer = token.request().to_vec();
    longer.push(0);
    let shorter = &token.request()[..REQUEST_BYTES - 1];
    assert_eq!(
        host.give(address(1), &longer).0,
        Seen::Dropped(DropReason::RequestLength)
    );
    assert_eq!(
        host.give(address(1), shorter).0,
        Seen::Dropped(DropReason::RequestLength)
    );
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Handshake,
        "the limit was not touched"
    );
}

#[test]
fn a_token_shown_from_another_address_is_refused() {
    let mut host = Host::new();
    let token = host.token(7, 1);
    assert_eq!(show(&mut host, &token, address(1)).0, Seen::Handshake);
    assert_eq!(
        show(&mut host, &token, address(2)).0,
        Seen::Dropped(DropReason::TokenElsewhere)
    );
    // Also after its owner has connected and left.
    let mut client = ClientNetcode::new(host.now, &token);
    let session = host.connect(&mut client, address(1));
    host.server.disconnect(session, &mut |_, _| {});
    assert_eq!(
        show(&mut host, &token, address(2)).0,
        Seen::Dropped(DropReason::TokenElsewhere)
    );
}

#[test]
fn a_challenge_opens_no_session_for_another_token() {
    let mut host = Host::new();
    // An attacker with two tokens sends one from a victim's address and receives only its own challenge.
    let theirs = host.token(8, 1);
    assert_eq!(show(&mut host, &theirs, address(2)).0, Seen::Handshake);
    let cipher = wire::PacketCipher::new(PROTOCOL_ID);
    let body = challenge_body(&mut host, 9, address(3));
    let key = aead::Key::new(&theirs.client_to_server).cipher();
    let forged = cipher.control(wire::PacketKind::Response, 5, &key, &body);
    let (seen, reply) = host.give(address(2), forged.as_slice());
    assert_eq!(
        (seen, reply),
        (Seen::Dropped(DropReason::ChallengeForged), vec![])
    );
    let noise = cipher.control(
        wire::PacketKind::Response,
        6,
        &key,
        &[1; wire::CHALLENGE_BODY_BYTES],
    );
    assert_eq!(
        host.give(address(2), noise.as_slice()).0,
        Seen::Dropped(DropReason::ChallengeForged)
    );
    let short = cipher.control(wire::PacketKind::Response, 7, &key, &body[1..]);
    assert_eq!(
        host.give(address(2), short.as_slice()).0,
        Seen::Dropped(DropReason::Malformed)
    );
}

/// Returns the body of the challenge that a client with a new token receives at `from`.
fn challenge_body(host: &mut Host, client_id: u64, from: SocketAddr) -> Vec<u8> {
    let token = host.token(client_id, 1);
    let (seen, mut reply) = show(host, &token, from);
    assert_eq!(seen, Seen::Handshake);
    let header = wire::PacketHeader::read(&reply).unwrap();
    let key = aead::Key::new(&token.server_to_client).cipher();
    let body = wire::PacketCipher::new(PROTOCOL_ID)
        .open(header, &key, &mut reply)
        .unwrap();
    reply[body].to_vec()
}

#[test]
fn a_short_response_for_an_unconfirmed_session_gets_no_reply() {
    let mut host = Host::new();
    let token = host.token(7, 1);
    let mut client = ClientNetcode::new(host.now, &token);
    host.connect(&mut client, address(1));
    let key = aead::Key::new(&token.client_to_server).cipher();
    let short = wire::PacketCipher::new(PROTOCOL_ID).control(wire::PacketKind::Response, 0, &key, b"");
    let (seen, reply) = host.give(address(1), short.as_slice());
    assert_eq!((seen, reply), (Seen::Dropped(DropReason::Malformed), vec![]));
}

#[test]
fn an_address_with_a_session_cannot_open_one_for_another_client() {
    let mut host = Host::new();
    let (_client, _) = host.connected(7, 1, address(1));
    let token = host.token(8, 1);
    assert_eq!(
        show(&mut host, &token, address(1)).0,
        Seen::Dropped(DropReason::AddressConnected)
    );
}

#[test]
fn a_full_server_denies_clients_but_allows_a_take_over() {
    let mut host = Host::with(|config| config.sessions_max = 2);
    let (_first, first) = host.connected(1, 1, address(1));
    let mut late = host.client(3, 1);
    assert_eq!(host.exchange(&mut late, address(3)), [Seen::Handshake]);
    host.connected(2, 1, address(2));
    // Full between request and response.
    assert_eq!(
        host.exchange(&mut late, address(3)),
        [Seen::Dropped(DropReason::ServerFull)]
    );
    assert_eq!(late.state(), ClientState::Disconnected(DisconnectReason::Denied));
    // Full at the request.
    let mut later = host.client(4, 1);
    assert_eq!(
        host.exchange(&mut later, address(4)),
        [Seen::Dropped(DropReason::ServerFull)]
    );
    assert_eq!(later.state(), ClientState::Disconnected(DisconnectReason::Denied));
    assert_eq!(host.server.counters().denials, 2);

    let (_first_again, again) = host.connected(1, 2, address(5));
    assert!(again != first && host.server.connected() == 2);
}

#[test]
fn pending_handshakes_are_bounded_and_time_out() {
    let mut host = Host::with(|config| config.pending_max = 10);
    let mut late = Vec::new();
    for n in 0..30 {
        let mut client = host.client(n.into(), 1);
        assert_eq!(host.exchange(&mut client, address(n)), [Seen::Handshake]);
        late.push(client);
    }
    assert_eq!(host.server.footprint()[2], 10);
    assert_eq!(host.server.counters().handshakes_evicted, 20);
    // The newest ten respond in time; the others were evicted, and ask again.
    for (n, client) in (0..).zip(&mut late).skip(20) {
        let seen = host.exchange(client, address(n));
        assert!(
            matches!(seen[..], [Seen::Connected { .. }]),
            "client {n}: {seen:?}"
        );
    }
    assert_eq!(
        host.exchange(&mut late[0], address(0)),
        [Seen::Dropped(DropReason::UnknownAddress)]
    );
    let mut client = host.client(100, 1);
    host.exchange(&mut client, address(100));
    host.pass(Duration::from_millis(9_990));
    assert_eq!(host.server.footprint()[2], 1);
    host.pass(Duration::from_millis(100));
    assert_eq!(host.server.footprint()[2], 0);
}

#[test]
fn a_flood_of_requests_without_responses_lets_others_complete_their_handshakes() {
    let mut host = Host::with(|config| config.pending_max = 64);
    for n in 0..200 {
        // 20 valid requests that are never completed arrive while each client waits for its challenge.
        let mut client = host.client(1_000 + u64::from(n), 1);
        assert_eq!(host.exchange(&mut client, address(n)), [Seen::Handshake]);
        for flood in 0..20 {
            let silent = 10_000 + n * 20 + flood;
            let token = host.token(silent.into(), 1);
            assert_eq!(show(&mut host, &token, address(silent)).0, Seen::Handshake);
        }
        let seen = host.exchange(&mut client, address(n));
        assert!(
            matches!(seen[..], [Seen::Connected { .. }]),
            "client {n}: {seen:?}"
        );
        assert!(host.server.footprint()[2] <= 64);
    }
}

#[test]
fn tokens_in_use_are_bounded_and_expire() {
    let tokens = Arc::new(UsedTokens::new(10, &mut Entropy::from_seed([1; 32])));
    let mut host = Host::with(|config| config.used_tokens = Some(tokens));
    for n in 0..10 {
        let token = host.token(n.into(), 1);
        assert_eq!(show(&mut host, &token, address(n)).0, Seen::Handshake);
    }
    let token = host.token(100, 1);
    assert_eq!(
        show(&mut host, &token, address(100)).0,
        Seen::Dropped(DropReason::TokensFull)
    );
    host.now += Duration::from_secs(60);
    for n in 0..10 {
        let token = host.token(n.into(), 2);
        assert_eq!(
            show(&mut host, &token, address(n)).0,
            Seen::Handshake,
            "the old ones have expired"
        );
    }
}

#[test]
fn a_flood_of_tokens_keeps_no_new_token_out_and_opens_no_old_one_again() {
    let tokens = Arc::new(UsedTokens::new(10, &mut Entropy::from_seed([1; 32])));
    let mut host = Host::with(|config| config.used_tokens = Some(tokens));
    let first = host.token(1_000, 1);
    let mut client = ClientNetcode::new(host.now, &first);
    let session = host.connect(&mut client, address(1_000));
    host.server.disconnect(session, &mut |_, _| {});
    for second in 1..30 {
        host.now += Duration::from_secs(1);
        for n in 0..5 {
            let n = second * 10 + n;
            let token = host.token(n.into(), 1);
            assert_eq!(show(&mut host, &token, address(n)).0, Seen::Handshake);
        }
        let spent = show(&mut host, &first, address(1_000)).0;
        let reason = if second < 2 {
            DropReason::TokenSpent
        } else {
            DropReason::TokenExpired
        };
        assert_eq!(spent, Seen::Dropped(reason), "second {second}");
        assert!(host.server.footprint()[4] <= 10);
    }
}

#[test]
fn requests_beyond_the_rate_limit_are_dropped_unopened_and_sessions_continue() {
    let mut host = Host::with(|config| config.requests_per_s_max = 100);
    let (mut client, session) = host.connected(1, 1, address(1));
    let forged = host
        .token_with(7, 1, &ours(), |request| request.private_key = &[12; KEY_BYTES])
        .request();
    for step in 0..1_000u32 {
        host.now += Duration::from_millis(1);
        host.give(address(100 + step), &forged);
        let datagram = seal(&mut client, host.now, &step.to_le_bytes());
        assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(from, ..) if from == session));
    }
    let opened = host.dropped(DropReason::TokenForged);
    assert!((100..=110).contains(&opened), "{opened} opened in one second");
    assert_eq!(host.dropped(DropReason::RateLimited), 1_000 - opened);
    // A valid one gets through as soon as the flood leaves room.
    host.now += Duration::from_millis(100);
    host.connected(2, 1, address(2));
}

#[test]
fn a_hundred_thousand_spoofed_requests_leave_no_state() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(1, 1, address(1));
    let forged = host.token_with(7, 1, &ours(), |request| request.private_key = &[12; KEY_BYTES]);
    let valid = host.token(9, 1);
    assert_eq!(show(&mut host, &valid, address(9)).0, Seen::Handshake);
    let before = host.server.footprint();
    let mut request = forged.request();
    let mut reply = Reply::new();
    for n in 0..100_000u32 {
        host.now += Duration::from_micros(10);
        // Half of them are copies of a valid request.
        let mut spoof = if n % 2 == 0 { request } else { valid.request() };
        request[1_000..1_004].copy_from_slice(&n.to_le_bytes());
        let received =
            host.server
                .receive(host.now, EPOCH_UNIX_S, address(1_000 + n), &mut spoof, &mut reply);
        assert!(matches!(received, ServerReceived::Dropped(_)) && reply.is_empty());
        if n % 1_000 == 0 {
            let datagram = seal(&mut client, host.now, b"unmoved");
            assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(from, ..) if from == session));
        }
    }
    assert_eq!(host.dropped(DropReason::TokenForged), 50_000);
    assert_eq!(host.dropped(DropReason::TokenElsewhere), 50_000);
    assert_eq!(host.server.footprint(), before);
}
