//! Games in three dimensions: prediction, interpolation, checkpoints and the past.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use glam::{Quat, Vec3};
use serde::{Deserialize, Serialize};
use throng_client::predict::PredictionErrors;
use throng_client::prelude::*;
use throng_server::prelude::*;
use throng_server::runner::TickTime;

use super::fixtures::{avatar, lossy, welcome};
use super::*;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Stick {
    thrust: i8,
    turn: [i8; 3],
}
impl PlayerInput for Stick {}

fn protocol(app: &mut App) {
    app.poses_3d(Quanta3d::default());
    app.input::<Stick>();
    app.predicted::<Position3d>()
        .predicted::<Velocity3d>()
        .predicted::<Rotation3d>();
}

/// One tick of a ship, as both ends run it. It knows nothing of quanta.
fn step(
    stick: &Stick,
    (position, velocity, rotation): (&mut Position3d, &mut Velocity3d, &mut Rotation3d),
    dt: f32,
) {
    let turn = Vec3::from_array(stick.turn.map(f32::from)) * 0.03;
    rotation.0 = (rotation.0 * Quat::from_scaled_axis(turn * dt)).normalize();
    velocity.0 += rotation.0 * Vec3::NEG_Z * f32::from(stick.thrust) * 0.1 * dt;
    velocity.0 *= 0.98;
    position.0 += velocity.0 * dt;
}

fn steer(
    players: Query<(&Avatar, &ActiveInput<Stick>)>,
    mut ships: Query<(&mut Position3d, &mut Velocity3d, &mut Rotation3d)>,
    time: Res<TickTime>,
) {
    for (avatar, stick) in &players {
        if let Ok((mut position, mut velocity, mut rotation)) = ships.get_mut(avatar.0) {
            let ship = (&mut *position, &mut *velocity, &mut *rotation);
            step(&stick.input, ship, time.length.as_secs_f32());
        }
    }
}

fn server(app: &mut App) {
    app.add_plugins(protocol).add_systems(
        FixedUpdate,
        (welcome, steer).chain().in_set(ServerSystems::Simulate),
    );
}

fn predict(
    mut own: Query<
        (
            &mut Present<Position3d>,
            &mut Present<Velocity3d>,
            &mut Present<Rotation3d>,
        ),
        With<Own>,
    >,
    stick: Res<PredictedInput<Stick>>,
) {
    for (mut position, mut velocity, mut rotation) in &mut own {
        let ship = (&mut position.0, &mut velocity.0, &mut rotation.0);
        step(&stick.0, ship, 0.05);
    }
}

fn controls(protocol: Res<Protocol>, mut next: ResMut<NextInput>, mut frame: Local<u32>) -> Result {
    *frame += 1;
    let phase = *frame / 7;
    let turn = [0, 1, 2].map(|axis| ((phase + axis) % 5) as i8 * 30 - 60);
    let thrust = (phase % 3) as i8 * 50;
    next.set(&protocol, &Stick { thrust, turn })?;
    Ok(())
}

fn client(app: &mut App) {
    app.add_plugins(protocol)
        .predict_by::<Stick>()
        .predict_shown::<Position3d>(POSITION_SMOOTHING)
        .predict_shown::<Rotation3d>(HEADING_SMOOTHING)
        .predict::<Velocity3d>()
        .add_systems(PredictTick, predict)
        .add_systems(bevy_app::PreUpdate, controls.in_set(ClientSystems::Input));
}

#[test]
fn a_step_in_space_is_never_corrected_on_a_perfect_line() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", client);
    game.run(640);
    let errors = game.world(ada).resource::<PredictionErrors>();
    assert!(errors.compared() > 500, "{} compared", errors.compared());
    assert_eq!(errors.corrected(), 0, "of {}", errors.compared());
    let own = avatar(&mut game, ada);
    let flown = game.server().get::<Position3d>(own).unwrap().0;
    assert!(
        flown.length() > 5.0 && flown.y.abs() > 0.5,
        "the ship is at {flown}"
    );
    let rotation = game.server().get::<Rotation3d>(own).unwrap().0;
    assert!(rotation.angle_between(Quat::IDENTITY) > 0.1, "{rotation}");
}

/// Turns by this much in every tick, about an axis that tips over.
#[derive(Component)]
struct Tumbling(f32);

fn tumble(mut tumbling: Query<(&Tumbling, &mut Rotation3d, &mut Position3d)>, time: Res<TickTime>) {
    for (Tumbling(angle), mut rotation, mut position) in &mut tumbling {
        let tick = time.tick.0 as f32;
        let axis = Vec3::new(1.0, (tick * 0.05).sin(), (tick * 0.03).cos()).normalize();
        rotation.0 = (Quat::from_axis_angle(axis, *angle) * rotation.0).normalize();
        position.0.y += 0.1;
    }
}

