//! Games in three dimensions: poses in space at clients, over lossy lines.

use std::collections::HashMap;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use glam::{Quat, Vec2, Vec3};
use throng_client::prelude::Mirrored;
use throng_server::prelude::*;
use throng_server::runner::TickTime;
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::random::Random;

use super::fixtures::{avatar, global, lossy, welcome};
use super::*;

/// Turns about an axis of its own while it flies where it points.
#[derive(Component)]
struct Flyer {
    turn: Vec3,
    speed: f32,
}

fn quanta() -> Quanta3d {
    Quanta3d::new(0.02, 0.1, 11)
}

fn protocol(app: &mut App) {
    app.poses_3d(quanta());
}

fn server(app: &mut App) {
    app.add_plugins(protocol).add_systems(
        FixedUpdate,
        (welcome, fly).chain().in_set(ServerSystems::Simulate),
    );
}

fn fly(mut flyers: Query<(&Flyer, &mut Position3d, &mut Velocity3d, &mut Rotation3d)>, time: Res<TickTime>) {
    let dt = time.length.as_secs_f32();
    for (flyer, mut position, mut velocity, mut rotation) in &mut flyers {
        rotation.0 = (Quat::from_scaled_axis(flyer.turn * dt) * rotation.0).normalize();
        velocity.0 = rotation.0 * Vec3::NEG_Z * flyer.speed;
        position.0 += velocity.0 * dt;
    }
}

/// Spawns flyers around the origin.
fn spawn_flyers(game: &mut LocalGame, count: usize, random: &mut Random) {
    for _ in 0..count {
        let mut vector =
            |size: f32| Vec3::from_array(std::array::from_fn(|_| random.signed_unit() * size / 2.0));
        let (place, turn) = (vector(30.0), vector(3.0));
        let speed = random.within(0.0, 10.0);
        game.server()
            .spawn((Replicated::default(), Flyer { turn, speed }, Position3d(place)));
    }
}

/// Returns the poses of all entities at the server, in quanta.
fn poses(game: &mut LocalGame) -> HashMap<GlobalId, Pose3d> {
    let world = game.server();
    let mut query = world.query::<(&Replicated, &Position3d, &Velocity3d, &Rotation3d)>();
    let all = query.iter(world);
    all.map(|(replicated, position, velocity, rotation)| {
        (
            replicated.global(),
            quanta().quantize(position, velocity, rotation),
        )
    })
    .collect()
}

#[test]
fn clients_see_poses_in_space_exactly_as_they_were_at_some_tick() {
    for seed in 1..=4 {
        let config = LocalConfig {
            seed,
            ..LocalConfig::default()
        };
        let mut game = LocalGame::with_config(config, server);
        let mut random = Random::new(seed);
        spawn_flyers(&mut game, 40, &mut random);
        let ada = game.join("Ada", protocol);
        game.set_line(ada, lossy(0.1));
        let mut sent: HashMap<(u32, GlobalId), Pose3d> = HashMap::new();
        let (mut compared, mut newest) = (0, 0);
        for _ in 0..300 {
            game.run(1);
            let tick = game.server().resource::<TickTime>().tick;
            sent.extend(
                poses(&mut game)
                    .into_iter()
                    .map(|(global, pose)| ((tick.0, global), pose)),
            );
            let world = game.world(ada);
            let mut mirrored = world.query::<(&Mirrored, &GlobalId, &Position3d, &Velocity3d, &Rotation3d)>();
            for (mirrored, global, position, velocity, rotation) in mirrored.iter(world) {
                // What has not changed since the client joined was not recorded.
                let Some(expected) = sent.get(&(mirrored.tick.0, *global)) else {
                    continue;
                };
                let (at, to, turned) = quanta().components(expected);
                assert_eq!(
                    (*position, *velocity, *rotation),
                    (at, to, turned),
                    "seed {seed}, {global}"
                );
                compared += 1;
                newest = newest.max(mirrored.tick.0);
            }
        }
        assert!(
            compared > 5_000 && newest > 250,
            "seed {seed}: {compared} up to {newest}"
        );
    }
}

