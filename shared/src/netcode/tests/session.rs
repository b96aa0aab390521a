//! Sessions: keep-alives, time-outs, replayed packets, disconnecting, and many sessions at once.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

#[test]
fn idle_sessions_stay_and_cost_a_keep_alive_every_five_seconds_each_way() {
    let mut host = Host::new();
    let (mut client, _) = host.connected(7, 1, address(1));
    let (mut up, mut down) = (0, 0);
    for _ in 0..6_000 {
        let (sent, ended) = host.pass(Duration::from_millis(10));
        assert!(ended.is_empty());
        for (to, mut datagram) in sent {
            assert_eq!(to, address(1));
            assert_eq!(client.receive(host.now, &mut datagram), ClientReceived::KeepAlive);
            down += 1;
        }
        for datagram in due(&mut client, host.now) {
            assert_eq!(host.give(address(1), &datagram).0, Seen::KeepAlive);
            up += 1;
        }
    }
    assert!(client.is_connected());
    assert!((11..=12).contains(&down), "{down} keep-alives down in a minute");
    assert!((12..=13).contains(&up), "{up} keep-alives up in a minute");
}

#[test]
fn busy_sessions_send_no_keep_alives() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(7, 1, address(1));
    due(&mut client, host.now);
    for _ in 0..300 {
        assert!(host.pass(Duration::from_millis(50)).0.is_empty());
        let mut down = host.seal(session, b"down").unwrap();
        assert!(matches!(
            client.receive(host.now, &mut down),
            ClientReceived::Payload { .. }
        ));
        let up = seal(&mut client, host.now, b"up");
        assert!(matches!(host.give(address(1), &up).0, Seen::Payload(..)));
        assert!(due(&mut client, host.now).is_empty());
    }
}

#[test]
fn ended_sessions_leave_no_timer() {
    let mut host = Host::new();
    let clients: Vec<_> = (0..10).map(|n| host.connected(n.into(), 1, address(n))).collect();
    for (_, session) in clients.iter().step_by(2) {
        host.server.disconnect(*session, &mut |_, _| {});
    }
    let (sent, _) = host.pass(Duration::from_millis(5_020));
    assert_eq!(sent.len(), 5);
}

#[test]
fn a_session_with_a_short_time_out_gets_keep_alives_more_often() {
    let mut host = Host::new();
    let token = host.token_with(7, 1, &[SERVER.parse().unwrap()], |request| request.timeout_s = 3);
    let mut client = ClientNetcode::new(host.now, &token);
    host.connect(&mut client, address(1));
    for _ in 0..100 {
        for (_, mut datagram) in host.pass(Duration::from_millis(100)).0 {
            client.receive(host.now, &mut datagram);
        }
        host.exchange(&mut client, address(1));
    }
    assert!(client.is_connected() && host.server.connected() == 1);
}

#[test]
fn a_silent_session_times_out_on_both_ends_and_frees_its_address() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(7, 1, address(1));
    host.now += Duration::from_secs(2);
    let datagram = seal(&mut client, host.now, b"last words");
    host.give(address(1), &datagram);
    assert!(host.pass(Duration::from_millis(19_980)).1.is_empty());
    let (sent, ended) = host.pass(Duration::from_millis(40));
    assert_eq!(ended, [session]);
    assert_eq!(
        sent.len(),
        1,
        "one disconnect packet, in case only the direction to the server is cut"
    );
    assert_eq!(host.seal(session, b"x"), Err(SealError::NotConnected));
    assert_eq!(
        (host.server.connected(), host.server.counters().timed_out),
        (0, 1)
    );

    let mut sent = Vec::new();
    let event = client.update(host.now, &mut |_, datagram: &[u8]| sent.push(datagram.to_vec()));
    assert_eq!(
        event,
        Some(NetcodeEvent::Disconnected(DisconnectReason::TimedOut))
    );
    assert_eq!(client.update(host.now, &mut |_, _| {}), None, "reported once");
    host.connected(7, 1, address(1));
}

#[test]
fn a_session_without_time_out_never_times_out() {
    let mut host = Host::new();
    let token = host.token_with(7, 1, &[SERVER.parse().unwrap()], |request| request.timeout_s = 0);
    let mut client = ClientNetcode::new(host.now, &token);
    host.connect(&mut client, address(1));
    for _ in 0..100 {
        assert!(host.pass(Duration::from_secs(100)).1.is_empty());
        assert_eq!(client.update(host.now, &mut |_, _| {}), None);
    }
    assert!(client.is_connected());
}

