//! Handshakes from a token to a session, and sessions that a newer one takes over.

use std::collections::HashSet;

use super::*;

#[test]
fn a_client_connects_and_payloads_flow_both_ways() {
    let mut host = Host::new();
    let mut client = host.client(7, 1);
    assert_eq!(client.state(), ClientState::Requesting);
    assert_eq!(host.exchange(&mut client, address(1)), [Seen::Handshake]);
    assert_eq!(client.state(), ClientState::Responding);
    let seen = host.exchange(&mut client, address(1));
    let [
        Seen::Connected {
            session,
            client_id: 7,
            number: 1,
            replaced: None,
        },
    ] = seen[..]
    else {
        panic!("{seen:?}")
    };
    assert!(client.is_connected());
    assert_eq!(host.server.address(session), Some(address(1)));
    assert_eq!(host.server.connected(), 1);
    assert_eq!(host.server.sessions().collect::<Vec<_>>(), [session]);

    let datagram = seal(&mut client, host.now, b"up");
    let (seen, reply) = host.give(address(1), &datagram);
    assert!(matches!(seen, Seen::Payload(from, _, payload) if from == session && payload == b"up"));
    assert!(reply.is_empty());
    // The first keep-alive had number 0.
    let mut datagram = host.seal(session, b"down").unwrap();
    let received = client.receive(host.now, &mut datagram);
    assert_eq!(
        received,
        ClientReceived::Payload {
            sequence: 1,
            payload: b"down"
        }
    );
}

#[test]
fn a_lost_challenge_and_a_lost_confirmation_are_repeated() {
    let mut host = Host::new();
    let mut client = host.client(7, 1);
    let request = due(&mut client, host.now);
    assert_eq!(host.give(address(1), &request[0]).0, Seen::Handshake);
    assert!(
        due(&mut client, host.now).is_empty(),
        "requests repeat every 250 ms"
    );
    host.pass(Duration::from_millis(250));
    assert_eq!(host.exchange(&mut client, address(1)), [Seen::Handshake]);

    let response = due(&mut client, host.now);
    assert!(matches!(
        host.give(address(1), &response[0]).0,
        Seen::Connected { .. }
    ));
    assert_eq!(client.state(), ClientState::Responding, "the reply was lost");
    host.pass(Duration::from_millis(250));
    assert_eq!(host.exchange(&mut client, address(1)), [Seen::Handshake]);
    assert!(client.is_connected());

    // Once the client has sent a packet of its session, a copy of its response gets no reply.
    let keep_alive = due(&mut client, host.now);
    assert_eq!(host.give(address(1), &keep_alive[0]).0, Seen::KeepAlive);
    assert_eq!(
        host.give(address(1), &response[0]),
        (Seen::Dropped(DropReason::Unexpected), vec![])
    );
}

#[test]
fn copies_of_a_response_do_not_keep_a_session_alive() {
    let mut host = Host::new();
    let mut client = host.client(7, 1);
    host.exchange(&mut client, address(1));
    let response = due(&mut client, host.now);
    host.give(address(1), &response[0]);
    let mut ended = Vec::new();
    for _ in 0..21 {
        ended.extend(host.pass(Duration::from_secs(1)).1);
        host.give(address(1), &response[0]);
    }
    assert_eq!(ended.len(), 1);
}

#[test]
fn a_newer_session_of_a_client_takes_over() {
    let mut host = Host::new();
    let (mut old_client, old) = host.connected(7, 1, address(1));
    let mut client = host.client(7, 2);
    host.exchange(&mut client, address(2));
    let seen = host.exchange(&mut client, address(2));
    let [
        Seen::Connected {
            session,
            client_id: 7,
            number: 2,
            replaced: Some(replaced),
        },
    ] = seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(replaced, old);
    assert_ne!(session.index, old.index);
    assert_eq!(host.server.connected(), 1);

    // The old session can still be sent a goodbye, but its packets are dropped.
    let stale = seal(&mut old_client, host.now, b"still here");
    assert_eq!(
        host.give(address(1), &stale).0,
        Seen::Dropped(DropReason::UnknownAddress)
    );
    let mut goodbye = host.seal(old, b"good-bye").unwrap();
    assert!(matches!(
        old_client.receive(host.now, &mut goodbye),
        ClientReceived::Payload { .. }
    ));
    let mut sent = Vec::new();
    host.server
        .disconnect(old, &mut |to, datagram| sent.push((to, datagram.to_vec())));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(to, _)| *to == address(1)));
    let received = old_client.receive(host.now, &mut sent[9].1);
    assert_eq!(received, ClientReceived::Disconnected(DisconnectReason::ByServer));
    assert_eq!(host.seal(old, b""), Err(SealError::NotConnected));

    let datagram = seal(&mut client, host.now, b"mine now");
    assert!(matches!(host.give(address(2), &datagram).0, Seen::Payload(from, ..) if from == session));
    assert_eq!(host.server.counters().replaced, 1);
}

#[test]
fn a_session_can_be_taken_over_from_its_own_address() {
    let mut host = Host::new();
    let (_crashed, old) = host.connected(7, 1, address(1));
    let mut client = host.client(7, 2);
    let session = host.connect(&mut client, address(1));
    let mut to = Vec::new();
    host.server.disconnect(old, &mut |address, _| to.push(address));
    assert_eq!(to, [address(1); 10]);
    let datagram = seal(&mut client, host.now, b"after a crash");
    assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(from, ..) if from == session));
    assert_eq!(host.server.connected(), 1);
}