#[test]
fn the_position_on_the_plane_is_the_ground_below() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", protocol);
    let own = avatar(&mut game, ada);
    game.server().get_mut::<Position3d>(own).unwrap().0 = Vec3::new(1.0, 9.0, -2.0);
    game.run(3);
    assert_eq!(
        game.server().get::<Position>(own).unwrap().0,
        Vec2::new(1.0, -2.0)
    );
    let player = game.player(ada).unwrap();
    assert_eq!(game.server().get::<Eye>(player).unwrap().0, Vec2::new(1.0, -2.0));
    let world = game.world(ada);
    let mut seen = world.query::<(&Position, &Position3d)>();
    let (ground, position) = seen.single(world).unwrap();
    assert_eq!(
        (ground.0, position.0),
        (Vec2::new(1.0, -2.0), Vec3::new(1.0, 9.0, -2.0))
    );
}

/// Returns by how much each entity is within a view of this radius, from -1 at the eye over 0 at the border to more outside,
/// as the formula of the docs says it.
fn depth(eye: Vec3, at: Vec3, radius: f32, height: Option<f32>) -> f32 {
    let offset = at - eye;
    let across = Vec2::new(offset.x, offset.z).length() / radius;
    let distance = match height {
        None => offset.length() / radius,
        Some(height) => across.max(offset.y.abs() / (height / 2.0)),
    };
    distance - 1.0
}

/// Flies many entities about a player, and compares what it sees with the formula in every tick.
fn check_views(height: Option<f32>, seed: u64) {
    const RADIUS: f32 = 14.0;
    let config = LocalConfig {
        seed,
        ..LocalConfig::default()
    };
    let mut game = LocalGame::with_config(config, server);
    let mut random = Random::new(seed);
    spawn_flyers(&mut game, 120, &mut random);
    let ada = game.join("Ada", protocol);
    let (own, player) = (avatar(&mut game, ada), game.player(ada).unwrap());
    game.server().entity_mut(player).insert(Viewer { radius: RADIUS });
    if let Some(height) = height {
        game.server().entity_mut(player).insert(ViewHeight(height));
    }
    let turn = Vec3::new(0.3, 0.7, -0.4);
    game.server().entity_mut(own).insert(Flyer { turn, speed: 6.0 });
    game.run(10);
    let (mut inside, mut outside, mut above) = (0, 0, 0);
    for _ in 0..300 {
        game.run(1);
        let seen: Vec<GlobalId> = {
            let world = game.world(ada);
            let mut mirrored = world.query_filtered::<&GlobalId, With<Mirrored>>();
            mirrored.iter(world).copied().collect()
        };
        let eye = quanta().position_of(&poses(&mut game)[&global(&mut game, own)]).0;
        for (other, pose) in poses(&mut game) {
            let at = quanta().position_of(&pose).0;
            let depth = depth(eye, at, RADIUS, height);
            let is_seen = seen.contains(&other);
            assert!(
                is_seen || depth > -1e-3,
                "seed {seed}: {other} at {depth} is not seen"
            );
            assert!(
                !is_seen || depth < 0.1 + 1e-3,
                "seed {seed}: {other} at {depth} is seen"
            );
            (inside, outside) = (inside + u32::from(is_seen), outside + u32::from(!is_seen));
            let across = Vec2::new(at.x - eye.x, at.z - eye.z).length();
            above += u32::from(!is_seen && across < RADIUS * 0.9);
        }
    }
    assert!(
        inside > 2_000 && outside > 2_000 && above > 300,
        "seed {seed}: {inside} seen, {outside} not, {above} of them above or below"
    );
}

#[test]
fn a_viewer_sees_a_sphere() {
    (1..=3).for_each(|seed| check_views(None, seed));
}

#[test]
fn a_viewer_with_a_height_sees_a_cylinder() {
    (1..=3).for_each(|seed| check_views(Some(12.0), seed));
    // Higher than wide.
    check_views(Some(40.0), 4);
}
