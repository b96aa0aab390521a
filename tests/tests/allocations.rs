//! Memory: in the steady state a net worker allocates none, and its use does not grow in a long run.

use throng_tests::{
    allocations::{CountingAllocator, counted, held_bytes},
    simulator::{Simulator, SimulatorConfig, arena::ArenaConfig, link::LinkConditions},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn allocations_are_counted() {
    assert_eq!(counted(|| drop(Vec::<u8>::with_capacity(10))).1, 1);
    assert_eq!(counted(|| 1 + 1).1, 0);
}

#[test]
fn the_steady_state_allocates_nothing_per_client_tick() {
    // All entities move, every client sees all of them, and components change. No client connects or leaves.
    let arena = ArenaConfig {
        churn: 0.0,
        changes: 0.02,
        half: 30.0,
        radius: 100.0,
        ..ArenaConfig::default()
    };
    let mut simulator = Simulator::new(SimulatorConfig {
        arena,
        ..SimulatorConfig::default()
    });
    simulator.run(2);
    for _ in 0..20 {
        simulator.connect();
    }
    assert!(simulator.run_until_playing(100));
    // Buffers reach their final sizes, and every session has done its work of once a second.
    simulator.run(400);
    let before = simulator.server().worker_allocations();
    assert!(
        before > 100,
        "handshakes allocate: without a count this test has no effect"
    );
    simulator.run(200);
    let allocations = simulator.server().worker_allocations() - before;
    assert_eq!(allocations, 0, "in 200 ticks of 20 clients");
    simulator.assert_sound();
}

#[test]
fn memory_does_not_grow_in_a_long_busy_run() {
    let conditions = LinkConditions::lossy(0.2);
    let arena = ArenaConfig {
        entities: 100,
        churn: 0.02,
        ..ArenaConfig::default()
    };
    let mut simulator = Simulator::new(SimulatorConfig {
        conditions,
        arena,
        ..SimulatorConfig::default()
    });
    simulator.run(2);
    for _ in 0..4 {
        simulator.connect();
    }
    assert!(simulator.run_until_playing(200));
    // This is longer than every history and every window.
    simulator.run(1_000);
    let mut peaks = [0; 3];
    for peak in &mut peaks {
        simulator.run_with(1_000, |_| *peak = held_bytes().max(*peak));
    }
    let [first, _, last] = peaks;
    assert!(first > 1_000_000, "{first} bytes: nothing is counted");
    assert!(
        last <= first + first / 20,
        "{peaks:?} bytes held at most in each 1,000 ticks"
    );
    simulator.assert_sound();
}
