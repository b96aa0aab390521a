//! A crowd that is restored from a checkpoint continues exactly as the one that was saved.

use throng_seeds::seeds;
use throng_server::persist::{load, save};
use throng_server::simulation::{Frames, Players};

use super::Harness;
use crate::Scene;

const CROWD: Scene = Scene::Crowd {
    entities: 300,
    visible: 60,
};
/// Ticks that both crowds run after the checkpoint.
const AFTER: u32 = 200;

#[test]
fn restored_crowd_continues_as_the_uninterrupted_one() {
    for (seed, ticks) in seeds((1..=10).zip([1, 30, 64, 65, 100, 127, 200, 3, 150, 77]), 3) {
        let mut first = Harness::new(CROWD, seed, 1);
        // More players leave over time than there are at first: some join later.
        let mut keys: Vec<_> = (0..40).map(|index| first.join(index)).collect();
        let mut joined = 40;
        let tick = |harness: &mut Harness, keys: &mut Vec<_>, index: u32| {
            if harness.next().0.is_multiple_of(6) {
                keys.push(harness.join(index));
            }
            harness.play(keys, seed);
            harness.tick()
        };
        for _ in 0..ticks {
            tick(&mut first, &mut keys, joined);
            joined += 1;
        }
        let bytes = save(first.app.world_mut()).unwrap();
        // The new crowd is configured with another seed; the checkpoint replaces it.
        let mut second = Harness::new(CROWD, seed + 100, 1);
        assert_eq!(load(&mut second.app, &bytes).unwrap().0, ticks, "seed {seed}");
        let newest = |harness: &Harness| {
            let frames = &harness.app.world().resource::<Frames>().0;
            frames.newest().unwrap().checksum()
        };
        assert_eq!(newest(&first), newest(&second), "seed {seed} at the checkpoint");
        let mut again = keys.clone();
        for after in 1..=AFTER {
            let expected = tick(&mut first, &mut keys, joined);
            let found = tick(&mut second, &mut again, joined);
            joined += 1;
            assert_eq!(
                expected.checksum(),
                found.checksum(),
                "seed {seed}, tick +{after}"
            );
            assert_eq!(
                expected.players.len(),
                found.players.len(),
                "seed {seed}, tick +{after}"
            );
        }
        let players = first.app.world().resource::<Players>().len();
        assert!(players > 5, "seed {seed}: only {players} players");
        let both = [&mut first, &mut second].map(|one| save(one.app.world_mut()).unwrap());
        assert_eq!(both[0], both[1], "seed {seed}: checkpoints {AFTER} ticks later");
    }
}
