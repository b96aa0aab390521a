//! Mirrors equal the server's frames, on links of any quality.

use std::time::Duration;

use throng_client::connection::ClientConfig;
use throng_seeds::seeds;
use throng_shared::tick::Tick;
use throng_tests::simulator::{
    ClientId, Simulator, SimulatorConfig,
    arena::{ArenaConfig, ArenaView},
    link::{Gate, LinkConditions},
};

/// Ticks after which all datagrams have arrived on the worst link of these tests, repeats included.
const SETTLE_TICKS: u32 = 120;

fn with_clients(config: SimulatorConfig, clients: usize) -> (Simulator, Vec<ClientId>) {
    let seed = config.seed;
    let mut simulator = Simulator::new(config);
    simulator.run(2);
    let ids: Vec<_> = (0..clients).map(|_| simulator.connect()).collect();
    assert!(
        simulator.run_until_playing(400),
        "seed {seed}: not every client plays"
    );
    (simulator, ids)
}

/// Runs a busy game, stops its changes until all updates have arrived, and compares every mirror with the frame.
fn assert_equal_after(config: SimulatorConfig, clients: usize, ticks: u32) -> Simulator {
    let seed = config.seed;
    let (mut simulator, ids) = with_clients(config, clients);
    simulator.run_with(ticks, |simulator| simulator.assert_sound());
    simulator.freeze(true);
    simulator.run(SETTLE_TICKS);
    simulator.assert_mirrors_match();
    for id in ids {
        let tally = simulator.client(id).audit_tally();
        assert!(
            tally.entered > 20 && tally.left > 5,
            "seed {seed}: {tally:?} tests nothing"
        );
        assert!(
            tally.states > 300 && tally.components > 50,
            "seed {seed}: {tally:?} tests nothing"
        );
    }
    simulator
}

#[test]
fn mirrors_equal_the_frame_on_perfect_links_in_every_tick() {
    for seed in 0..4 {
        let (mut simulator, _) = with_clients(
            SimulatorConfig {
                seed,
                ..SimulatorConfig::default()
            },
            4,
        );
        simulator.run(20);
        simulator.run_with(100, |simulator| simulator.assert_mirrors_match());
    }
}

/// An arena in space, higher than the views.
fn in_space(view: ArenaView, seed: u64, conditions: LinkConditions) -> SimulatorConfig {
    let arena = ArenaConfig {
        entities: 260,
        half: 45.0,
        radius: 30.0,
        view,
        ..ArenaConfig::default()
    };
    SimulatorConfig {
        seed,
        arena,
        conditions,
        ..SimulatorConfig::default()
    }
}

#[test]
fn mirrors_in_space_equal_the_frame_on_perfect_links_in_every_tick() {
    for (seed, view) in [
        (0, ArenaView::Sphere),
        (1, ArenaView::Cylinder(25.0)),
        (2, ArenaView::Cylinder(90.0)),
    ] {
        let (mut simulator, _) = with_clients(in_space(view, seed, LinkConditions::PERFECT), 4);
        simulator.run(20);
        simulator.run_with(100, |simulator| simulator.assert_mirrors_match());
    }
}

#[test]
fn mirrors_in_space_equal_the_frame_after_bad_links() {
    for seed in seeds(240..256, 4) {
        let conditions = LinkConditions::lossy((seed % 5) as f64 / 10.0);
        let view = match seed % 2 {
            0 => ArenaView::Sphere,
            _ => ArenaView::Cylinder(30.0),
        };
        assert_equal_after(in_space(view, seed, conditions), 4, 200);
    }
}

#[test]
fn mirrors_equal_the_frame_after_bad_links() {
    for (step, seed) in (0..5_u32).zip(100_u64..) {
        let loss = f64::from(step) / 10.0;
        let conditions = LinkConditions::lossy(loss);
        assert_equal_after(
            SimulatorConfig {
                seed,
                conditions,
                ..SimulatorConfig::default()
            },
            4,
            200,
        );
    }
}

#[test]
fn mirrors_equal_the_frame_for_many_seeds() {
    let arena = ArenaConfig {
        entities: 80,
        half: 40.0,
        radius: 25.0,
        churn: 0.02,
        ..ArenaConfig::default()
    };
    for seed in seeds(200..230, 10) {
        let loss = (seed % 5) as f64 / 10.0;
        let conditions = LinkConditions::lossy(loss);
        assert_equal_after(
            SimulatorConfig {
                seed,
                conditions,
                arena,
                ..SimulatorConfig::default()
            },
            2,
            100,
        );
    }
}

#[test]
fn mirrors_equal_the_frame_while_entities_and_players_change_rooms() {
    let arena = ArenaConfig {
        rooms: 3,
        changes: 0.1,
        ..ArenaConfig::default()
    };
    for seed in seeds(700..708, 4) {
        let conditions = LinkConditions::lossy((seed % 4) as f64 / 10.0);
        let config = SimulatorConfig {
            seed,
            conditions,
            arena,
            ..SimulatorConfig::default()
        };
        assert_equal_after(config, 3, 200);
    }
}

