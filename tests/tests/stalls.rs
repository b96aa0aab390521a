//! Servers and clients that are stopped, late or slow: how old the inputs are that the server acts on.

use std::{thread::sleep, time::Duration};

use throng_server::{
    input::{ActiveInput, InputCounters},
    observe::StatsReport,
    runner::TickTime,
    simulation::Player,
};
use throng_tests::{
    process::ServerProcess,
    simulator::{
        ClientId, Simulator, SimulatorConfig,
        arena::Steer,
        link::{Gate, LinkConditions},
    },
};

/// Seconds that an axis of an input can carry.
const AXIS_S: f32 = 100.0;
/// The time within which inputs are current again.
const SOON: Duration = Duration::from_millis(300);

/// Returns a running game of players whose inputs carry the time at which they were sampled.
fn playing(seed: u64, conditions: LinkConditions, players: usize) -> (Simulator, Vec<ClientId>) {
    let mut simulator = Simulator::new(SimulatorConfig {
        seed,
        conditions,
        ..SimulatorConfig::default()
    });
    simulator.run(2);
    let ids: Vec<_> = (0..players).map(|_| simulator.connect()).collect();
    for &id in &ids {
        let (protocol, time) = (simulator.protocol().clone(), simulator.time());
        simulator.client_mut(id).set_pilot(move |_| {
            let turn = time.get().as_secs_f32() / AXIS_S;
            let steer = Steer { turn, thrust: 1.0 };
            protocol.encode_input(&steer).unwrap()
        });
    }
    assert!(simulator.run_until_playing(400), "seed {seed}");
    simulator.run(200);
    (simulator, ids)
}

/// Returns the ages of the inputs that the last tick acted on; `None` for the neutral input.
fn ages(simulator: &mut Simulator) -> Vec<Option<Duration>> {
    let world = simulator.server().world();
    let started_at = world.resource::<TickTime>().started_at;
    let mut players = world.query::<(&Player, &ActiveInput<Steer>)>();
    let ages = players.iter(world).map(|(_, active)| {
        let sampled = Duration::from_secs_f32(active.input.turn * AXIS_S);
        (active.input.thrust > 0.0).then(|| started_at.saturating_sub(sampled))
    });
    ages.collect()
}

/// Asserts that all players acted in the last tick, on inputs of at most this age.
fn assert_current(simulator: &mut Simulator, players: usize, age_max: Duration, case: &str) {
    let ages = ages(simulator);
    assert_eq!(ages.len(), players, "{case}: a player was lost");
    for age in ages {
        assert!(age.is_some_and(|age| age <= age_max), "{case}: {age:?}");
    }
}

fn early(simulator: &mut Simulator) -> u64 {
    simulator.server().world().resource::<InputCounters>().early
}

