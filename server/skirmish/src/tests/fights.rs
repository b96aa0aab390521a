//! Fights: hits, kills, scores and replacements.

use glam::Vec2;
use skirmish_shared::components::{Drone, Hull, Magazine, Missile, Score, Shield};
use skirmish_shared::input::PilotInput;
use throng_seeds::seeds;
use throng_server::simulation::{Avatar, Team};
use throng_shared::protocol::ids::TeamId;
use throng_shared::protocol::pose::Velocity;

use super::{Game, pressing, shot};
use crate::components::{DroneAi, DroneMode};
use crate::drones::DroneRespawnQueue;

/// Returns the number of drones.
fn drones(game: &mut Game) -> usize {
    let world = game.app.world_mut();
    world.query::<&Drone>().iter(world).count()
}

#[test]
fn fight_between_two_drones_ends() {
    let (mut won, mut fights) = (0, 0);
    for (seed, breed) in seeds((0..10).flat_map(|seed| [(seed, 0), (seed, 1)]), 6) {
        fights += 1;
        let mut game = Game::new(seed, 1, 0, 0);
        let middle = Vec2::new(-500.0, -500.0);
        let one = game.drone(3, breed, middle, 0.3);
        let other = game.drone(4, breed, middle + Vec2::new(25.0, 10.0), 2.0);
        let (limit, mut peaceful) = (20 * 120, 0);
        let ended = (0..limit).find(|_| {
            game.tick();
            if !game.lives(one) || !game.lives(other) {
                won += 1;
                return true;
            }
            let fight = [one, other]
                .iter()
                .any(|&drone| game.get::<DroneAi>(drone).mode != DroneMode::Patrol);
            // The fight also ends when both have patrolled for longer than a drone flees: they have lost each other.
            peaceful = if fight { 0 } else { peaceful + 1 };
            peaceful > 20 * 10
        });
        assert!(
            ended.is_some(),
            "seed {seed}, breed {breed}: still fighting after {limit} ticks"
        );
    }
    assert!(won * 10 >= fights * 7, "only {won} of {fights} fights were won");
}

#[test]
fn drones_of_one_flock_do_not_fight_and_fly_together() {
    let mut game = Game::empty();
    let flock: Vec<_> = (0..6)
        .map(|n| game.drone(3, 0, Vec2::new(-500.0 + 12.0 * n as f32, -500.0), n as f32))
        .collect();
    for _ in 0..600 {
        game.tick();
    }
    let full = game.get::<Hull>(flock[0]).max;
    let centre = flock.iter().map(|&drone| game.position(drone)).sum::<Vec2>() / 6.0;
    for &drone in &flock {
        assert_eq!(game.get::<Hull>(drone).now, full, "mates hurt each other");
        assert!(game.position(drone).distance(centre) < 30.0, "the flock broke up");
        assert_eq!(game.get::<DroneAi>(drone).mode, DroneMode::Patrol);
    }
    assert!(
        centre.distance(Vec2::new(-470.0, -500.0)) > 10.0,
        "the flock did not move"
    );
}

#[test]
fn destroyed_drone_is_replaced_and_its_killer_scores() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::new(0.0, 0.0), 0.0);
    let drone = game.drone(3, 0, Vec2::new(12.0, 0.0), 0.0);
    game.set(drone, Hull { now: 1, max: 30 });
    game.set(drone, Shield::default());
    game.tick();
    game.send(key, game.next(), None, &pressing(PilotInput::FIRE));
    game.tick();
    // The damage arrives in the tick after the shot, the credit in the tick after the kill.
    assert!(game.lives(drone));
    game.tick();
    assert!(!game.lives(drone));
    game.tick();
    let player = game.player(key);
    assert_eq!(game.get::<Score>(player).drones, 1);
    assert_eq!(game.get::<Score>(game.ship(key)).drones, 1, "shown on the ship");
    assert_eq!(
        (
            drones(&mut game),
            game.app.world().resource::<DroneRespawnQueue>().0.len()
        ),
        (0, 1)
    );
    for _ in 0..12 * 20 + 1 {
        game.tick();
    }
    assert_eq!(drones(&mut game), 1);
}

/// Returns the hull and shield points of a new ship.
fn points(game: &Game) -> u32 {
    let body = &game.rules().class(0).body;
    body.hull.get() as u32 + body.shield.get() as u32
}

