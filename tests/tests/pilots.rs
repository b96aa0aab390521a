//! Pilots of Skirmish, in memory and in virtual time: their actions, based on their mirrors, change the game.

use bevy_ecs::prelude::*;
use skirmish_server::mining::OreLedger;
use skirmish_shared::components::{Cargo, Ore, Score};
use throng_local::LocalPlayer;
use throng_server::simulation::Player;
use throng_tests::pilots::matches::Match;
use throng_tests::pilots::{BotPilot, PilotMode};

fn pilots(seed: u64, count: u64) -> Vec<BotPilot> {
    (0..count).map(|n| BotPilot::new(seed ^ (n << 32))).collect()
}

#[test]
fn pilots_mine_sell_fight_flee_and_die() {
    let seed = 5;
    let mut played = Match::new(seed, pilots(seed, 16), 800, 1_600);
    let mut at_work = 0;
    for _ in 0..20 * 90 {
        played.tick();
        let is_mining = |(_, pilot): &&(LocalPlayer, BotPilot)| matches!(pilot.mode(), PilotMode::Mine(_));
        at_work += played.pilots.iter().filter(is_mining).count();
    }
    let counts = played.counts();
    assert!(
        at_work > 0 && counts.mined > 0,
        "seed {seed}: no pilot mines: {counts:?}"
    );
    assert!(counts.earned > 0, "seed {seed}: no pilot sells: {counts:?}");
    assert!(counts.fights > 16, "seed {seed}: too few fights: {counts:?}");
    assert!(
        counts.hits > 100 && counts.wounds > 100,
        "seed {seed}: too few hits: {counts:?}"
    );
    assert!(counts.flights > 0, "seed {seed}: no pilot flees: {counts:?}");
    assert!(
        counts.deaths > 0,
        "seed {seed}: no pilot is destroyed: {counts:?}"
    );
    // The pilots' counters equal the server's.
    let world = played.game.server();
    let mut scores = world.query_filtered::<&Score, With<Player>>();
    let (mut drones, mut deaths, mut kills, mut sold) = (0, 0, 0, 0);
    for score in scores.iter(world) {
        drones += u64::from(score.drones);
        deaths += u64::from(score.deaths);
        kills += u64::from(score.kills);
        sold += u64::from(score.ore);
    }
    assert!(drones > 0, "seed {seed}: no drone was destroyed");
    assert_eq!((counts.deaths, counts.kills), (deaths, kills), "seed {seed}");
    let ledger = world.resource::<OreLedger>();
    assert_eq!(ledger.sold, sold, "seed {seed}");
    assert_eq!(counts.earned, sold * 2, "seed {seed}: two credits an ore");
    let seeded = ledger.seeded;
    let rocks: u64 = world
        .query::<&Ore>()
        .iter(world)
        .map(|ore| u64::from(ore.0))
        .sum();
    let holds: u64 = world
        .query::<&Cargo>()
        .iter(world)
        .map(|ore| u64::from(ore.0))
        .sum();
    assert_eq!(rocks + holds + sold, seeded, "seed {seed}: ore from nowhere");
}

#[test]
fn the_same_seed_plays_the_same_match() {
    let play = |seed| {
        let mut played = Match::new(seed, pilots(seed, 6), 200, 300);
        (0..400).for_each(|_| played.tick());
        played.counts()
    };
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}
