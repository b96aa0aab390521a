//! Tests of which inputs reach the simulation.

use throng_shared::protocol::input::{Restarts, ViewTick};

use super::*;

fn ticks(values: &[ToSimulation]) -> Vec<u32> {
    values
        .iter()
        .filter_map(|value| match value {
            ToSimulation::Input { tick, .. } => Some(tick.0),
            _ => None,
        })
        .collect()
}

#[test]
fn repeated_inputs_fill_gaps_and_are_forwarded_once() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for newest in [1_003, 1_004, 1_004, 1_008, 1_007, 1_012] {
        bench.inputs(&mut peer, newest, &[1, 2, 3, 4]);
    }
    let values = bench.simulation().drain();
    assert_eq!(ticks(&values), (1_000..=1_012).collect::<Vec<_>>());
    let [
        ToSimulation::Input {
            arrived_at, bytes, ..
        },
        ..,
    ] = &values[..]
    else {
        panic!()
    };
    assert_eq!(
        (*arrived_at, bytes.as_slice()),
        (bench.now, &[4][..]),
        "the oldest of the packet first"
    );
}

#[test]
fn inputs_after_a_restart_of_the_clients_clock_are_forwarded_again() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let send = |bench: &mut Bench, peer: &mut Peer, newest: u16, jumps: u8, value: u8| {
        let mut packet = InputPacket {
            newest_tick: newest,
            restarts: Restarts::new(jumps),
            ..InputPacket::default()
        };
        packet.inputs.push_older(InputBytes::new(&[value]).unwrap());
        let mut bytes = [0; INPUT_PACKET_BYTES_MAX];
        let length = packet.write(&mut bytes);
        bench.send(peer, &bytes[..length]);
    };
    for newest in [1_010, 1_011, 1_012] {
        send(&mut bench, &mut peer, newest, 0, 1);
    }
    send(&mut bench, &mut peer, 1_011, 1, 2);
    // A packet from before the restart arrives late.
    send(&mut bench, &mut peer, 1_013, 0, 3);
    send(&mut bench, &mut peer, 1_012, 1, 4);
    let values: Vec<_> = bench.simulation().drain();
    let seen = values.iter().filter_map(|value| match value {
        ToSimulation::Input { tick, bytes, .. } => Some((tick.0, bytes.as_slice()[0])),
        ToSimulation::InputsRestarted { .. } => Some((0, 0)),
        _ => None,
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [(1_010, 1), (1_011, 1), (1_012, 1), (0, 0), (1_011, 2), (1_012, 4)]
    );
}

#[test]
fn a_repeated_input_gets_the_view_that_was_shown_in_its_tick() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    let mut packet = InputPacket {
        newest_tick: 1_002,
        view: Some(ViewTick::new(Tick(995), 77)),
        ..InputPacket::default()
    };
    (1..=3).for_each(|value| packet.inputs.push_older(InputBytes::new(&[value]).unwrap()));
    let mut bytes = [0; INPUT_PACKET_BYTES_MAX];
    let length = packet.write(&mut bytes);
    bench.send(&mut peer, &bytes[..length]);
    let values = bench.simulation().drain();
    let shown = values.iter().filter_map(|value| match value {
        ToSimulation::Input { tick, view, .. } => Some((tick.0, view.unwrap().unwrap_near(*tick))),
        _ => None,
    });
    let expected = [993, 994, 995].map(|shown| (shown + 7, (Tick(shown), 77)));
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn inputs_before_the_hello_are_refused() {
    let mut bench = Bench::new();
    let mut peer = bench.connect(1);
    bench.inputs(&mut peer, 1_000, &[1]);
    assert!(bench.simulation().drain().is_empty());
    assert_eq!(bench.figure("payloads_malformed"), 1);
}