#[test]
fn a_rotation_is_shown_turning_the_short_way() {
    for seed in 1..=3 {
        let config = LocalConfig {
            seed,
            frames_per_tick: 4.try_into().unwrap(),
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, |app: &mut App| {
            app.add_plugins(protocol).add_systems(
                FixedUpdate,
                (welcome, tumble).chain().in_set(ServerSystems::Simulate),
            );
        });
        let angles = [0.05, 0.4, 1.2];
        for angle in angles {
            game.server().spawn((Replicated::default(), Tumbling(angle)));
        }
        let ada = game.join("Ada", |app: &mut App| {
            app.add_plugins(protocol)
                .interpolate::<Rotation3d>(HEADING_INTERPOLATION)
                .interpolate::<Position3d>(POSITION_INTERPOLATION);
        });
        game.set_line(ada, lossy(0.02));
        game.run(40);
        let (mut before, mut compared) = (std::collections::HashMap::new(), 0);
        game.run_with(200, |game| {
            let world = game.world(ada);
            let mut shown = world.query::<(Entity, &Shown<Rotation3d>, &Shown<Position3d>)>();
            for (entity, rotation, position) in shown.iter(world) {
                assert!(
                    (rotation.0.0.length() - 1.0).abs() < 1e-4,
                    "seed {seed}: {rotation:?}"
                );
                let now = (rotation.0.0, position.0.0.y);
                if let Some((then, height)) = before.insert(entity, now) {
                    let turn: f32 = now.0.angle_between(then);
                    // A frame is a quarter of a tick; a smoothed correction adds to it.
                    assert!(turn < 0.7, "seed {seed}: {turn} radians in a frame");
                    assert!(now.1 >= height - 1e-3, "seed {seed}: it rises");
                    compared += 1;
                }
            }
        });
        assert!(compared > 2_000, "seed {seed}: {compared}");
    }
}

#[test]
fn the_past_has_heights_and_rotations() {
    let mut game = LocalGame::new(|app: &mut App| {
        app.add_plugins(protocol)
            .add_systems(FixedUpdate, tumble.in_set(ServerSystems::Simulate));
    });
    let entity = game.server().spawn((Replicated::default(), Tumbling(0.2))).id();
    game.run(20);
    fixtures::say(&mut game, move |rewind: Rewind, time: Res<TickTime>| {
        let height = |tick, fraction| rewind.position_3d(entity, tick, fraction).unwrap().y;
        let (newest, before) = (time.tick, time.tick - 10);
        let difference = height(newest, 0.0) - height(before, 0.0);
        assert!((difference - 1.0).abs() < 0.02, "{difference}");
        let half = height(before, 0.5) - height(before, 0.0);
        assert!((half - 0.05).abs() < 0.02, "{half}");
        let rotation = |tick, fraction| rewind.rotation_3d(entity, tick, fraction).unwrap();
        let turn = rotation(before, 0.0).angle_between(rotation(before, 0.5));
        assert!((turn - 0.1).abs() < 0.02, "{turn}");
        assert_eq!(rewind.pose_3d(Entity::PLACEHOLDER, newest), None);
    });
}

#[test]
fn nearby_goes_by_distances_in_space_from_a_place_with_a_height() {
    let mut game = LocalGame::new(protocol);
    let mut random = Random::new(5);
    let places: Vec<Vec3> = (0..200)
        .map(|_| Vec3::from_array(std::array::from_fn(|_| random.within(-30.0, 30.0))))
        .collect();
    for &place in &places {
        game.server().spawn((Replicated::default(), Position3d(place)));
    }
    game.run(2);
    fixtures::say(&mut game, move |mut nearby: Nearby| {
        for centre in [Vec3::ZERO, Vec3::new(5.0, 28.0, -3.0), Vec3::new(100.0, 0.0, 0.0)] {
            let mut expected: Vec<f32> = places.iter().map(|place| place.distance(centre)).collect();
            expected.sort_unstable_by(f32::total_cmp);
            let is_near = |(one, other): (&f32, &f32)| (one - other).abs() < 0.02;
            let within: Vec<f32> = nearby.within(centre, 20.0).map(|near| near.distance).collect();
            let count = expected.iter().filter(|&&distance| distance <= 20.0).count();
            assert!(
                within.len().abs_diff(count) <= 1,
                "{} of {count} at {centre}",
                within.len()
            );
            assert!(
                within.iter().zip(&expected).all(is_near),
                "{within:?} at {centre}"
            );
            for count in [1, 7, 300] {
                let nearest: Vec<_> = nearby.nearest(centre, count, f32::INFINITY).collect();
                assert_eq!(nearest.len(), count.min(200), "at {centre}");
                let distances: Vec<f32> = nearest.iter().map(|near| near.distance).collect();
                assert!(
                    distances.iter().zip(&expected).all(is_near),
                    "{distances:?} at {centre}"
                );
                let at = Vec3::new(nearest[0].position.x, nearest[0].height, nearest[0].position.y);
                assert!((at.distance(centre) - expected[0]).abs() < 0.02, "{at}");
            }
            assert_eq!(nearby.nearest(centre, 3, f32::NAN).count(), 0);
        }
        let column = places
            .iter()
            .filter(|place| place.x.hypot(place.z) <= 10.0)
            .count();
        let found = nearby.within(glam::Vec2::ZERO, 10.0).count();
        assert!(found.abs_diff(column) <= 1, "{found} of {column} in the column");
    });
}
