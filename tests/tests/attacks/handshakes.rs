//! Floods of handshakes from addresses that have no session.

use std::net::SocketAddr;

use throng_shared::netcode::{
    ClientState, ConnectToken, Entropy, KEY_BYTES, PROTOCOL_ID, REQUEST_BYTES, TokenRequest, USER_DATA_BYTES,
};
use throng_shared::random::Random;

use super::{
    AttackedServer, BOTS, Window,
    peers::{Attackers, Peer, request},
};

/// Bytes of a connection request that contain the expiry of its token.
const EXPIRY: std::ops::Range<usize> = 22..30;
/// Bytes of a connection request that contain its nonce.
const NONCE: std::ops::Range<usize> = 30..54;

/// Counters of all reasons to drop a datagram from an address without a session.
const DROP_REASONS: [&str; 16] = [
    "malformed",
    "too_short",
    "too_long",
    "unknown_type",
    "unknown_address",
    "request_length",
    "version",
    "protocol_id",
    "token_expired",
    "token_elsewhere",
    "token_spent",
    "rate_limited",
    "token_forged",
    "wrong_server",
    "unauthentic",
    "unexpected",
];

/// Returns a token for this server that was created without its key.
fn forged(server: SocketAddr, dice: &mut Random) -> ConnectToken {
    let mut entropy = Entropy::from_seed([dice.bits() as u8; 32]);
    let private_key: [u8; KEY_BYTES] = entropy.bytes();
    let wanted = TokenRequest {
        protocol_id: PROTOCOL_ID,
        client_id: dice.bits(),
        addresses: &[server],
        expire_s: 3_600,
        timeout_s: 20,
        user_data: &[0; USER_DATA_BYTES],
        private_key: &private_key,
    };
    // The token is created after the server's start and is valid for an hour.
    let made_at = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    ConnectToken::generate(made_at, &wanted, &mut entropy).unwrap()
}

/// Returns a playing client, a recording of the request with which it started its session, and the request's
/// destination.
fn recorded(attacked: &AttackedServer) -> (Peer, Vec<u8>, SocketAddr) {
    let version = attacked.protocol.version();
    let joined = attacked.joiner().join("recorded", &version, None).unwrap();
    let mut peer = Peer::connect(&joined);
    peer.greet(version);
    (peer, request(&joined.token), joined.address)
}

/// Returns the datagrams that were dropped for these reasons, or by the kernel because its buffer was full.
fn dropped(window: &Window, reasons: &[&str]) -> u64 {
    window.counted_of(reasons) + window.counted("datagrams_overflowed")
}

#[test]
fn a_hundred_thousand_spoofed_handshakes_are_counted_and_get_no_reply() {
    let mut attacked = AttackedServer::start();
    let (mut peer, recorded, server) = recorded(&attacked);
    let quiet = attacked.run_bots(|_| true);

    let mut dice = Random::new(1);
    let forged: Vec<_> = (0..64).map(|_| request(&forged(server, &mut dice))).collect();
    let mut expired = recorded.clone();
    expired[EXPIRY].copy_from_slice(&1_000_u64.to_le_bytes());
    let spoof = |number: u32| match number % 10 {
        0..2 => recorded.clone(),
        2..4 => expired.clone(),
        4..7 => {
            let mut request = forged[number as usize % forged.len()].clone();
            request[NONCE].fill_with(|| dice.bits() as u8);
            request
        }
        _ => {
            let length = dice.bits() as usize % (REQUEST_BYTES + 100);
            (0..length).map(|_| dice.bits() as u8).collect()
        }
    };
    // 500 every 5 ms: as close to 100,000 in a second as the machine allows.
    let attackers = Attackers::new(server, 64);
    let (during, exchange) = attacked.run_during(|| attackers.flood(200, 500, spoof), |_| true);
    assert!(exchange.datagrams >= 99_000, "{exchange:?}");
    assert_eq!(exchange.replied, 0, "an address without a session got a reply");
    attacked.assert_bots_unaffected("spoofed handshakes", &quiet, &during);

    let counted = |window: &Window| dropped(window, &DROP_REASONS) >= exchange.datagrams;
    let all = attacked.run_bots_since(&quiet.after, counted);
    for kind in [
        "token_elsewhere",
        "token_expired",
        "unknown_type",
        "unknown_address",
    ] {
        assert!(all.counted(kind) > 100, "{kind}: {}", all.counted(kind));
    }
    let opened = all.counted_of(&["token_forged", "rate_limited"]);
    assert!(all.counted("token_forged") > 100 && opened > 1_000, "{opened}");
    assert_eq!(all.counted("challenges"), 0);
    peer.rest(100);
    assert!(
        matches!(peer.state(), ClientState::Connected),
        "the recorded client lost its session"
    );
}

#[test]
fn a_spent_token_opens_no_session_even_from_its_own_address() {
    let mut attacked = AttackedServer::start();
    let (mut peer, recorded, _) = recorded(&attacked);
    let quiet = attacked.run_bots(|_| true);
    peer.leave();
    attacked.run_bots(|window| window.after.clients == u64::from(BOTS));
    peer.count_replies();
    let before = peer.exchange;
    let replay = || (0..1_000).for_each(|_| peer.send_raw(&recorded));
    let counted = |window: &Window| dropped(window, &["token_spent"]) >= 1_000;
    let (during, ()) = attacked.run_during(replay, counted);
    assert!(during.counted("token_spent") > 100);
    peer.count_replies();
    assert_eq!(peer.exchange.replied, before.replied, "a replay got a reply");
    attacked.assert_bots_unaffected("a spent token", &quiet, &during);
}

#[test]
fn a_repeated_valid_request_gets_smaller_replies() {
    let mut attacked = AttackedServer::start();
    let quiet = attacked.run_bots(|_| true);
    let joined = attacked
        .joiner()
        .join("patient", &attacked.protocol.version(), None)
        .unwrap();
    let valid = request(&joined.token);
    // One address, as only the first address that presents a token may use it.
    let attackers = Attackers::new(joined.address, 1);
    let (during, exchange) = attacked.run_during(|| attackers.flood(100, 10, |_| valid.clone()), |_| true);
    assert!(during.counted("challenges") > 100);
    assert!(exchange.replied > 0, "{exchange:?}");
    assert!(exchange.replied <= exchange.sent, "{exchange:?} amplifies");
    attacked.assert_bots_unaffected("a valid request, repeated", &quiet, &during);
    assert_eq!(
        attacked.stats().clients,
        u64::from(BOTS),
        "a handshake that never ends is no session"
    );
}