#[test]
fn mirrors_equal_the_frame_across_tick_wrap_arounds() {
    // Ticks wrap at 2^16 on the wire. Packet numbers wrap after 65,536 packets. One packet a tick reaches that together
    // with the second wrap-around of the ticks.
    let arena = ArenaConfig {
        entities: 20,
        half: 30.0,
        radius: 30.0,
        ..ArenaConfig::default()
    };
    for start in [Tick(65_536 - 150), Tick(32_768 - 150), Tick(u32::MAX - 150)] {
        let conditions = LinkConditions::lossy(0.1);
        let config = SimulatorConfig {
            seed: 7,
            start,
            conditions,
            arena,
            ..SimulatorConfig::default()
        };
        assert_equal_after(config, 2, 400);
    }
}

#[test]
fn mirrors_equal_the_frame_after_packet_numbers_wrap() {
    let arena = ArenaConfig {
        entities: 12,
        half: 20.0,
        radius: 30.0,
        ..ArenaConfig::default()
    };
    let config = SimulatorConfig {
        seed: 8,
        arena,
        workers: 1,
        ..SimulatorConfig::default()
    };
    let (mut simulator, ids) = with_clients(config, 1);
    simulator.run(66_000);
    simulator.network().set_conditions(LinkConditions::lossy(0.2));
    simulator.run(200);
    simulator.freeze(true);
    simulator.run(SETTLE_TICKS);
    simulator.assert_mirrors_match();
    assert!(simulator.client(ids[0]).tally().snapshots > 65_536);
}

#[test]
fn a_stalled_link_recovers() {
    for gate in [Gate::Closed, Gate::Held] {
        // The longest stalls exceed the history of frames. All are shorter than the time-out.
        for stall_ticks in [10, 40, 100, 200] {
            let seed = 300 + u64::from(stall_ticks);
            let conditions = LinkConditions::lossy(0.05);
            let (mut simulator, ids) = with_clients(
                SimulatorConfig {
                    seed,
                    conditions,
                    ..SimulatorConfig::default()
                },
                3,
            );
            simulator.run(60);
            simulator.set_gate(ids[0], gate);
            simulator.run(stall_ticks);
            simulator.set_gate(ids[0], Gate::Open);
            simulator.run(60);
            assert!(
                simulator.client(ids[0]).is_playing(),
                "seed {seed}: {:?}",
                simulator.client(ids[0]).ended()
            );
            simulator.freeze(true);
            simulator.run(SETTLE_TICKS);
            simulator.assert_mirrors_match();
        }
    }
}

#[test]
fn a_small_bandwidth_delays_updates_and_loses_none() {
    for seed in 400..404 {
        let conditions = LinkConditions::lossy(0.1);
        let config = SimulatorConfig {
            seed,
            conditions,
            bandwidth: 3_000,
            ..SimulatorConfig::default()
        };
        let (mut simulator, ids) = with_clients(config, 3);
        let server = simulator.client(ids[0]).server_address();
        simulator.run(100);
        let before = simulator
            .network()
            .tally(server, Simulator::address(0))
            .sent_bytes;
        simulator.run(200);
        let sent = simulator
            .network()
            .tally(server, Simulator::address(0))
            .sent_bytes
            - before;
        assert!(sent <= 3_000 * 10 * 12 / 10, "seed {seed}: {sent} bytes in 10 s");
        simulator.freeze(true);
        simulator.run(600);
        simulator.assert_mirrors_match();
    }
}

#[test]
fn mirrors_equal_the_frame_at_other_tick_rates() {
    for rate in [10, 60, 128] {
        let conditions = LinkConditions::lossy(0.1);
        let tick_rate_hz = std::num::NonZeroU32::new(rate).unwrap();
        let config = SimulatorConfig {
            seed: 500,
            tick_rate_hz,
            conditions,
            ..SimulatorConfig::default()
        };
        let (mut simulator, _) = with_clients(config, 2);
        simulator.run(10 * rate);
        simulator.freeze(true);
        simulator.run(6 * rate);
        simulator.assert_mirrors_match();
    }
}

#[test]
fn runs_are_repeatable() {
    let run = |seed| {
        let conditions = LinkConditions::lossy(0.2);
        let (mut simulator, ids) = with_clients(
            SimulatorConfig {
                seed,
                conditions,
                ..SimulatorConfig::default()
            },
            3,
        );
        simulator.run(100);
        let tallies: Vec<_> = ids.iter().map(|&id| simulator.client(id).tally()).collect();
        (tallies, simulator.frames().newest().checksum())
    };
    assert_eq!(run(9), run(9));
    assert_ne!(run(9), run(10));
}

#[test]
fn a_late_client_has_the_same_mirror() {
    let (mut simulator, _) = with_clients(
        SimulatorConfig {
            seed: 600,
            ..SimulatorConfig::default()
        },
        2,
    );
    simulator.run(300);
    let config = ClientConfig::new(simulator.protocol());
    let late = simulator.connect_as(77, config);
    assert!(simulator.run_until_playing(40));
    simulator.run(20);
    simulator.assert_mirrors_match();
    assert!(simulator.client(late).mirror().len() > 20);
    assert!(simulator.client(late).tally().gap_max <= Duration::from_millis(60));
}