#[test]
fn invalid_inputs_are_counted_and_do_not_affect_others() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    bench.inputs(&mut peer, 1_001, &[1, INVALID]);
    let mut long = InputPacket {
        newest_tick: 1_002,
        ..InputPacket::default()
    };
    long.inputs.push_older(InputBytes::new(&[1; 24]).unwrap());
    let mut bytes = [0; INPUT_PACKET_BYTES_MAX];
    let length = long.write(&mut bytes);
    bench.send(&mut peer, &bytes[..length]);
    assert_eq!(ticks(&bench.simulation().drain()), [1_001]);
    assert_eq!(bench.figure("inputs_invalid"), 2);
}

#[test]
fn a_thousand_input_packets_a_second_are_cut_to_the_limit_without_affecting_other_sessions() {
    let mut bench = Bench::new();
    let (mut good, mut flood) = (bench.join(1), bench.join(2));
    let mut received = 0;
    for second in 0..5 {
        for tick in 0..20 {
            for packet in 0..50 {
                let newest = 1_000 + second * 1_000 + tick * 50 + packet;
                let flooded = bench.inputs(&mut flood, newest, &[1, 1, 1, 1]);
                received += u64::from(flooded == ReceivedKind::Inputs);
                bench.now += Duration::from_millis(1);
            }
            let one = bench.inputs(&mut good, 2_000 + second * 20 + tick, &[1]);
            received += u64::from(one == ReceivedKind::Inputs);
        }
    }
    let (taken, limited) = (
        bench.figure("input_packets"),
        bench.figure("input_packets_limited"),
    );
    assert_eq!(taken + limited, 5_100);
    assert_eq!(received, taken, "datagrams that were returned as inputs");
    assert!(
        (100 + 200..=100 + 245).contains(&taken),
        "{taken} of 5,100 packets taken"
    );
    let good_key = bench.simulation().players[0];
    let from_good =
        |value: &ToSimulation| matches!(value, ToSimulation::Input { key, .. } if *key == good_key);
    assert_eq!(
        bench
            .simulation()
            .drain()
            .iter()
            .filter(|value| from_good(value))
            .count(),
        100
    );
}

#[test]
fn packets_other_than_inputs_are_limited() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    (0..1_000).for_each(|_| bench.hello(&mut peer));
    assert!((740..760).contains(&bench.figure("other_packets_limited")));
}

#[test]
fn malformed_payloads_are_counted() {
    let mut bench = Bench::new();
    let mut peer = bench.join(1);
    for payload in [
        &[PayloadKind::SNAPSHOT, 1][..],
        &[PayloadKind::HELLO, 9],
        &[0xFF],
        &[PayloadKind::INPUT],
    ] {
        bench.send(&mut peer, payload);
    }
    assert_eq!(bench.figure("payloads_malformed"), 4);
    assert_eq!(bench.core.connected(), 1);
}

#[test]
fn a_panic_in_one_sessions_processing_ends_that_session_only() {
    let mut bench = Bench::new();
    let (mut good, mut bad) = (bench.join(1), bench.join(2));
    bench.inputs(&mut bad, 1_001, &[FATAL]);
    bench.inputs(&mut good, 1_001, &[1]);
    let values = bench.simulation().drain();
    assert_eq!(
        (arrivals(&values), ticks(&values)),
        (vec![Err(LeaveReason::Fault)], vec![1_001])
    );
    bench.exchange(&mut bad);
    bench.tick();
    bench.exchange(&mut good);
    assert!(bad.is_ended && !good.is_ended);
    assert_eq!((bench.core.connected(), bench.figure("sessions_faulted")), (1, 1));
}

#[test]
fn a_full_queue_drops_inputs_and_counts_them() {
    let mut bench = Bench::with(
        1,
        &LinkConfig {
            to_simulation: 5,
            ..LinkConfig::default()
        },
    );
    let mut peer = bench.join(1);
    bench.inputs(&mut peer, 1_003, &[1; 4]);
    bench.inputs(&mut peer, 1_007, &[1; 4]);
    assert_eq!(bench.figure("inputs_dropped"), 3);
    assert_eq!(
        ticks(&bench.simulation().drain()),
        [1_000, 1_001, 1_002, 1_003, 1_004]
    );
}
