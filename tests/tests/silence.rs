//! A server that does not reply is noticed, and a bad line is not taken for one.

use std::{num::NonZeroU32, time::Duration};

use throng_client::connection::{ClientConfig, ClientEvent};
use throng_seeds::seeds;
use throng_tests::simulator::{
    ClientId, Simulator, SimulatorConfig,
    arena::ArenaConfig,
    link::{Gate, LinkConditions},
};

/// The ways of a datagram and its reply take 150 ms together, or 300 ms, and each loses 5 %.
const FAR: [Duration; 2] = [Duration::from_millis(75), Duration::from_millis(150)];

fn playing(config: SimulatorConfig, clients: usize) -> (Simulator, Vec<ClientId>) {
    let seed = config.seed;
    let mut simulator = Simulator::new(config);
    simulator.run(2);
    let ids = (0..clients).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(200), "seed {seed}");
    simulator.freeze(true);
    (simulator, ids)
}

/// Returns the reports of a client: true when a silence began, false when it ended.
fn silences(simulator: &Simulator, id: ClientId) -> Vec<bool> {
    let events = simulator.client(id).events();
    let silence = |event: &ClientEvent| match event {
        ClientEvent::Silent => Some(true),
        ClientEvent::Recovered => Some(false),
        _ => None,
    };
    events.filter_map(silence).collect()
}

#[test]
fn a_client_at_rest_raises_no_alarm_in_ten_minutes_at_5_percent_loss_and_150_ms() {
    // At a tick a second the server sends nothing for longer than 0.7 s, so that the client has to ask all the time.
    for (rate, latency, seed) in [(20, FAR[0]), (1, FAR[0]), (1, FAR[1])]
        .into_iter()
        .flat_map(|(rate, latency)| seeds(1..=5, 1).map(move |seed| (rate, latency, seed)))
    {
        let config = SimulatorConfig {
            seed,
            tick_rate_hz: NonZeroU32::new(rate).unwrap(),
            arena: ArenaConfig {
                entities: 10,
                ..ArenaConfig::default()
            },
            conditions: LinkConditions {
                loss: 0.05,
                latency,
                ..LinkConditions::PERFECT
            },
            ..SimulatorConfig::default()
        };
        let (mut simulator, ids) = playing(config, 2);
        simulator.run(600 * rate);
        for &id in &ids {
            assert!(
                silences(&simulator, id).is_empty(),
                "seed {seed}, {rate} Hz, {latency:?}"
            );
            assert!(simulator.client(id).is_playing(), "seed {seed}");
        }
        simulator.assert_sound();
    }
}

#[test]
fn a_client_whose_line_is_cut_reports_it_within_1600_ms_and_a_new_session_plays_at_once() {
    for seed in seeds(1..=20, 4) {
        let config = SimulatorConfig {
            seed,
            conditions: LinkConditions {
                loss: 0.05,
                latency: FAR[0],
                ..LinkConditions::PERFECT
            },
            ..SimulatorConfig::default()
        };
        let (mut simulator, ids) = playing(config, 2);
        simulator.run(40 + seed as u32);
        simulator.set_gate(ids[0], Gate::Closed);
        simulator.run(26);
        assert!(
            silences(&simulator, ids[0]).is_empty(),
            "seed {seed}: after 1.3 s"
        );
        // Snapshots that were under way arrive for 75 ms, and a tick is 50 ms.
        simulator.run(7);
        assert_eq!(silences(&simulator, ids[0]), [true], "seed {seed}: after 1.65 s");
        assert!(simulator.client(ids[0]).is_playing(), "the session is kept");
        let again = simulator.connect_as(1, ClientConfig::new(simulator.protocol()));
        simulator.run(40);
        assert!(
            simulator.client(again).is_playing(),
            "seed {seed}: two seconds later"
        );
        assert!(silences(&simulator, ids[1]).is_empty(), "seed {seed}");
        simulator.assert_sound();
    }
}

#[test]
fn a_session_whose_line_returns_goes_on() {
    // A client that received older packets than the simulator keeps frames of could not be checked.
    for (gate, longest) in [(Gate::Closed, 15), (Gate::Held, 9)] {
        let (mut simulator, ids) = playing(SimulatorConfig::default(), 2);
        simulator.run(40);
        let player = simulator.client(ids[0]).player();
        for seconds in [2, 5, longest] {
            let snapshots = simulator.client(ids[0]).tally().snapshots;
            simulator.set_gate(ids[0], gate);
            simulator.run(20 * seconds);
            simulator.set_gate(ids[0], Gate::Open);
            simulator.run(20);
            let since = simulator.client(ids[0]).tally().snapshots - snapshots;
            assert!(
                since > 10,
                "{gate:?} for {seconds} s: {since} snapshots in a second"
            );
        }
        assert_eq!(silences(&simulator, ids[0]), [true, false].repeat(3), "{gate:?}");
        assert_eq!(simulator.client(ids[0]).player(), player);
        simulator.assert_sound();
    }
}
