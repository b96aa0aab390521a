//! Inputs, from the client's clock to the tick for which they are meant.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use throng_server::{
    input::{ActiveInput, InputCounters, SeenAt},
    internals::InputBuffer,
    simulation::Player,
};
use throng_shared::{protocol::input::ViewTick, tick::Tick};
use throng_tests::simulator::{ClientId, Simulator, SimulatorConfig, arena::Steer, link::LinkConditions};

fn playing(config: SimulatorConfig, clients: usize) -> (Simulator, Vec<ClientId>) {
    let mut simulator = Simulator::new(config);
    simulator.run(2);
    let ids = (0..clients).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(400));
    // Time for the clients' clocks to adjust their lead.
    simulator.run(200);
    (simulator, ids)
}

/// Runs `ticks` ticks and returns by how much the input counters have grown.
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
        views_limited: after.views_limited - before.views_limited,
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
fn inputs_steer_the_players_entity_which_its_client_knows() {
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
        "its input has no turn and no thrust"
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
fn a_client_on_a_perfect_link_receives_every_tick() {
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

/// The views of a client in the ticks for which it sent inputs.
type Shown = Rc<RefCell<BTreeMap<Tick, SeenAt>>>;

/// Records the view `now` of a client for every tick for which it sends an input.
fn watch(simulator: &mut Simulator, id: ClientId, now: &Rc<Cell<SeenAt>>) -> Shown {
    let shown = Shown::default();
    let neutral = simulator.protocol().neutral_input();
    let (log, now) = (Rc::clone(&shown), Rc::clone(now));
    simulator.client_mut(id).set_pilot(move |tick| {
        log.borrow_mut().insert(tick, now.get());
        neutral
    });
    shown
}

fn applied(simulator: &mut Simulator, id: ClientId) -> (Tick, Option<SeenAt>) {
    let player = simulator.client(id).player();
    let world = simulator.server().world();
    let mut players = world.query::<(&Player, &InputBuffer, &ActiveInput<Steer>)>();
    let found = players.iter(world).find(|(own, ..)| Some(own.id) == player);
    let (_, buffer, active) = found.expect("the client plays");
    assert_eq!(active.seen_at, buffer.seen_at());
    (buffer.last_applied(), buffer.seen_at())
}

/// Runs a client whose view is `behind` ticks and `fraction` before each tick.
///
/// Calls `check` for every tick in which one of its inputs was applied, with the view that the simulation kept and the
/// client's actual view.
fn run_watching(
    config: SimulatorConfig,
    (behind, fraction): (i32, u8),
    mut check: impl FnMut(Tick, SeenAt, SeenAt),
) -> InputCounters {
    let (mut simulator, ids) = playing(config, 2);
    let view_at = |tick: Tick| SeenAt {
        tick: Tick(tick.0.wrapping_add_signed(-behind)),
        fraction,
    };
    let now = Rc::new(Cell::new(view_at(simulator.frames().newest().tick)));
    let shown = watch(&mut simulator, ids[0], &now);
    let read = |simulator: &mut Simulator| *simulator.server().world().resource::<InputCounters>();
    let mut before = read(&mut simulator);
    for round in 0..300 {
        let tick = simulator.frames().newest().tick.next();
        now.set(view_at(tick));
        let view = ViewTick::new(now.get().tick, fraction);
        simulator.client_mut(ids[0]).core_mut().set_view(view);
        simulator.run(1);
        // Inputs from before the first view are still under way until then.
        if round == 30 {
            before = read(&mut simulator);
        }
        let (last, kept) = applied(&mut simulator, ids[0]);
        if let Some(&shown) = shown.borrow().get(&tick)
            && round >= 30
            && last == tick
        {
            check(tick, kept.expect("the client sends its view"), shown);
        }
    }
    let after = read(&mut simulator);
    InputCounters {
        kept: after.kept - before.kept,
        views_limited: after.views_limited - before.views_limited,
        ..InputCounters::default()
    }
}

#[test]
fn the_view_of_a_client_is_kept_with_its_input() {
    let mut checked = 0;
    let counters = run_watching(SimulatorConfig::default(), (2, 77), |tick, kept, shown| {
        assert_eq!(kept, shown, "{tick:?}");
        checked += 1;
    });
    assert!(checked >= 260, "{checked} ticks");
    assert_eq!(counters.views_limited, 0);
}

#[test]
fn the_view_of_a_client_survives_loss_and_tick_wrap_around() {
    for seed in 0..4 {
        let config = SimulatorConfig {
            seed,
            start: Tick(u32::MAX - 400),
            conditions: LinkConditions::lossy(0.2),
            ..SimulatorConfig::default()
        };
        let mut checked = 0;
        let mut exact = 0;
        run_watching(config, (2, 3), |tick, kept, shown| {
            // An input that arrived only as a repeat receives the view of the newest input, less its age. That is
            // exact unless the clock was just adjusted, and it is limited by the end of the rewind.
            let apart = kept.tick.since(shown.tick);
            let is_limit = kept.fraction == 0 && tick.since(kept.tick) == 6;
            assert!(
                apart.abs() <= 1 || is_limit,
                "seed {seed}: {tick:?}: {kept:?} {shown:?}"
            );
            checked += 1;
            exact += u32::from(kept == shown);
        });
        assert!(
            checked >= 200 && exact * 10 >= checked * 8,
            "seed {seed}: {exact} of {checked}"
        );
    }
}

#[test]
fn views_in_the_future_or_too_old_are_limited() {
    for behind in [-1, -100, -20_000] {
        let counters = run_watching(SimulatorConfig::default(), (behind, 200), |tick, kept, _| {
            // The view is limited to the newest frame at arrival: the one before the tick, or a few ticks earlier if
            // the input arrived early.
            let age = tick.since(kept.tick);
            assert!((1..=4).contains(&age) && kept.fraction == 0, "{tick:?}: {kept:?}");
        });
        assert_eq!(
            counters.views_limited * 2,
            counters.kept,
            "one of two clients sends such views"
        );
    }
    for behind in [30, 1_000, 20_000] {
        let counters = run_watching(SimulatorConfig::default(), (behind, 200), |tick, kept, _| {
            // 250 ms are five ticks before the newest frame.
            let oldest = SeenAt {
                tick: tick - 6,
                fraction: 0,
            };
            assert_eq!(kept, oldest, "{tick:?}");
        });
        assert_eq!(counters.views_limited * 2, counters.kept);
    }
}
