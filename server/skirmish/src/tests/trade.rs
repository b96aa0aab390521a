//! Ore moves from asteroids into holds and to stations: none is created or lost on the way.

use glam::Vec2;
use skirmish_shared::components::{Asteroid, Cargo, Credits, Hull, Magazine, Ore, Ship};
use skirmish_shared::input::PilotInput;
use skirmish_shared::messages::StationOrder;
use throng_server::boundary::link::{LeaveReason, SessionKey, ToSimulation};
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::Protocol;

use super::{Game, pressing};
use crate::components::Condition;
use crate::mining::OreLedger;

/// Returns all ore that exists, and all ore that should exist.
fn balance(game: &mut Game) -> (u64, u64) {
    let world = game.app.world_mut();
    let rocks: u64 = world
        .query::<&Ore>()
        .iter(world)
        .map(|ore| u64::from(ore.0))
        .sum();
    let holds: u64 = world
        .query::<&Cargo>()
        .iter(world)
        .map(|cargo| u64::from(cargo.0))
        .sum();
    let ledger = world.resource::<OreLedger>();
    (rocks + holds + ledger.sold, ledger.seeded)
}

fn order(game: &mut Game, key: SessionKey, order: &StationOrder) {
    let mut bytes = Vec::new();
    let channel = game
        .app
        .world()
        .resource::<Protocol>()
        .encode_message(order, &mut bytes)
        .unwrap();
    game.worker.announce(ToSimulation::Message {
        key,
        channel: channel.id(),
        bytes: bytes.into(),
    });
}

#[test]
fn ore_is_mined_stowed_and_sold_without_loss() {
    let mut game = Game::empty();
    let position = Vec2::new(200.0, 0.0);
    game.station(position);
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    let rock = game.rock(Vec2::new(8.0, 0.0), 2.0, 50);
    let ship = game.ship(key);
    for n in 0..200 {
        game.send(key, game.next(), None, &pressing(PilotInput::MINE));
        game.tick();
        let (present, seeded) = balance(&mut game);
        assert_eq!(present, seeded, "tick {n}");
    }
    assert!(!game.lives(rock), "the asteroid is not mined out");
    assert_eq!(game.get::<Cargo>(ship).0, 50);

    let player = game.player(key);
    order(&mut game, key, &StationOrder::SellOre(50));
    game.tick();
    assert_eq!(game.get::<Credits>(player).0, 0, "too far from the station");
    game.set(ship, Position(position + Vec2::new(16.0, 0.0)));
    game.tick();
    order(&mut game, key, &StationOrder::SellOre(30));
    order(&mut game, key, &StationOrder::SellOre(30));
    game.tick();
    assert_eq!(
        (game.get::<Cargo>(ship).0, game.get::<Credits>(player).0),
        (0, 100)
    );
    assert_eq!(balance(&mut game), (50, 50));
    // A replacement asteroid is spawned later, with new ore.
    (0..420).for_each(|_| drop(game.tick()));
    let world = game.app.world_mut();
    assert_eq!(world.query::<&Asteroid>().iter(world).count(), 1);
    let (present, seeded) = balance(&mut game);
    assert!(present == seeded && seeded > 50, "{present} of {seeded}");
}

#[test]
fn two_ships_that_mine_one_rock_share_its_ore() {
    let mut game = Game::empty();
    let keys = [
        game.fly_in(0, Vec2::new(-6.0, 0.0), 0.0),
        game.fly_in(1, Vec2::new(6.0, 0.0), std::f32::consts::PI),
    ];
    let rock = game.rock(Vec2::ZERO, 2.0, 31);
    for _ in 0..100 {
        for key in keys {
            game.send(key, game.next(), None, &pressing(PilotInput::MINE));
        }
        game.tick();
        let (present, seeded) = balance(&mut game);
        assert_eq!(present, seeded);
    }
    assert!(!game.lives(rock));
    let held = keys.map(|key| game.get::<Cargo>(game.ship(key)).0);
    assert!(
        held[0] + held[1] == 31 && held.iter().all(|&held| held > 9),
        "{held:?}"
    );
}

