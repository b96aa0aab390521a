//! The same seed and inputs give the same frames, on however many threads.

use throng_shared::protocol::registry::Protocol;
use throng_shared::scenes::SteerInput;

use super::Harness;
use crate::boundary::frame::Checksum;
use crate::boundary::link::{LeaveReason, ToSimulation};
use crate::scenes::{Scene, ScenePlugin};
use crate::simulation::{Parallel, Seed, SimulationPlugin};
use throng_shared::protocol::ids::GlobalId;

const TICKS: u32 = 40;
const PLAYERS: u32 = 100;

/// A crowd that players join, steer and leave, and that is large enough for several chunks of work.
fn run(seed: u64, threads: usize) -> (Vec<Checksum>, u32) {
    let simulation = SimulationPlugin {
        seed,
        threads,
        ..SimulationPlugin::default()
    };
    let scene = ScenePlugin(Scene::Crowd {
        entities: 5_000,
        visible: 50,
    });
    let mut harness = Harness::new(simulation, scene);
    let mut keys: Vec<_> = (0..PLAYERS).map(|index| harness.join(index)).collect();
    let mut sums = Vec::new();
    for _ in 0..TICKS {
        let tick = harness.next();
        for (index, &key) in keys.iter().enumerate() {
            let mut random = Seed(seed).of(GlobalId(u64::MAX - index as u64), tick);
            let input = SteerInput {
                turn: random.within(-1.0, 1.0),
                thrust: random.within(-1.0, 1.0),
            };
            let bytes = harness
                .app
                .world()
                .resource::<Protocol>()
                .encode_input(&input)
                .unwrap();
            if random.within(0.0, 1.0) < 0.9 {
                let arrived_at = harness.now();
                harness.worker.input(ToSimulation::Input {
                    key,
                    tick,
                    view: None,
                    arrived_at,
                    bytes,
                });
            }
        }
        if tick.0.is_multiple_of(8) {
            let key = keys.swap_remove(seed as usize % keys.len());
            harness.worker.announce(ToSimulation::Left {
                key,
                reason: LeaveReason::Client,
            });
        }
        sums.push(harness.tick().checksum());
    }
    (sums, harness.app.world().resource::<Parallel>().threads_used())
}

#[test]
fn one_and_four_threads_and_every_repetition_agree_in_every_tick() {
    let mut all = Vec::new();
    for seed in 0..20 {
        let (alone, one) = run(seed, 1);
        let (together, several) = run(seed, 4);
        let (again, _) = run(seed, 4);
        assert_eq!(one, 1);
        assert!(several > 1, "only {several} of 4 threads were used");
        assert_eq!(alone, together, "seed {seed}");
        assert_eq!(together, again, "seed {seed}");
        assert!(alone.windows(2).all(|pair| pair[0] != pair[1]), "nothing moved");
        all.push(alone);
    }
    all.sort_by_key(|sums| sums[0].0);
    all.dedup();
    assert_eq!(all.len(), 20, "seeds do not matter");
}
