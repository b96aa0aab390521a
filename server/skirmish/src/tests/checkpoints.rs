//! A game that is restored from a checkpoint continues exactly as the one that was saved.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Asteroid, Missile, Score, Station};
use throng_seeds::seeds;
use throng_server::boundary::link::SessionKey;
use throng_server::persist::{load, save};
use throng_server::simulation::{Ghost, Replicated};
use throng_server::simulations::Partition;

use super::Game;
use super::borders::{Process, hulk};
use crate::components::{Attacker, Condition, Mass};
use crate::drones::DroneRespawnQueue;
use crate::effects::Damage;
use crate::mining::{OreLedger, rock};

/// Ticks that both games run after the checkpoint.
const AFTER: u32 = 200;

/// Destroys a pilot's ship in the next tick.
fn strike(game: &mut Game, victim: SessionKey, by: Option<Attacker>) {
    let ship = game.ship(victim);
    game.set(ship, Condition::default());
    let points = u32::from(u16::MAX);
    game.hurt(game.id(ship), Damage { by, points });
}

#[test]
fn restored_checkpoint_continues_as_the_uninterrupted_game() {
    for (seed, ticks) in seeds([(2, 160), (1, 5), (3, 333), (4, 480)], 1) {
        let mut first = Game::new(seed, 1, 600, 600);
        let keys: Vec<_> = (0..12).map(|index| first.join(index)).collect();
        for _ in 1..ticks {
            first.send_at_random(seed, &keys);
            first.tick();
        }
        let destroyed_ship = first.ship(keys[0]);
        let destroyed_ship = first.attacker(destroyed_ship);
        strike(&mut first, keys[0], None);
        first.tick();
        let bytes = save(first.app.world_mut()).unwrap();
        // The new game is configured with another seed and population; the checkpoint replaces both.
        let mut second = Game::new(seed + 100, 1, 40, 90);
        assert_eq!(load(&mut second.app, &bytes).unwrap().0, ticks, "seed {seed}");
        second.ticks = ticks;
        for tick in 1..=AFTER {
            let [expected, found] = [&mut first, &mut second].map(|game| {
                game.send_at_random(seed, &keys);
                if tick == 2 {
                    strike(game, keys[1], Some(destroyed_ship));
                }
                game.tick().checksum()
            });
            assert_eq!(expected, found, "seed {seed}, tick +{tick}");
        }
        for game in [&first, &second] {
            let score = game.get::<Score>(game.player(keys[0]));
            assert_eq!((score.kills, score.deaths), (1, 1), "seed {seed}: {score:?}");
        }
        let [one, other] = [&first, &second].map(|game| game.app.world());
        assert_eq!(
            one.resource::<DroneRespawnQueue>(),
            other.resource::<DroneRespawnQueue>(),
            "seed {seed}"
        );
        assert_eq!(
            one.resource::<OreLedger>(),
            other.resource::<OreLedger>(),
            "seed {seed}"
        );
        let again = [&mut first, &mut second].map(|game| save(game.app.world_mut()).unwrap());
        assert!(
            again[0] == again[1],
            "seed {seed}: checkpoints {AFTER} ticks later"
        );
    }
}

#[test]
fn checkpoints_of_several_simulations_hold_no_ghosts() {
    type Ghosted = Or<(With<Mass>, With<Asteroid>, With<Station>, With<Missile>)>;
    fn ghosts(world: &mut World) -> u64 {
        world.query_filtered::<(), With<Ghost>>().iter(world).count() as u64
    }
    /// Returns the number of entities that only a ghost could have become.
    fn stray(world: &mut World) -> u64 {
        let mut stray = world.query_filtered::<(), (Ghosted, Without<Replicated>)>();
        stray.iter(world).count() as u64
    }
    fn own(world: &mut World) -> u64 {
        world.query::<&Replicated>().iter(world).count() as u64
    }
    let partition = Partition::stripes(2, 100.0, 2_400.0);
    let new = |seed| Process::new(&partition, 1.0, seed, 0, 0);
    let mut first = new(1);
    first.tick();
    for (index, x) in [(0, -10.0), (1, 10.0)] {
        hulk(&mut first.apps[index].0, Vec2::new(x, 5.0), 1);
        let rock = rock(Vec2::new(2.0 * x, -5.0), 1.0, 9);
        first.apps[index].0.world_mut().spawn(rock);
    }
    (0..3).for_each(|_| drop(first.tick()));
    assert_eq!(
        first.sum(ghosts),
        4,
        "each simulation has a ghost of the other ship and rock"
    );
    let mut second = new(2);
    for ((saved, _), (restored, _)) in first.apps.iter_mut().zip(&mut second.apps) {
        load(restored, &save(saved.world_mut()).unwrap()).unwrap();
    }
    assert_eq!((second.sum(ghosts), second.sum(stray)), (0, 0));
    assert_eq!(second.sum(own), first.sum(own));
}