#[test]
fn destroyed_pilot_respawns_protected_and_undamaged() {
    let mut game = Game::empty();
    let shooter = game.fly_in(0, Vec2::new(0.0, 0.0), 0.0);
    let victim = game.fly_in(1, Vec2::new(15.0, 0.0), 0.0);
    let first = game.ship(victim);
    let full = points(&game);
    let mut ticks = 0;
    while game.lives(first) {
        game.send(shooter, game.next(), None, &pressing(PilotInput::FIRE));
        game.tick();
        ticks += 1;
        assert!(ticks < 600, "never destroyed");
    }
    // The victim takes a shot every fifth tick until all of its points are gone.
    let shots = full.div_ceil(shot());
    assert!(
        (5 * shots - 5..5 * shots + 10).contains(&ticks),
        "{ticks} ticks for {shots} shots"
    );
    assert_eq!(game.get::<Score>(game.player(victim)).deaths, 1);
    let player = game.player(victim);
    for _ in 0..79 {
        game.tick();
        assert_eq!(game.get::<Score>(game.player(shooter)).kills, 1);
        assert!(
            game.app.world().get::<Avatar>(player).is_none(),
            "respawned too early"
        );
    }
    game.tick();
    let second = game.ship(victim);
    assert!(second != first && game.strength(second) == full);
    // The ship is protected: a direct hit right after the respawn does no damage.
    let position = game.position(second) - Vec2::X * 10.0;
    let ship = game.ship(shooter);
    game.set(ship, throng_shared::protocol::pose::Position(position));
    game.tick();
    game.send(shooter, game.next(), None, &pressing(PilotInput::FIRE));
    (0..2).for_each(|_| drop(game.tick()));
    assert_eq!(game.strength(second), full);
}

#[test]
fn shields_absorb_damage_before_the_hull_and_recover() {
    let mut game = Game::empty();
    let shooter = game.fly_in(0, Vec2::ZERO, 0.0);
    let target = game.hulk(0, 2, Vec2::new(15.0, 0.0));
    game.tick();
    game.send(shooter, game.next(), None, &pressing(PilotInput::FIRE));
    (0..2).for_each(|_| drop(game.tick()));
    let shield = |game: &Game| game.get::<Shield>(target).now;
    let body = &game.rules().class(0).body;
    let (full, hull) = (body.shield.get() as u16, body.hull.get() as u16);
    let left = full - shot() as u16;
    assert_eq!((shield(&game), game.get::<Hull>(target).now), (left, hull));
    // A missing input repeats the last one. A second shot may have followed already.
    game.send(shooter, game.next(), None, &PilotInput::default());
    (0..8).for_each(|_| drop(game.tick()));
    let low = shield(&game);
    (0..70).for_each(|_| drop(game.tick()));
    assert_eq!(shield(&game), low, "the shield recovered too early");
    (0..120).for_each(|_| drop(game.tick()));
    assert_eq!(shield(&game), full);
}

#[test]
fn missile_homes_on_the_enemy_ahead_and_spares_its_own_team() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    let team = game.get::<Team>(game.player(key)).0;
    let mate = game.hulk(0, team.0, Vec2::new(20.0, 0.0));
    let enemy = game.hulk(0, 4, Vec2::new(40.0, 9.0));
    assert_ne!(team, TeamId(4));
    game.set(enemy, Velocity(Vec2::new(0.0, 8.0)));
    game.tick();
    game.send(key, game.next(), None, &pressing(PilotInput::LAUNCH));
    let (before, spared) = (game.strength(enemy), game.strength(mate));
    game.tick();
    assert_eq!(game.get::<Magazine>(game.ship(key)).0, 3);
    let mut flights = 0;
    loop {
        game.tick();
        let world = game.app.world_mut();
        if world.query::<&Missile>().iter(world).count() == 0 {
            break;
        }
        flights += 1;
        assert!(flights < 80, "the missile never detonates");
    }
    game.tick();
    assert!(
        game.strength(enemy) <= before - 30,
        "{} of {before}",
        game.strength(enemy)
    );
    assert_eq!(game.strength(mate), spared);
}

#[test]
fn only_impacts_above_the_safe_speed_do_damage() {
    for (speed, hurts) in [(10.0, false), (30.0, true)] {
        let mut game = Game::empty();
        game.rock(Vec2::new(8.0, 0.0), 3.0, 10);
        let ship = game.hulk(0, 1, Vec2::ZERO);
        game.set(ship, Velocity(Vec2::new(speed, 0.0)));
        (0..20).for_each(|_| drop(game.tick()));
        assert_eq!(game.strength(ship) < points(&game), hurts, "at {speed}");
    }
}
