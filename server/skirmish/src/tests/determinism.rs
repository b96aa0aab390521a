//! The same seed and inputs give the same state on any number of threads.

use throng_seeds::seeds;
use throng_server::boundary::frame::Checksum;
use throng_server::simulation::Parallel;

use super::Game;
use crate::drones::DroneRespawnQueue;

/// Runs a game in which drones fight and pilots fly, fire, launch and mine at random. Returns its checksums, the
/// threads used, and the number of drones that were destroyed.
fn run(seed: u64, threads: usize, ticks: u32) -> (Vec<Checksum>, u32, usize) {
    let mut game = Game::new(seed, threads, 600, 600);
    let keys: Vec<_> = (0..12).map(|index| game.join(index)).collect();
    let mut sums = Vec::new();
    let mut destroyed = 0;
    for _ in 0..ticks {
        game.send_at_random(seed, &keys);
        sums.push(game.tick().checksum());
        destroyed = destroyed.max(game.app.world().resource::<DroneRespawnQueue>().0.len());
    }
    (
        sums,
        game.app.world().resource::<Parallel>().threads_used(),
        destroyed,
    )
}

#[test]
fn checksums_are_equal_on_one_and_four_threads_and_on_repetition() {
    let mut all = Vec::new();
    for seed in seeds(0..4, 2) {
        let (alone, one, destroyed) = run(seed, 1, 300);
        let (together, several, _) = run(seed, 4, 300);
        assert_eq!(one, 1);
        assert!(several > 1, "only {several} of 4 threads were used");
        assert_eq!(alone, together, "seed {seed}");
        assert!(alone == run(seed, 1, 300).0, "seed {seed}: a repetition differs");
        assert!(destroyed > 0, "seed {seed}: no drone was destroyed");
        all.push(alone);
    }
    let played = all.len();
    all.sort_by_key(|sums| sums[0].0);
    all.dedup();
    assert_eq!(all.len(), played, "seeds do not matter");
}

#[test]
#[ignore = "takes many minutes: docs/skirmish.md says when to run it"]
fn ten_thousand_ticks_of_twenty_seeds_have_equal_checksums_on_one_and_four_threads() {
    for seed in 0..20 {
        let (alone, _, destroyed) = run(seed, 1, 10_000);
        let (together, several, _) = run(seed, 4, 10_000);
        let differs = alone.iter().zip(&together).position(|(one, four)| one != four);
        assert_eq!(differs, None, "seed {seed}: the first tick that differs");
        assert!(
            several > 1 && destroyed > 0,
            "seed {seed}: {several} threads, {destroyed} destroyed"
        );
    }
}