#[test]
fn a_client_gives_up_on_a_silent_server_and_on_an_expired_token() {
    let mut host = Host::new();
    let mut give_up = |timeout_s, expire_s| {
        let token = host.token_with(7, 1, &[SERVER.parse().unwrap()], |request| {
            (request.timeout_s, request.expire_s) = (timeout_s, expire_s);
        });
        let mut client = ClientNetcode::new(host.now, &token);
        let mut requests = 0;
        loop {
            host.now += Duration::from_millis(50);
            if let Some(NetcodeEvent::Disconnected(reason)) =
                client.update(host.now, &mut |_, _| requests += 1)
            {
                return (reason, requests);
            }
        }
    };
    assert_eq!(give_up(5, 60), (DisconnectReason::RequestTimedOut, 20));
    assert_eq!(give_up(60, 5), (DisconnectReason::TokenExpired, 20));

    let mut client = host.client(8, 1);
    host.exchange(&mut client, address(1));
    host.now += Duration::from_secs(20);
    let event = client.update(host.now, &mut |_, _| {});
    assert_eq!(
        event,
        Some(NetcodeEvent::Disconnected(DisconnectReason::ResponseTimedOut))
    );
}

#[test]
fn replayed_and_forged_packets_are_dropped_and_do_not_prevent_a_time_out() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(7, 1, address(1));
    let datagram = seal(&mut client, host.now, b"once");
    assert!(matches!(host.give(address(1), &datagram).0, Seen::Payload(..)));
    let mut forged = seal(&mut client, host.now, b"forged");
    *forged.last_mut().unwrap() ^= 1;
    let mut ended = Vec::new();
    for _ in 0..20 {
        ended.extend(host.pass(Duration::from_millis(1_010)).1);
        if ended.is_empty() {
            assert_eq!(
                host.give(address(1), &datagram).0,
                Seen::Dropped(DropReason::Replayed)
            );
            assert_eq!(
                host.give(address(1), &forged).0,
                Seen::Dropped(DropReason::Unauthentic)
            );
        }
    }
    assert_eq!(ended, [session]);

    let (mut client, session) = host.connected(8, 1, address(2));
    let mut down = host.seal(session, b"once").unwrap();
    let mut copy = down.clone();
    assert!(matches!(
        client.receive(host.now, &mut down),
        ClientReceived::Payload { .. }
    ));
    let replayed = client.receive(host.now, &mut copy);
    assert_eq!(replayed, ClientReceived::Dropped(DropReason::Replayed));
}

#[test]
fn packets_of_a_session_from_another_address_are_dropped() {
    let mut host = Host::new();
    let (mut client, _) = host.connected(7, 1, address(1));
    let (mut other, _) = host.connected(8, 1, address(2));
    let datagram = seal(&mut client, host.now, b"mine");
    assert_eq!(
        host.give(address(2), &datagram).0,
        Seen::Dropped(DropReason::Unauthentic)
    );
    assert_eq!(
        host.give(address(3), &datagram).0,
        Seen::Dropped(DropReason::UnknownAddress)
    );
    let datagram = seal(&mut other, host.now, b"theirs");
    assert!(matches!(host.give(address(2), &datagram).0, Seen::Payload(..)));
}

#[test]
fn either_end_can_disconnect() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(7, 1, address(1));
    let mut sent = Vec::new();
    client.disconnect(&mut |_, datagram| sent.push(datagram.to_vec()));
    client.disconnect(&mut |_, _| panic!("disconnected twice"));
    assert_eq!(
        client.state(),
        ClientState::Disconnected(DisconnectReason::ByClient)
    );
    assert_eq!(sent.len(), 10);
    // Any one of the ten ends the session; the rest are dropped.
    assert_eq!(host.give(address(1), &sent[4]).0, Seen::Disconnected(session));
    assert_eq!(
        host.give(address(1), &sent[5]).0,
        Seen::Dropped(DropReason::UnknownAddress)
    );
    assert_eq!(host.server.counters().disconnected, 1);

    let (mut client, session) = host.connected(8, 1, address(1));
    let mut sent = Vec::new();
    host.server
        .disconnect(session, &mut |_, datagram| sent.push(datagram.to_vec()));
    let received = client.receive(host.now, &mut sent[9]);
    assert_eq!(received, ClientReceived::Disconnected(DisconnectReason::ByServer));
    assert_eq!(
        client.receive(host.now, &mut sent[8]),
        ClientReceived::Dropped(DropReason::Unexpected)
    );
    let mut buf = [0; 64];
    assert_eq!(
        client.seal(host.now, &mut buf, 9..20),
        Err(SealError::NotConnected)
    );
}