#[test]
fn a_replaced_session_that_is_not_disconnected_times_out() {
    let mut host = Host::new();
    let (_old_client, old) = host.connected(7, 1, address(1));
    let (_client, session) = host.connected(7, 2, address(2));
    let (sent, ended) = host.pass(Duration::from_millis(5_100));
    assert_eq!(ended, [old]);
    assert!(
        sent.iter().all(|(to, _)| *to == address(2)),
        "nothing is sent to the old address"
    );
    assert_eq!(host.server.sessions().collect::<Vec<_>>(), [session]);
    assert_eq!(host.server.counters().timed_out, 0);
}

#[test]
fn an_equal_or_older_session_is_refused_while_a_newer_one_is_connected() {
    let mut host = Host::new();
    let (mut first, session) = host.connected(7, 5, address(1));
    for number in [5, 4, 0] {
        let mut client = host.client(7, number);
        let seen = host.exchange(&mut client, address(2));
        assert_eq!(seen, [Seen::Dropped(DropReason::ClientConnected)]);
    }
    let datagram = seal(&mut first, host.now, b"unmoved");
    assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(from, ..) if from == session));
    host.server.disconnect(session, &mut |_, _| {});
    let mut client = host.client(7, 0);
    host.connect(&mut client, address(2));
}

#[test]
fn the_newer_of_two_handshakes_of_one_client_wins() {
    let mut host = Host::new();
    let (mut older, mut newer) = (host.client(7, 1), host.client(7, 2));
    let stale = due(&mut older, host.now);
    // From one address: a late copy of the older request does not disturb the newer handshake.
    host.exchange(&mut newer, address(1));
    assert_eq!(
        host.give(address(1), &stale[0]).0,
        Seen::Dropped(DropReason::RequestOutdated)
    );
    host.exchange(&mut newer, address(1));
    assert!(newer.is_connected());

    // From two addresses: the older one's response comes too late.
    let (mut older, mut newer) = (host.client(8, 1), host.client(8, 2));
    host.exchange(&mut older, address(2));
    host.connect(&mut newer, address(3));
    assert_eq!(
        host.exchange(&mut older, address(2)),
        [Seen::Dropped(DropReason::ClientConnected)]
    );
}

#[test]
fn a_client_tries_the_next_server_of_its_token() {
    let mut host = Host::new();
    let servers = ["192.0.2.9:1".parse().unwrap(), SERVER.parse().unwrap()];
    let token = host.token_with(7, 1, &servers, |request| request.timeout_s = 2);
    let mut client = ClientNetcode::new(host.now, &token);
    assert_eq!(client.server_address(), servers[0]);
    assert_eq!(due(&mut client, host.now).len(), 1);
    host.pass(Duration::from_secs(2));
    assert_eq!(host.exchange(&mut client, address(1)), [Seen::Handshake]);
    assert_eq!(client.server_address(), servers[1]);
    host.exchange(&mut client, address(1));
    assert!(client.is_connected());
}

#[test]
fn no_sequence_number_is_used_twice_under_one_key() {
    let mut host = Host::new();
    let mut client = host.client(7, 1);
    let mut numbers = HashSet::new();
    let mut note = |datagram: &[u8]| {
        let header = wire::PacketHeader::read(datagram).unwrap();
        assert!(numbers.insert(header.sequence), "{} again", header.sequence);
        header.sequence
    };
    for _ in 0..3 {
        let request = due(&mut client, host.now);
        let (_, reply) = host.give(address(1), &request[0]);
        assert!(
            note(&reply) >= 1 << 63,
            "challenges are numbered apart from payloads"
        );
        host.now += Duration::from_millis(250);
    }
    host.exchange(&mut client, address(1));
    let responses: Vec<_> = (0..3)
        .flat_map(|_| {
            host.now += Duration::from_millis(250);
            due(&mut client, host.now)
        })
        .collect();
    let mut session = None;
    for response in &responses {
        let (seen, reply) = host.give(address(1), response);
        assert!(note(&reply) < 100, "sessions count from 0");
        if let Seen::Connected { session: id, .. } = seen {
            session = Some(id);
        }
    }
    let session = session.unwrap();
    for _ in 0..10 {
        let datagram = host.seal(session, b"x").unwrap();
        note(&datagram);
        for (_, datagram) in host.pass(Duration::from_secs(1)).0 {
            note(&datagram);
        }
    }
    host.server.disconnect(session, &mut |_, datagram| {
        note(datagram);
    });
}

#[test]
fn a_token_opens_one_session_only() {
    let mut host = Host::new();
    let token = host.token(7, 1);
    let mut client = ClientNetcode::new(host.now, &token);
    let session = host.connect(&mut client, address(1));
    let mut again = ClientNetcode::new(host.now, &token);
    assert_eq!(
        host.exchange(&mut again, address(1)),
        [Seen::Dropped(DropReason::TokenSpent)]
    );
    host.server.disconnect(session, &mut |_, _| {});
    host.now += Duration::from_millis(250);
    assert_eq!(
        host.exchange(&mut again, address(1)),
        [Seen::Dropped(DropReason::TokenSpent)]
    );
}
