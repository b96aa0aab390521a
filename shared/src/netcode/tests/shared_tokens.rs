//! Several servers with one private key, as the workers on one port: one token, one session, one set of keys.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::*;

/// Returns two servers that share their tokens. Both have the same keys, challenge keys included.
fn two_hosts(change: impl Fn(&mut ServerNetcodeConfig)) -> [Host; 2] {
    let tokens = Arc::new(UsedTokens::new(TOKENS_MAX, &mut Entropy::from_seed([1; 32])));
    [(); 2].map(|()| {
        Host::with(|config| {
            config.used_tokens = Some(Arc::clone(&tokens));
            change(config);
        })
    })
}

fn sequence(datagram: &[u8]) -> u64 {
    wire::PacketHeader::read(datagram).unwrap().sequence
}

#[test]
fn a_token_used_at_two_servers_from_two_addresses_opens_one_session() {
    let [mut first, mut second] = two_hosts(|_| {});
    let token = first.token(7, 1);
    let mut client = ClientNetcode::new(first.now, &token);
    let mut copy = ClientNetcode::new(first.now, &token);
    assert_eq!(first.exchange(&mut client, address(1)), [Seen::Handshake]);
    let elsewhere = Seen::Dropped(DropReason::TokenElsewhere);
    let request = token.request();
    assert_eq!(second.give(address(2), &request), (elsewhere.clone(), vec![]));
    first.exchange(&mut client, address(1));
    assert!(client.is_connected());
    assert_eq!(second.exchange(&mut copy, address(2)), [elsewhere]);
    let spent = Seen::Dropped(DropReason::TokenSpent);
    assert_eq!(second.give(address(1), &request), (spent, vec![]));
    assert_eq!(second.server.counters().challenges, 0);
}

#[test]
fn a_token_used_at_two_servers_from_one_address_opens_one_session() {
    let [mut first, mut second] = two_hosts(|_| {});
    let token = first.token(7, 1);
    let mut client = ClientNetcode::new(first.now, &token);
    let request = due(&mut client, first.now);
    let (_, mut challenge) = first.give(address(1), &request[0]);
    let (seen, other) = second.give(address(1), &request[0]);
    assert_eq!(seen, Seen::Handshake);
    assert_ne!(sequence(&challenge), sequence(&other));
    client.receive(first.now, &mut challenge);
    let response = due(&mut client, first.now);
    // Both have the same challenge key here, so that only the table of tokens separates them.
    let (seen, _) = second.give(address(1), &response[0]);
    assert!(matches!(seen, Seen::Connected { .. }), "{seen:?}");
    assert_eq!(
        first.give(address(1), &response[0]),
        (Seen::Dropped(DropReason::TokenSpent), vec![])
    );
    assert_eq!((first.server.connected(), second.server.connected()), (0, 1));
}

#[test]
fn servers_with_one_key_number_no_two_packets_of_handshakes_alike() {
    let mut hosts = two_hosts(|config| config.sessions_max = 1);
    let mut numbers = HashSet::new();
    let mut note = |datagram: &[u8]| assert!(numbers.insert(sequence(datagram)), "a number again");
    for round in 0..10u32 {
        for (host, n) in hosts.iter_mut().zip([0, 100]) {
            let token = host.token((n + round).into(), 1);
            note(&host.give(address(n + round), &token.request()).1);
        }
    }
    for (host, n) in hosts.iter_mut().zip([200, 300]) {
        // The challenges of the session that fills the server.
        let mut client = host.client(n.into(), 1);
        note(&host.give(address(n), &due(&mut client, host.now)[0]).1);
        host.now += Duration::from_millis(250);
        let (_, mut challenge) = host.give(address(n), &due(&mut client, host.now)[0]);
        note(&challenge);
        client.receive(host.now, &mut challenge);
        host.exchange(&mut client, address(n));
        assert!(client.is_connected());
        for late in 0..10 {
            let token = host.token((n + 1 + late).into(), 1);
            let (seen, denial) = host.give(address(n + 1 + late), &token.request());
            assert_eq!(seen, Seen::Dropped(DropReason::ServerFull));
            note(&denial);
        }
    }
}

#[test]
fn a_spent_token_stays_closed_when_a_servers_clock_runs_back() {
    let [mut first, mut second] = two_hosts(|_| {});
    let token = first.token(7, 1);
    let mut client = ClientNetcode::new(first.now, &token);
    let session = first.connect(&mut client, address(1));
    first.server.disconnect(session, &mut |_, _| {});
    // The clock of one server is ahead, and the token leaves the table.
    second.now += Duration::from_secs(60);
    let later = second.token(8, 1);
    assert_eq!(second.give(address(2), &later.request()).0, Seen::Handshake);
    for host in [&mut first, &mut second] {
        let (seen, reply) = host.give(address(1), &token.request());
        assert_eq!((seen, reply), (Seen::Dropped(DropReason::TokenExpired), vec![]));
    }
}

#[test]
fn a_token_that_expires_between_request_and_response_opens_no_session_elsewhere() {
    let [mut first, mut second] = two_hosts(|_| {});
    let token = first.token(7, 1);
    let mut client = ClientNetcode::new(first.now, &token);
    assert_eq!(first.exchange(&mut client, address(1)), [Seen::Handshake]);
    second.now += Duration::from_secs(60);
    let later = second.token(8, 1);
    second.give(address(2), &later.request());
    assert_eq!(
        first.exchange(&mut client, address(1)),
        [Seen::Dropped(DropReason::TokenExpired)]
    );
}

#[test]
fn servers_on_several_threads_accept_each_token_once() {
    const TOKENS: u64 = 300;
    let tokens = Arc::new(UsedTokens::new(TOKENS_MAX, &mut Entropy::from_seed([1; 32])));
    let mut issuer = Host::new();
    let requests: Vec<_> = (0..TOKENS).map(|n| issuer.token(n, 1).request()).collect();
    let accepted = AtomicU32::new(0);
    let numbers = std::sync::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (tokens, requests, accepted, numbers) = (&tokens, &requests, &accepted, &numbers);
            scope.spawn(move || {
                let mut host = Host::with(|config| config.used_tokens = Some(Arc::clone(tokens)));
                for request in requests {
                    let (seen, reply) = host.give(address(thread), request);
                    match seen {
                        Seen::Handshake => {
                            accepted.fetch_add(1, Relaxed);
                            assert!(numbers.lock().unwrap().insert(sequence(&reply)));
                        }
                        other => assert_eq!(other, Seen::Dropped(DropReason::TokenElsewhere)),
                    }
                }
            });
        }
    });
    assert_eq!(u64::from(accepted.load(Relaxed)), TOKENS);
}
