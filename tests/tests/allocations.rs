//! In the steady state a net worker asks for no memory: not for a datagram, not for a client's snapshot.

use throng_tests::{
    allocations::{CountingAllocator, counted},
    simulator::{Simulator, SimulatorConfig, arena::ArenaConfig},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn the_allocator_counts() {
    assert_eq!(counted(|| drop(Vec::<u8>::with_capacity(10))).1, 1);
    assert_eq!(counted(|| 1 + 1).1, 0);
}

#[test]
fn the_steady_state_allocates_nothing_per_client_tick() {
    // Everybody moves and is seen from the start to the end; components change. Nobody comes or goes.
    let arena = ArenaConfig { churn: 0.0, changes: 0.02, half: 30.0, radius: 40.0, ..ArenaConfig::default() };
    let mut simulator = Simulator::new(SimulatorConfig { arena, ..SimulatorConfig::default() });
    simulator.run(2);
    (0..20).for_each(|_| drop(simulator.connect()));
    assert!(simulator.run_until_playing(100));
    // Buffers reach their sizes, and every session has been through its once-a-second work.
    simulator.run(400);
    let before = simulator.server().worker_allocations();
    assert!(before > 100, "handshakes allocate: if nothing is counted, nothing is tested");
    simulator.run(200);
    let allocations = simulator.server().worker_allocations() - before;
    assert_eq!(allocations, 0, "in 200 ticks of 20 clients");
    simulator.assert_sound();
}
