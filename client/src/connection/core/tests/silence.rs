//! Tests of how a session notices that nothing comes back from the server.

use super::*;
use crate::connection::ALARM_AFTER;

/// Returns the reports of a silence so far: true when it began, false when it ended.
fn silences(pair: &Pair) -> Vec<bool> {
    let silence = |event: &ClientEvent| match event {
        ClientEvent::Silent => Some(true),
        ClientEvent::Recovered => Some(false),
        _ => None,
    };
    pair.events.iter().filter_map(silence).collect()
}

#[test]
fn client_that_is_sent_nothing_asks_for_a_reply_and_goes_on() {
    let mut pair = Pair::welcomed();
    pair.run(Duration::from_secs(10));
    assert!(silences(&pair).is_empty());
    let asked = pair.probes.len();
    assert!((12..=15).contains(&asked), "every 0.7 s: {asked} in 10 s");
    assert!(pair.inputs.len() > 190, "{} inputs in 10 s", pair.inputs.len());
}

#[test]
fn server_that_is_gone_is_reported_after_1500_ms_and_again_when_it_returns() {
    let mut pair = Pair::welcomed();
    pair.run(Duration::from_millis(200));
    pair.is_cut = true;
    let cut_at = pair.now;
    while silences(&pair).is_empty() {
        pair.run(STEP);
    }
    let silent_for = pair.core.silent_for(pair.now).unwrap();
    assert!(silent_for >= ALARM_AFTER, "{silent_for:?}");
    assert!(pair.now - cut_at <= ALARM_AFTER, "{:?}", pair.now - cut_at);
    pair.run(Duration::from_secs(5));
    let inputs = pair.inputs.len();
    pair.is_cut = false;
    pair.run(Duration::from_secs(1));
    assert_eq!(
        (silences(&pair), pair.core.silent_for(pair.now)),
        (vec![true, false], None)
    );
    let resumed = pair.inputs.len() - inputs;
    assert!((9..=21).contains(&resumed), "{resumed} inputs in a second");
}

#[test]
fn snapshots_that_show_no_newer_input_do_not_hide_that_the_server_receives_nothing() {
    let mut pair = Pair::welcomed();
    let mut sequence = 0;
    let mut play = |pair: &mut Pair, ticks: u32| {
        for _ in 0..ticks {
            sequence += 1;
            let tick = Tick(500 + u32::from(sequence));
            let newest = pair.inputs.last().map(|packet| Tick(packet.newest_tick.into()));
            // The input for the tick, or the newest one once none arrives for it.
            let applied = newest.map(|newest| if newest.is_after(tick) { tick } else { newest });
            let owner = OwnerBlock {
                last_input: applied,
                margin_16: 12,
                ..OwnerBlock::default()
            };
            pair.snapshot(sequence, tick, 10, owner);
            pair.run(Duration::from_millis(50));
        }
    };
    play(&mut pair, 100);
    assert_eq!(
        (pair.probes.len(), silences(&pair)),
        (0, vec![]),
        "snapshots are signs of life"
    );
    pair.is_cut = true;
    play(&mut pair, 40);
    assert_eq!(silences(&pair), [true], "the downward path alone is none");
}

#[test]
fn refused_client_reports_the_silence_sooner() {
    let mut pair = Pair::welcomed();
    pair.run(Duration::from_millis(200));
    pair.is_cut = true;
    pair.core.refused(pair.now);
    pair.run(Duration::from_millis(350));
    assert_eq!(silences(&pair), [true]);
    assert!(pair.core.is_refused());
}

#[test]
fn handshake_without_a_reply_is_reported_after_1500_ms() {
    let mut pair = Pair::new();
    pair.is_cut = true;
    pair.run(Duration::from_millis(1_400));
    assert!(silences(&pair).is_empty());
    pair.run(Duration::from_millis(200));
    assert_eq!(silences(&pair), [true]);
    assert!(!pair.core.may_be_open());
    pair.is_cut = false;
    pair.run(Duration::from_millis(600));
    assert_eq!(silences(&pair), [true, false]);
    assert!(pair.core.may_be_open());
}
