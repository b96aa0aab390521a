//! Clients that break the rules gain no advantage.

use glam::Vec2;
use skirmish_shared::input::PilotInput;
use throng_server::boundary::link::{SessionKey, ToSimulation};
use throng_server::input::InputCounters;
use throng_shared::protocol::input::{InputBytes, ViewTick};
use throng_shared::protocol::pose::Velocity;

use super::lag::yaw;
use super::{Game, pressing, shot};

/// Returns the damage that a target takes in ten seconds while `play` sends inputs, possibly several in one tick.
fn damage(play: impl Fn(&mut Game, SessionKey)) -> u32 {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    let target = game.hulk(2, 4, Vec2::new(15.0, 0.0));
    // Enough hull points to survive, so that every hit counts.
    game.set(target, skirmish_shared::components::Hull::whole(60_000));
    game.set(target, skirmish_shared::components::Shield::default());
    game.tick();
    let before = game.strength(target);
    for _ in 0..200 {
        play(&mut game, key);
        game.tick();
    }
    before - game.strength(target)
}

#[test]
fn firing_faster_than_the_cooldown_deals_no_more_damage() {
    let honest = damage(|game, key| game.send(key, game.next(), None, &pressing(PilotInput::FIRE)));
    assert_eq!(honest, 200 / 5 * shot());
    let spamming = damage(|game, key| {
        for n in 0..20 {
            game.send(key, game.next() + n % 4, None, &pressing(PilotInput::FIRE));
        }
    });
    assert_eq!(spamming, honest);
    // Releasing and pressing again does not reset the gun.
    let tapping = damage(|game, key| {
        let held = u8::from(game.ticks.is_multiple_of(2)) * PilotInput::FIRE;
        game.send(key, game.next(), None, &pressing(held));
    });
    assert!(tapping <= honest, "{tapping} > {honest}");
}

#[test]
fn claimed_view_in_the_future_or_distant_past_deals_no_more_damage() {
    let honest = damage(|game, key| game.send(key, game.next(), None, &pressing(PilotInput::FIRE)));
    for offset in [1, 40, 30_000, u32::MAX - 50, u32::MAX - 30_000] {
        let claimed = damage(|game, key| {
            let now = game.next();
            game.send(
                key,
                now,
                Some(ViewTick::new(now + offset, 255)),
                &pressing(PilotInput::FIRE),
            );
        });
        assert_eq!(claimed, honest, "offset {offset}");
    }
}

/// Returns the input counters after ten seconds in which `play` sends inputs.
fn counted(play: impl Fn(&mut Game, SessionKey)) -> InputCounters {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    for _ in 0..200 {
        play(&mut game, key);
        game.tick();
    }
    *game.app.world().resource::<InputCounters>()
}

#[test]
fn dishonest_inputs_are_counted() {
    let fire = pressing(PilotInput::FIRE);
    let honest = counted(|game, key| game.send(key, game.next(), None, &fire));
    assert_eq!(honest.kept, 200);
    let cheats = |counters: InputCounters| {
        counters.duplicate + counters.late + counters.early + counters.views_limited
    };
    assert_eq!(cheats(honest), 0);
    let many = counted(|game, key| (0..3).for_each(|_| game.send(key, game.next(), None, &fire)));
    assert_eq!((many.kept, many.duplicate), (200, 400));
    let for_the_past = counted(|game, key| game.send(key, game.next() - 3, None, &fire));
    assert_eq!((for_the_past.kept, for_the_past.late), (0, 200));
    let for_later = counted(|game, key| game.send(key, game.next() + 500, None, &fire));
    assert_eq!((for_later.kept, for_later.early), (0, 200));
    let future_views = counted(|game, key| {
        let now = game.next();
        game.send(key, now, Some(ViewTick::new(now + 5, 0)), &fire);
    });
    assert_eq!((future_views.kept, future_views.views_limited), (200, 200));
}

#[test]
fn target_out_of_range_or_arc_is_not_hit_by_any_aim() {
    let rules = Game::empty().rules().content.clone();
    let farthest = rules
        .lasers
        .iter()
        .map(|laser| laser.range.get())
        .fold(0.0, f32::max);
    assert!(farthest < rules.space.view.get(), "a laser reaches out of view");
    for (position, hits) in [
        (Vec2::new(15.0, 0.0), true),
        (Vec2::new(50.0, 0.0), false),
        (Vec2::new(-15.0, 0.0), false),
        (Vec2::new(0.0, 15.0), false),
    ] {
        let mut game = Game::empty();
        let key = game.fly_in(0, Vec2::ZERO, 0.0);
        let target = game.hulk(2, 4, position);
        game.tick();
        let before = game.strength(target);
        for _ in 0..40 {
            let aim = yaw(position);
            let input = PilotInput {
                aim,
                ..pressing(PilotInput::FIRE)
            };
            game.send(key, game.next(), None, &input);
            game.tick();
        }
        assert_eq!(game.strength(target) < before, hits, "a target at {position}");
    }
}

/// Returns the farthest distance that a ship reaches in five seconds while `play` sends inputs.
fn distance(play: impl Fn(&mut Game, SessionKey)) -> f32 {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    let ship = game.ship(key);
    for _ in 0..100 {
        play(&mut game, key);
        game.tick();
        assert!(
            game.get::<Velocity>(ship).0.length() <= 51.1,
            "faster than any boost"
        );
    }
    game.position(ship).length()
}

#[test]
fn invalid_input_bytes_move_no_ship_faster() {
    let boosting = PilotInput {
        thrust: 100,
        buttons: PilotInput::BOOST,
        ..PilotInput::default()
    };
    let honest = distance(|game, key| game.send(key, game.next(), None, &boosting));
    let many = distance(|game, key| {
        for _ in 0..30 {
            game.send(key, game.next(), None, &boosting);
        }
    });
    assert_eq!(many, honest);
    // Bypasses the worker's validation, as if it were incomplete, and sends invalid values of all bytes.
    let raw = distance(|game, key| {
        for value in 0..=255u8 {
            game.worker.input(ToSimulation::Input {
                key,
                tick: game.next(),
                view: None,
                arrived_at: std::time::Duration::ZERO,
                bytes: InputBytes::new(&[127, 127, value, value, value]).unwrap(),
            });
        }
    });
    assert!(raw <= honest, "{raw} > {honest}");
}

#[test]
fn station_orders_of_undocked_ships_and_noise_do_nothing() {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    for noise in [&[][..], &[3, 0], &[3, 0, 200, 1, 2, 3], &[255; 40]] {
        for channel in 0..4 {
            game.worker.announce(ToSimulation::Message {
                key,
                channel: throng_shared::protocol::ids::ChannelId(channel),
                bytes: noise.to_vec().into(),
            });
        }
    }
    let ship = game.ship(key);
    let before = game.strength(ship);
    game.tick();
    assert_eq!(game.strength(ship), before);
    assert_eq!(game.id(ship), game.id(game.ship(key)));
}
