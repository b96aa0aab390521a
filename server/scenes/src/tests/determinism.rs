//! The same seed and inputs give the same frames on any number of threads.

use throng_seeds::seeds;
use throng_server::boundary::frame::Checksum;
use throng_server::simulation::Parallel;

use super::Harness;
use crate::Scene;

const TICKS: u32 = 40;
const PLAYERS: u32 = 100;

/// Runs a crowd that players join, steer and leave, and that is large enough for several chunks of work.
fn run(seed: u64, threads: usize) -> (Vec<Checksum>, u32) {
    let scene = Scene::Crowd {
        entities: 5_000,
        visible: 50,
    };
    let mut harness = Harness::new(scene, seed, threads);
    let mut keys: Vec<_> = (0..PLAYERS).map(|index| harness.join(index)).collect();
    let mut sums = Vec::new();
    for _ in 0..TICKS {
        harness.play(&mut keys, seed);
        sums.push(harness.tick().checksum());
    }
    (sums, harness.app.world().resource::<Parallel>().threads_used())
}

#[test]
fn checksums_are_equal_on_one_and_four_threads_and_on_repetition() {
    let mut all = Vec::new();
    for seed in seeds(0..20, 3) {
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
    let played = all.len();
    all.sort_by_key(|sums| sums[0].0);
    all.dedup();
    assert_eq!(all.len(), played, "seeds do not matter");
}
