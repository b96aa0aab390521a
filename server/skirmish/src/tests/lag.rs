//! Lag compensation: shots at the displayed position.

use glam::Vec2;
use skirmish_shared::components::Hull;
use skirmish_shared::input::PilotInput;
use skirmish_shared::movement::heading_towards;
use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::SessionKey;
use throng_server::input::InputCounters;
use throng_server::simulation::{Frames, REWIND_MAX, Replicated, Seed};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::input::ViewTick;
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};

use super::Game;

/// Returns a direction in the units of inputs.
pub(super) fn yaw(direction: Vec2) -> u16 {
    let heading = Heading(heading_towards(direction));
    Pose::quantize(&Position::default(), &Velocity::default(), &heading).yaw
}

fn position(frame: &Frame, slot: throng_shared::protocol::ids::Slot) -> Vec2 {
    frame.row(slot).unwrap().pose.position().0
}

/// Shoots at a fast target that is displayed `back` ticks late, and returns the number of hits. `claimed` is the
/// age in ticks that the inputs claim for the view; with `None` they claim no view.
fn hits(shots: u32, back: u32, claimed: Option<u32>) -> u32 {
    let mut hits = 0;
    for n in 0..shots {
        let mut game = Game::new(u64::from(n), 1, 0, 0);
        let mut random = Seed(u64::from(n)).of(GlobalId(7), throng_shared::tick::Tick(0));
        let key = game.fly_in(0, Vec2::ZERO, 0.0);
        let target = game.hulk(
            0,
            4,
            Vec2::new(random.within(15.0, 30.0), random.within(-6.0, 6.0)),
        );
        let up = if n % 2 == 0 { 1.0 } else { -1.0 };
        game.set(
            target,
            Velocity(Vec2::new(
                random.within(-6.0, 6.0),
                random.within(20.0, 28.0) * up,
            )),
        );
        (0..back + 2).for_each(|_| drop(game.tick()));
        let slot = game.get::<Replicated>(target).slot().unwrap();
        // The pilot's screen shows a position between two frames, as clients interpolate.
        let now = game.next();
        let fraction = random.within(0.0, 255.0) as u8;
        let seen = now - back;
        let frames = &game.app.world().resource::<Frames>().0;
        let shown = position(frames.at(seen).unwrap(), slot).lerp(
            position(frames.at(seen + 1).unwrap(), slot),
            f32::from(fraction) / 256.0,
        );
        let ship = game.ship(key);
        let direction = shown - game.position(ship);
        game.set(ship, Heading(heading_towards(direction)));
        let input = PilotInput {
            aim: yaw(direction),
            buttons: PilotInput::FIRE,
            ..PilotInput::default()
        };
        let view = claimed.map(|claimed| ViewTick::new(now - claimed, fraction));
        game.send(key, now, view, &input);
        let before = game.strength(target);
        game.tick();
        // The damage arrives in the next tick.
        game.tick();
        hits += u32::from(game.strength(target) < before);
    }
    hits
}

#[test]
fn shots_at_the_displayed_position_hit_at_200_ms() {
    let shots = 200;
    // 200 ms and half a tick of interpolation.
    let compensated = hits(shots, 5, Some(5));
    let plain = hits(shots, 5, None);
    assert!(
        compensated * 100 >= shots * 95,
        "only {compensated} of {shots} hit"
    );
    assert!(plain * 100 < shots * 50, "{plain} of {shots} hit without rewind");
}

#[test]
fn rewind_of_shots_is_capped_at_rewind_max() {
    let shots = 50;
    let farthest = REWIND_MAX.as_millis() as u32 / 50;
    assert!(hits(shots, farthest, Some(farthest)) * 100 >= shots * 95);
    // The target has left the position where it was 1.5 s ago.
    assert_eq!(hits(shots, 30, Some(30)), 0);
}

/// Starts a game with a pilot at the origin and a target behind an asteroid.
fn behind_cover() -> (Game, SessionKey, bevy_ecs::entity::Entity) {
    let mut game = Game::empty();
    let key = game.fly_in(0, Vec2::ZERO, 0.0);
    game.rock(Vec2::new(12.0, 0.0), 3.0, 1);
    let target = game.hulk(0, 4, Vec2::new(24.0, 0.0));
    (0..10).for_each(|_| drop(game.tick()));
    (game, key, target)
}

#[test]
fn shot_through_cover_misses() {
    for back in [None, Some(2), Some(8)] {
        let (mut game, key, target) = behind_cover();
        let before = game.strength(target);
        let now = game.next();
        let input = PilotInput {
            buttons: PilotInput::FIRE,
            ..PilotInput::default()
        };
        let view = back.map(|back| ViewTick::new(now - back, 0));
        game.send(key, now, view, &input);
        (0..2).for_each(|_| drop(game.tick()));
        assert_eq!(game.strength(target), before, "{back:?}");
        // A shot past the rock's edge hits.
        let ship = game.ship(key);
        game.set(ship, Position(Vec2::new(0.0, 9.0)));
        let direction = game.position(target) - Vec2::new(0.0, 9.0);
        game.set(ship, Heading(heading_towards(direction)));
        // A missing input would repeat the shot. The gun is ready after two cooldowns.
        game.send(key, game.next(), None, &PilotInput::default());
        (0..12).for_each(|_| drop(game.tick()));
        let before = game.strength(target);
        let input = PilotInput {
            aim: yaw(direction),
            ..input
        };
        game.send(key, game.next(), None, &input);
        (0..2).for_each(|_| drop(game.tick()));
        assert!(game.strength(target) < before, "{back:?}");
        assert!(game.get::<Hull>(target).now > 0);
    }
}

#[test]
fn claimed_views_of_the_future_and_of_long_ago_are_limited_and_counted() {
    let (mut game, key, target) = behind_cover();
    let now = game.next();
    let input = PilotInput {
        buttons: PilotInput::FIRE,
        ..PilotInput::default()
    };
    game.send(key, now, Some(ViewTick::new(now + 100, 9)), &input);
    let before = game.strength(target);
    (0..2).for_each(|_| drop(game.tick()));
    assert_eq!(game.strength(target), before);
    let limited = |game: &Game| game.app.world().resource::<InputCounters>().views_limited;
    assert_eq!(limited(&game), 1);
    let now = game.next() + 12;
    (0..12).for_each(|_| drop(game.tick()));
    game.send(key, now, Some(ViewTick::new(now - 60, 0)), &input);
    (0..2).for_each(|_| drop(game.tick()));
    assert_eq!(limited(&game), 2);
    assert_eq!(game.strength(target), before);
}
