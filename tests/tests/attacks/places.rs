//! Attacks on the server's places: tokens that are never used, and sessions that never send a hello.

use std::{thread, time::Duration};

use throng_client::join::JoinError;
use throng_shared::netcode::ClientState;

use super::{AttackedServer, BOTS, peers::Peer};

/// Places of the attacked server.
const PLACES: u32 = 100;

fn attacked_server() -> AttackedServer {
    AttackedServer::start_with(&["--workers", "1", "--max-clients", &PLACES.to_string()])
}

#[test]
fn tokens_that_are_never_used_keep_no_player_out() {
    let mut attacked = attacked_server();
    let quiet = attacked.run_bots(|_| true);
    let (joiner, version) = (attacked.joiner(), attacked.protocol.version());
    let join = |name: &str| joiner.join(name, &version, None);
    let attack = || (0..1_000).for_each(|_| drop(join("unused")));
    let (during, ()) = attacked.run_during(attack, |_| true);
    attacked.assert_bots_unaffected("unused tokens", &quiet, &during);
    // Players take all places that are left, while more tokens are issued and never used.
    let mut players = Vec::new();
    for n in BOTS..PLACES {
        let joined = join(&format!("player {n}")).unwrap();
        (0..5).for_each(|_| drop(join("unused")));
        let mut player = Peer::connect(&joined);
        player.greet(version);
        players.push(player);
    }
    players.iter_mut().for_each(|player| player.rest(10));
    let states: Vec<_> = players.iter().map(Peer::state).collect();
    assert!(
        states.iter().all(|state| *state == ClientState::Connected),
        "{states:?}"
    );
    assert_eq!(attacked.stats().clients, u64::from(PLACES));
    let refused = join("one too many").unwrap_err();
    assert!(matches!(refused, JoinError::Full { .. }), "{refused}");
}

#[test]
fn sessions_without_a_hello_end_and_leave_their_places() {
    let mut attacked = attacked_server();
    let quiet = attacked.run_bots(|_| true);
    let (joiner, version) = (attacked.joiner(), attacked.protocol.version());
    let attack = || {
        let mut silent: Vec<Peer> = (0..40)
            .map(|n| Peer::connect(&joiner.join(&format!("silent {n}"), &version, None).unwrap()))
            .collect();
        // They send keep-alives as long as they are connected.
        for _ in 0..400 {
            silent.iter_mut().for_each(Peer::pump);
            if silent.iter().all(|peer| peer.state() != ClientState::Connected) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        silent
            .iter()
            .filter(|peer| peer.state() == ClientState::Connected)
            .count()
    };
    let (during, connected) = attacked.run_during(attack, |window| window.counted("sessions_silent") >= 40);
    assert_eq!(connected, 0, "20 s without a hello");
    assert_eq!(during.counted("sessions_silent"), 40);
    attacked.assert_bots_unaffected("silent sessions", &quiet, &during);
    assert_eq!(attacked.stats().clients, u64::from(BOTS));
}