#[test]
fn station_repairs_and_sells_missiles_and_ships() {
    let mut game = Game::empty();
    let position = Vec2::new(300.0, 0.0);
    game.station(position);
    let key = game.fly_in(0, position + Vec2::new(16.0, 0.0), 0.0);
    let (ship, player) = (game.ship(key), game.player(key));
    game.set(ship, Hull { now: 40, max: 100 });
    game.set(ship, Magazine(0));
    game.set(ship, Cargo(100));
    game.app.world_mut().resource_mut::<OreLedger>().seeded += 100;
    game.set(player, Credits(35));
    (0..60).for_each(|_| drop(game.tick()));
    assert_eq!(game.get::<Hull>(ship).now, 100);
    order(&mut game, key, &StationOrder::BuyMissiles(200));
    game.tick();
    assert_eq!(
        (game.get::<Magazine>(ship).0, game.get::<Credits>(player).0),
        (2, 5),
        "buys only what it can pay for"
    );
    game.set(player, Credits(310));
    order(&mut game, key, &StationOrder::BuyShip(2));
    game.tick();
    assert_eq!(
        game.get::<Ship>(ship).class,
        0,
        "bought a ship that it cannot pay for"
    );
    order(&mut game, key, &StationOrder::BuyShip(1));
    game.tick();
    assert_eq!(
        (game.get::<Ship>(ship).class, game.get::<Hull>(ship).max),
        (1, game.rules().class(1).body.hull.get() as u16)
    );
    assert_eq!(
        (game.get::<Credits>(player).0, game.get::<Cargo>(ship).0),
        (10, 40)
    );
    assert_eq!(
        balance(&mut game),
        (100, 100),
        "ore beyond the new hold is left as a rock"
    );
}

#[test]
fn cargo_of_a_destroyed_or_leaving_ship_becomes_a_rock() {
    for dies in [true, false] {
        let mut game = Game::empty();
        let key = game.fly_in(0, Vec2::new(-500.0, -500.0), 0.0);
        let ship = game.ship(key);
        game.set(ship, Cargo(77));
        game.app.world_mut().resource_mut::<OreLedger>().seeded += 77;
        game.set(ship, Condition::default());
        if dies {
            game.set(ship, Hull { now: 1, max: 100 });
            game.set(ship, skirmish_shared::components::Shield::default());
            let shooter = game.drone(3, 0, Vec2::new(-515.0, -500.0), 0.0);
            let gone = (0..400).any(|_| {
                game.tick();
                !game.lives(ship)
            });
            assert!(gone && game.lives(shooter));
        } else {
            let reason = LeaveReason::Client;
            game.worker.announce(ToSimulation::Left { key, reason });
            game.tick();
            game.tick();
        }
        assert!(!game.lives(ship));
        let world = game.app.world_mut();
        let rocks: Vec<u32> = world.query::<&Ore>().iter(world).map(|ore| ore.0).collect();
        assert_eq!(rocks, [77], "dies: {dies}");
    }
}

#[test]
fn ore_of_the_default_scene_is_conserved_while_pilots_mine_and_die() {
    let mut game = Game::new(3, 1, 400, 800);
    let keys: Vec<_> = (0..20).map(|index| game.join(index)).collect();
    for n in 0..300u32 {
        for (index, &key) in keys.iter().enumerate() {
            let input = PilotInput {
                turn: ((n as usize + index * 7) % 100) as i8,
                thrust: 60,
                buttons: PilotInput::MINE,
                ..PilotInput::default()
            };
            game.send(key, game.next(), None, &input);
        }
        game.tick();
        let (present, seeded) = balance(&mut game);
        assert_eq!(present, seeded, "tick {n}");
    }
    let mut holds = game.app.world_mut().query::<&Cargo>();
    let held: u32 = holds.iter(game.app.world()).map(|cargo| cargo.0).sum();
    assert!(held > 0, "no ship mined anything");
}
