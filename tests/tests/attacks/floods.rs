//! A client with a valid session that sends datagrams which no real client sends.

use throng_scenes::protocol::SteerInput;
use throng_shared::random::Random;
use throng_shared::{netcode::ClientState, tick::Tick};

use super::{
    AttackedServer, BOTS, Window,
    peers::{Peer, input_packet},
};

/// Returns a served peer, and the bots' figures before its attack.
fn served(attacked: &mut AttackedServer) -> (Peer, Window) {
    let joined = attacked
        .joiner()
        .join("flooder", &attacked.protocol.version(), None)
        .unwrap();
    let mut peer = Peer::connect(&joined);
    peer.greet(attacked.protocol.version());
    let (quiet, ()) = attacked.run_during(|| peer.rest(2_500), |_| true);
    (peer, quiet)
}

fn steer(attacked: &AttackedServer) -> Vec<u8> {
    let steer = SteerInput {
        turn: 0.5,
        thrust: 0.5,
    };
    attacked
        .protocol
        .encode_input(&steer)
        .unwrap()
        .as_slice()
        .to_vec()
}

/// Calls `each` `count` times, with a pause after every `burst` calls.
fn paced(peer: &mut Peer, count: u32, burst: u32, mut each: impl FnMut(&mut Peer, u32)) {
    for number in 0..count {
        each(peer, number);
        if (number + 1) % burst == 0 {
            peer.rest(5);
        }
    }
}

#[test]
fn a_thousand_inputs_a_second_are_limited() {
    let mut attacked = AttackedServer::start();
    let (mut peer, quiet) = served(&mut attacked);
    let reply_rate_quiet = peer.exchange.replied as f64 / (quiet.after.ticks - quiet.before.ticks) as f64;
    let input = steer(&attacked);
    let before = peer.exchange;
    let flood = || {
        paced(&mut peer, 3_000, 5, |peer, number| {
            let tick = peer.tick() + 2 + number % 4;
            peer.send_input(tick, &input);
        });
        peer.exchange
    };
    let (during, after) =
        attacked.run_during(flood, |window| window.counted("input_packets_limited") > 1_000);
    // In addition to the bots' one packet a tick: twice the tick rate, and a second's packets at once.
    let ticks = during.after.ticks - during.before.ticks;
    let bots = ticks * u64::from(BOTS);
    let taken = during.counted("input_packets");
    assert!(
        taken <= bots + bots / 10 + ticks * 2 + 40 + 20,
        "{taken} taken in {ticks} ticks"
    );
    assert_eq!(
        during.counted("sessions_abused"),
        0,
        "a flood is limited, not punished"
    );
    // The peer does not receive more because of the flood.
    let reply_rate = (after.replied - before.replied) as f64 / ticks as f64;
    assert!(
        reply_rate <= reply_rate_quiet * 1.5,
        "{reply_rate} bytes a tick, {reply_rate_quiet} before"
    );
    attacked.assert_bots_unaffected("1,000 inputs a second", &quiet, &during);
}

#[test]
fn oversized_truncated_replayed_and_random_datagrams_of_a_client_are_dropped() {
    let mut attacked = AttackedServer::start();
    let (mut peer, quiet) = served(&mut attacked);
    let input = steer(&attacked);
    let mut dice = Random::new(3);
    let flood = || {
        paced(&mut peer, 3_000, 10, |peer, number| {
            let whole = peer.seal(&input_packet(peer.tick() + 2, &input));
            match number % 5 {
                0 => peer.send_raw(&vec![dice.bits() as u8; 1_401 + dice.bits() as usize % 60_000]),
                1 => peer.send_raw(&whole[..dice.bits() as usize % whole.len()]),
                2 => {
                    let length = 1 + dice.bits() as usize % 1_400;
                    let noise: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
                    peer.send_raw(&noise);
                }
                3 => {
                    // An unknown kind of payload, or an invalid input packet.
                    let mut payload: Vec<u8> = (0..dice.bits() % 64).map(|_| dice.bits() as u8).collect();
                    payload.insert(0, if dice.bits().is_multiple_of(2) { 0xff } else { 0x81 });
                    peer.send(&payload);
                }
                _ => (0..2).for_each(|_| peer.send_raw(&whole)),
            }
        });
        (0..1_000).for_each(|_| peer.send(&[0xff]));
    };
    let kinds = [
        "datagrams_oversized",
        "too_short",
        "unauthentic",
        "unknown_type",
        "replayed",
        "payloads_malformed",
        "other_packets_limited",
    ];
    let (during, ()) =
        attacked.run_during(flood, |window| kinds.iter().all(|kind| window.counted(kind) > 10));
    for kind in kinds {
        assert!(during.counted(kind) > 10, "{kind}: {}", during.counted(kind));
    }
    assert_eq!(during.counted("sessions_faulted"), 0);
    assert!(
        matches!(peer.state(), ClientState::Connected),
        "noise ends no session"
    );
    attacked.assert_bots_unaffected("noise", &quiet, &during);

    // Bytes that would make renet panic end the session, with a goodbye.
    peer.received.clear();
    let abuse = || {
        paced(&mut peer, 50, 1, |peer, _| {
            if matches!(peer.state(), ClientState::Connected) {
                peer.send(&[1, 0, 2, 0, 7, 2, 0x44, 0xb0, 7, 7, 7]);
            }
        });
        peer.pump_until(|peer| !matches!(peer.state(), ClientState::Connected));
    };
    let (during, ()) = attacked.run_during(abuse, |_| true);
    assert_eq!(during.counted("sessions_abused"), 1);
    assert!(!peer.received.is_empty(), "no goodbye");
    attacked.assert_bots_unaffected("abuse of renet", &quiet, &during);
}

#[test]
fn inputs_for_other_ticks_or_not_finite_are_counted_and_ignored() {
    let mut attacked = AttackedServer::start();
    let (mut peer, quiet) = served(&mut attacked);
    let input = steer(&attacked);
    let flood = || {
        // The rate is below the limit, so that each input is checked by its tick.
        paced(&mut peer, 60, 1, |peer, number| {
            let now = peer.tick();
            let far = [-20_000, -1_000, -60, 100, 1_000, 20_000][number as usize % 6];
            peer.send_input(Tick(now.0.wrapping_add_signed(far)), &input);
            peer.rest(35);
        });
    };
    let (during, ()) = attacked.run_during(flood, |_| true);
    for kind in ["inputs_late", "inputs_early"] {
        assert!(during.counted(kind) >= 20, "{kind}: {}", during.counted(kind));
    }
    attacked.assert_bots_unaffected("inputs of other times", &quiet, &during);

    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.1, 7.0, f32::MAX];
    let flood = || {
        paced(&mut peer, 60, 1, |peer, number| {
            let axis = bad[number as usize % bad.len()].to_le_bytes();
            let fine = 0.5_f32.to_le_bytes();
            let input = if number.is_multiple_of(2) {
                [axis, fine]
            } else {
                [fine, axis]
            };
            let tick = peer.tick() + 2;
            peer.send_input(tick, &input.concat());
            peer.rest(35);
        });
    };
    let (during, ()) = attacked.run_during(flood, |_| true);
    assert!(
        during.counted("inputs_invalid") >= 50,
        "{}",
        during.counted("inputs_invalid")
    );
    assert!(matches!(peer.state(), ClientState::Connected));
    attacked.assert_bots_unaffected("inputs that are no numbers", &quiet, &during);
}
