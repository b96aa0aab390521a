//! Inputs on their way from the client's clock to the tick for which they are meant.

use throng_server::input::InputCounters;
use throng_tests::simulator::{ClientId, Simulator, SimulatorConfig, arena::Steer, link::LinkConditions};

fn playing(config: SimulatorConfig, clients: usize) -> (Simulator, Vec<ClientId>) {
    let mut simulator = Simulator::new(config);
    simulator.run(2);
    let ids = (0..clients).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(400));
    // The clients' clocks find their lead.
    simulator.run(200);
    (simulator, ids)
}

/// What happened to inputs in `ticks` ticks.
fn counted(simulator: &mut Simulator, ticks: u32) -> InputCounters {
    let read = |simulator: &mut Simulator| *simulator.server().world().resource::<InputCounters>();
    let before = read(simulator);
    simulator.run(ticks);
    let after = read(simulator);
    InputCounters {
        kept: after.kept - before.kept,
        late: after.late - before.late,
        early: after.early - before.early,
        duplicate: after.duplicate - before.duplicate,
        stray: after.stray - before.stray,
        repeated: after.repeated - before.repeated,
        neutral: after.neutral - before.neutral,
        messages_refused: after.messages_refused - before.messages_refused,
    }
}

#[test]
fn every_tick_has_its_input_on_perfect_links() {
    let (mut simulator, _) = playing(SimulatorConfig::default(), 5);
    let counters = counted(&mut simulator, 200);
    assert_eq!(
        counters,
        InputCounters {
            kept: 1_000,
            ..InputCounters::default()
        }
    );
}

#[test]
fn repeats_carry_inputs_over_bad_links() {
    for seed in 0..4 {
        let conditions = LinkConditions {
            duplicate: 0.1,
            ..LinkConditions::lossy(0.1)
        };
        let (mut simulator, _) = playing(
            SimulatorConfig {
                seed,
                conditions,
                ..SimulatorConfig::default()
            },
            5,
        );
        let counters = counted(&mut simulator, 400);
        let missed = counters.repeated + counters.neutral;
        assert!(
            missed <= 2_000 * 10 / 100,
            "seed {seed}: {missed} of 2,000 ticks without their input: {counters:?}"
        );
        assert!(counters.kept >= 1_800, "seed {seed}: {counters:?}");
        assert_eq!(
            (counters.early, counters.stray, counters.neutral),
            (0, 0, 0),
            "seed {seed}: {counters:?}"
        );
    }
}

#[test]
fn the_entity_of_a_player_does_what_its_pilot_says_and_the_client_knows_which_it_is() {
    let (mut simulator, ids) = playing(
        SimulatorConfig {
            seed: 5,
            ..SimulatorConfig::default()
        },
        2,
    );
    let protocol = simulator.protocol().clone();
    let straight = protocol
        .encode_input(&Steer {
            turn: 0.0,
            thrust: 0.0,
        })
        .unwrap();
    let circle = protocol
        .encode_input(&Steer {
            turn: 0.5,
            thrust: 1.0,
        })
        .unwrap();
    simulator.client_mut(ids[0]).set_pilot(move |_| straight);
    simulator.client_mut(ids[1]).set_pilot(move |_| circle);
    simulator.run(20);
    let own = |simulator: &Simulator, id| {
        simulator
            .client(id)
            .mirror()
            .own()
            .expect("a player has an entity")
    };
    let before = ids.iter().map(|&id| own(&simulator, id)).collect::<Vec<_>>();
    simulator.run(10);
    for (&id, before) in ids.iter().zip(&before) {
        let now = own(&simulator, id);
        let player = simulator.client(id).player().unwrap();
        assert_eq!(Some(now.global), simulator.avatar(player));
        assert_eq!(now.global, before.global);
    }
    assert_eq!(
        own(&simulator, ids[0]).pose,
        before[0].pose,
        "it was told to stand still"
    );
    let turned = own(&simulator, ids[1]).pose.yaw.wrapping_sub(before[1].pose.yaw) % 1_024;
    // Ten ticks of 0.15 rad are 244 of 1,024 steps; reflections at the edge add half a turn.
    assert!(
        [244, 244 + 512]
            .iter()
            .any(|&expected| turned.abs_diff(expected) <= 2),
        "{turned} steps"
    );
    assert_ne!(own(&simulator, ids[1]).pose, before[1].pose);
}

#[test]
fn a_client_that_keeps_up_is_sent_every_tick() {
    let (mut simulator, ids) = playing(SimulatorConfig::default(), 3);
    let before: Vec<_> = ids
        .iter()
        .map(|&id| simulator.client(id).tally().snapshots)
        .collect();
    simulator.run(300);
    for (&id, before) in ids.iter().zip(before) {
        assert_eq!(simulator.client(id).tally().snapshots - before, 300);
    }
}