/// Lines with the age of inputs that is usual on each.
fn lines() -> [(&'static str, LinkConditions, Duration); 3] {
    let with = |conditions, ms| (conditions, Duration::from_millis(ms));
    let bad = LinkConditions::lossy(0.05);
    [
        ("perfect", with(LinkConditions::PERFECT, 120)),
        ("lossy", with(bad, 400)),
        (
            "lossy and doubled",
            with(
                LinkConditions {
                    duplicate: 0.1,
                    ..bad
                },
                400,
            ),
        ),
    ]
    .map(|(name, (conditions, usual))| (name, conditions, usual))
}

#[test]
fn the_server_acts_on_current_inputs_within_300_ms_of_a_stall() {
    for (seed, (line, conditions, usual)) in (1..).zip(lines()) {
        for (stall_s, stops_workers) in [
            (2, false),
            (2, true),
            (5, false),
            (5, true),
            (15, false),
            (15, true),
        ] {
            let case = format!("seed {seed}, {line} line, {stall_s} s, workers stopped: {stops_workers}");
            let (mut simulator, ids) = playing(seed, conditions, 5);
            let refused = early(&mut simulator);
            simulator.stall(stall_s * 20, stops_workers);
            simulator.run(SOON.as_millis() as u32 / 50);
            for tick in 0..100 {
                simulator.run(1);
                assert_current(&mut simulator, ids.len(), usual, &format!("{case}, tick {tick}"));
            }
            assert_eq!(early(&mut simulator), refused, "{case}");
            simulator.assert_sound();
        }
    }
}

#[test]
fn a_server_at_a_part_of_its_rate_acts_on_current_inputs() {
    for (seed, (line, conditions, usual)) in (1..).zip(lines()) {
        for lengths in [2, 3, 5] {
            let case = format!("seed {seed}, {line} line, {lengths} tick lengths a tick");
            let (mut simulator, ids) = playing(seed, conditions, 5);
            simulator.run_slowly(100, lengths, |_| {});
            // An input that is lost or late is missing for a whole tick, and several in a row may be.
            let ticks_missed = if conditions.loss > 0.0 { 4 } else { 1 };
            let usual = usual + Duration::from_millis(50) * lengths * ticks_missed;
            let mut tick = 0;
            simulator.run_slowly(200, lengths, |simulator| {
                tick += 1;
                assert_current(simulator, ids.len(), usual, &format!("{case}, tick {tick}"));
            });
            assert_eq!(early(&mut simulator), 0, "{case}");
            simulator.assert_sound();
        }
    }
}

#[test]
fn every_tick_has_the_held_input_of_a_client_that_draws_two_to_ten_frames_a_second() {
    for (seed, (line, conditions, usual)) in (1..).zip(lines()) {
        for frames_per_second in [2, 3, 5, 7, 10] {
            let case = format!("seed {seed}, {line} line, {frames_per_second} frames a second");
            let (mut simulator, ids) = playing(seed, conditions, 3);
            let frame = Duration::from_secs(1) / frames_per_second;
            ids.iter()
                .for_each(|&id| simulator.client_mut(id).set_frame_every(frame));
            simulator.run(100);
            // Up to three packets in a row may be lost.
            let lost = if conditions.loss > 0.0 {
                frame * 3
            } else {
                Duration::ZERO
            };
            for tick in 0..400 {
                simulator.run(1);
                assert_current(
                    &mut simulator,
                    ids.len(),
                    usual + frame + lost,
                    &format!("{case}, tick {tick}"),
                );
            }
            simulator.assert_sound();
        }
    }
}

#[test]
fn a_client_that_was_stopped_acts_on_current_inputs_again() {
    for (seed, (line, conditions, usual)) in (1..).zip(lines()) {
        for stop_s in [1, 2, 5, 12] {
            let case = format!("seed {seed}, {line} line, client stopped for {stop_s} s");
            let (mut simulator, ids) = playing(seed, conditions, 3);
            let until = simulator.now() + Duration::from_secs(stop_s);
            simulator.client_mut(ids[0]).stop(until);
            simulator.run(stop_s as u32 * 20 + 12);
            for tick in 0..100 {
                simulator.run(1);
                assert_current(&mut simulator, ids.len(), usual, &format!("{case}, tick {tick}"));
            }
            simulator.assert_sound();
        }
    }
}

#[test]
fn inputs_are_current_after_the_network_held_them() {
    for hold_s in [1, 2, 5] {
        let (mut simulator, ids) = playing(7, LinkConditions::PERFECT, 3);
        simulator.set_gate(ids[0], Gate::Held);
        simulator.run(hold_s * 20);
        simulator.set_gate(ids[0], Gate::Open);
        simulator.run(12);
        for tick in 0..100 {
            simulator.run(1);
            let case = format!("held for {hold_s} s, tick {tick}");
            assert_current(&mut simulator, ids.len(), Duration::from_millis(200), &case);
        }
    }
}

#[test]
fn mirrors_equal_the_frames_after_skipped_ticks() {
    for seed in 0..4 {
        let (mut simulator, _) = playing(seed, LinkConditions::lossy(0.1), 5);
        for skipped in [1, 1, 2, 30, 31, 32, 33, 1, 63, 64, 65, 100, 3, 1] {
            simulator.stall(skipped, seed % 2 == 0);
            simulator.run(1 + (seed as u32 + skipped) % 3);
        }
        simulator.freeze(true);
        simulator.run(100);
        simulator.assert_mirrors_match();
    }
}

/// Ticks that a server may be late at any moment, and one for the time between the two figures of a reading.
const LATE_TICKS: f64 = 12.0;

/// Reads the server's figures until `done`.
fn stats_when(server: &ServerProcess, done: impl Fn(&StatsReport) -> bool) -> StatsReport {
    for _ in 0..600 {
        let stats = server.stats().unwrap();
        if done(&stats) {
            return stats;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{:?}", server.stats());
}

/// Asserts that the tick number grew with the server's clock between two readings, and that every number either has a
/// tick or was skipped.
fn assert_follows_the_clock(before: &StatsReport, after: &StatsReport, case: &str) {
    let expected = (after.uptime_us - before.uptime_us) as f64 / 1e6 * 20.0;
    let passed = f64::from(after.tick - before.tick);
    assert!(
        (passed - expected).abs() <= LATE_TICKS,
        "{case}: {passed} ticks, not {expected}"
    );
    let ran = (after.ticks - before.ticks + after.ticks_skipped - before.ticks_skipped) as f64;
    // The figures are stored one after another.
    assert!(
        (passed - ran).abs() <= LATE_TICKS,
        "{case}: {passed} ticks, {ran} ran or were skipped"
    );
}

#[test]
fn the_tick_number_follows_the_clock_after_the_process_was_stopped() {
    for flags in [
        &["--workers", "1"][..],
        &["--workers", "0"],
        &["--workers", "1", "--simulations", "3"],
    ] {
        let server =
            ServerProcess::start(&[&["--scene", "crowd", "--entities", "100"], flags].concat()).unwrap();
        let before = stats_when(&server, |stats| stats.ticks > 20);
        server.signal("STOP").unwrap();
        sleep(Duration::from_secs(2));
        server.signal("CONT").unwrap();
        let skipped = before.ticks_skipped + 20;
        let resumed = stats_when(&server, |stats| stats.ticks_skipped > skipped);
        assert_follows_the_clock(&before, &resumed, &format!("{flags:?}"));
        let after = stats_when(&server, |stats| stats.ticks > resumed.ticks + 40);
        assert_follows_the_clock(&before, &after, &format!("{flags:?}"));
    }
}

#[test]
fn a_server_whose_ticks_take_twice_their_time_skips_every_second_number() {
    for flags in [&["--workers", "1"][..], &["--workers", "1", "--simulations", "2"]] {
        let flags = [&["--scene", "crowd", "--entities", "100", "--burn", "100"], flags].concat();
        let server = ServerProcess::start(&flags).unwrap();
        let before = stats_when(&server, |stats| stats.ticks > 20);
        let after = stats_when(&server, |stats| stats.ticks > before.ticks + 40);
        assert_follows_the_clock(&before, &after, &format!("{flags:?}"));
        let (ran, skipped) = (
            after.ticks - before.ticks,
            after.ticks_skipped - before.ticks_skipped,
        );
        assert!(skipped + 2 >= ran, "{flags:?}: {skipped} skipped, {ran} ran");
    }
}