#[test]
fn thousands_of_sessions_work_at_once_and_reuse_indices() {
    let mut host = Host::new();
    let mut clients: HashMap<u32, (ClientNetcode, SessionId)> = (0..3_000)
        .map(|n| (n, host.connected(n.into(), 1, address(n))))
        .collect();
    assert_eq!(host.server.connected(), 3_000);
    let before: HashSet<SessionId> = host.server.sessions().collect();
    assert_eq!(before.iter().map(|id| id.index).max(), Some(2_999));
    for n in (0..3_000).step_by(2) {
        host.server.disconnect(clients[&n].1, &mut |_, _| {});
    }
    for n in (0..3_000).step_by(2) {
        let again = host.connected(n.into(), 2, address(n + 10_000));
        assert!(
            again.1.index < 3_000 && !before.contains(&again.1),
            "an index is reused, an id is not"
        );
        clients.insert(n, again);
    }
    for (n, (client, session)) in &mut clients {
        let from = address(if n % 2 == 0 { n + 10_000 } else { *n });
        let datagram = seal(client, host.now, &n.to_le_bytes());
        let (seen, _) = host.give(from, &datagram);
        assert!(
            matches!(seen, Seen::Payload(id, _, payload) if id == *session && payload == n.to_le_bytes())
        );
        let mut down = host.seal(*session, b"down").unwrap();
        assert!(matches!(
            client.receive(host.now, &mut down),
            ClientReceived::Payload { .. }
        ));
    }
}

#[test]
fn sequence_numbers_widen_during_a_session() {
    let mut host = Host::new();
    let (mut client, session) = host.connected(7, 1, address(1));
    let mut widths = HashSet::new();
    for n in 0..70_000u32 {
        let up = seal(&mut client, host.now, &n.to_le_bytes());
        widths.insert(up.len());
        assert!(
            matches!(host.give(address(1), &up).0, Seen::Payload(_, _, payload) if payload == n.to_le_bytes())
        );
        let mut down = host.seal(session, &n.to_le_bytes()).unwrap();
        let received = client.receive(host.now, &mut down);
        assert!(matches!(received, ClientReceived::Payload { sequence, .. } if sequence == u64::from(n) + 1));
    }
    assert_eq!(widths.len(), 3);
}

#[test]
fn a_connected_client_has_at_most_320_bytes() {
    assert!(
        size_of::<ClientNetcode>() <= 320,
        "{} bytes",
        size_of::<ClientNetcode>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// If a link drops, duplicates and delays, the handshake ends, and each payload arrives at most once.
    #[test]
    fn a_lossy_link_delays_the_handshake_and_repeats_no_payload(seed in any::<[u8; 32]>(), loss in 0u32..40) {
        let mut dice = Entropy::from_seed(seed);
        let mut roll = |bound: u32| u32::from_le_bytes(dice.bytes()) % bound;
        let mut host = Host::new();
        let mut client = host.client(7, 1);
        let mut session = None;
        // (Step of arrival, whether to the server, datagram.)
        let mut wire: Vec<(u32, bool, Vec<u8>)> = Vec::new();
        let (mut up, mut down) = (HashSet::new(), HashSet::new());
        for step in 0..600u32 {
            let mut leaving: Vec<(bool, Vec<u8>)> =
                due(&mut client, host.now).into_iter().map(|datagram| (true, datagram)).collect();
            if client.is_connected() {
                leaving.push((true, seal(&mut client, host.now, &step.to_le_bytes())));
            }
            if let Some(session) = session {
                leaving.push((false, host.seal(session, &step.to_le_bytes()).unwrap()));
            }
            leaving.extend(host.pass(Duration::from_millis(50)).0.into_iter().map(|(_, datagram)| (false, datagram)));
            for (to_server, datagram) in leaving {
                for _ in 0..1 + roll(10) / 9 {
                    if roll(100) >= loss {
                        wire.push((step + roll(6), to_server, datagram.clone()));
                    }
                }
            }
            while let Some(index) = wire.iter().position(|(arrival, ..)| *arrival <= step) {
                let (_, to_server, mut datagram) = wire.swap_remove(index);
                if !to_server {
                    if let ClientReceived::Payload { payload, .. } = client.receive(host.now, &mut datagram) {
                        prop_assert!(down.insert(payload.to_vec()));
                    }
                    continue;
                }
                let (seen, reply) = host.give(address(1), &datagram);
                match seen {
                    Seen::Connected { session: id, .. } => session = Some(id),
                    Seen::Payload(_, _, payload) => prop_assert!(up.insert(payload)),
                    _ => {}
                }
                if !reply.is_empty() && roll(100) >= loss {
                    wire.push((step + roll(6), false, reply));
                }
            }
        }
        prop_assert!(client.is_connected());
        prop_assert!(up.len() > 200 && down.len() > 200, "{} up, {} down", up.len(), down.len());
    }
}
