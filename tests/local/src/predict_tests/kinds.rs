//! A game that predicts every kind of value that is sent with fewer digits, on perfect and on lossy lines.

use std::f32::consts::TAU;
use std::time::Duration;

use bevy_app::{App, FixedUpdate, PreUpdate};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::link::LinkConditions;
use throng_client::predict::{
    HEADING_SMOOTHING, POSITION_SMOOTHING, PredictAppExt, PredictTick, PredictTime, Predicted,
    PredictedInput, PredictionErrors, Present,
};
use throng_client::schedule::ClientSystems;
use throng_client::world::{InputHistory, Mirrored, NextInput, Own};
use throng_server::prelude::*;
use throng_shared::protocol::active::TakenInput;

use super::{COMPARED, avatar, corrected_of, welcome};
use crate::LocalGame;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Yoke {
    turn: i8,
    thrust: i8,
}
impl PlayerInput for Yoke {}

/// Two numbers that are sent in steps.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
struct Turret([f32; 2]);

impl From<&Turret> for [f32; 2] {
    fn from(turret: &Turret) -> Self {
        turret.0
    }
}

impl From<[f32; 2]> for Turret {
    fn from(numbers: [f32; 2]) -> Self {
        Self(numbers)
    }
}

/// A number that is sent in a format of the game's own.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
struct Heat(f32);

/// A number that is sent with all its digits.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Fuel(f32);

/// On a ball that clients predict although it is no avatar.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ball;

/// Where avatars begin.
#[derive(Resource, Clone, Copy)]
struct Start(Vec2, Vec2);

fn protocol(app: &mut App) {
    app.input::<Yoke>();
    app.replicate_with::<Turret>(Delta::<2>::quantized(0.01));
    app.replicate_with(Custom {
        name: "1/200",
        encode: |heat: &Heat, out| out.push((heat.0.clamp(0.0, 1.0) * 200.0) as u8),
        decode: |bytes| match bytes {
            [steps @ 0..=200] => Some(Heat(f32::from(*steps) / 200.0)),
            _ => None,
        },
    });
    app.replicate::<Fuel>();
    app.replicate::<Ball>();
    app.predicted::<Position>()
        .predicted::<Velocity>()
        .predicted::<Heading>()
        .predicted::<Turret>()
        .predicted::<Heat>();
}

/// What a step moves, at either end.
struct MovedParts<'a> {
    position: &'a mut Position,
    velocity: &'a mut Velocity,
    heading: &'a mut Heading,
    turret: &'a mut Turret,
    heat: &'a mut Heat,
    fuel: &'a mut Fuel,
}

/// A step with digits of any number: nothing in it knows what is sent. The heading turns past half a turn again and again.
fn step(body: MovedParts<'_>, controls: &Yoke, seconds: f32) {
    let (turn, thrust) = (
        f32::from(controls.turn) / 127.0,
        f32::from(controls.thrust) / 127.0,
    );
    body.heading.0 += (0.7 + turn) * 2.3 * seconds;
    // A polynomial in place of a sine, which is not the same on every machine.
    let phase = (body.heading.0 / TAU).fract();
    let push = Vec2::new(1.0 - 4.0 * phase.abs(), phase) * thrust * 31.7 * seconds;
    body.velocity.0 = body.velocity.0 * 0.977 + push;
    body.position.0 += body.velocity.0 * seconds;
    // Beside the wall the velocity along x is negative zero.
    if body.position.0.x < -40.0 {
        body.velocity.0.x *= -0.0;
    }
    body.turret.0[0] += turn * 0.033_3;
    body.turret.0[1] = body.turret.0[1] * 0.97 - thrust * 0.2;
    body.heat.0 = (body.heat.0 * 0.98 + thrust.abs() * 0.03).min(1.0);
    body.fuel.0 = body.fuel.0 * 0.999 + 0.1;
}

fn roll(position: &mut Position, velocity: &Velocity, seconds: f32) {
    position.0 += velocity.0 * 0.317 * seconds;
}

type Steered<'a> = (
    &'a mut Position,
    &'a mut Velocity,
    &'a mut Heading,
    &'a mut Turret,
    &'a mut Heat,
    &'a mut Fuel,
);

fn steer(
    players: Query<(&Avatar, &ActiveInput<Yoke>)>,
    mut bodies: Query<Steered, Without<Ball>>,
    mut balls: Query<(&mut Position, &Velocity), With<Ball>>,
    time: Res<TickTime>,
) {
    let seconds = time.length.as_secs_f32();
    for (avatar, controls) in &players {
        if let Ok((mut position, mut velocity, mut heading, mut turret, mut heat, mut fuel)) =
            bodies.get_mut(avatar.0)
        {
            let body = MovedParts {
                position: &mut position,
                velocity: &mut velocity,
                heading: &mut heading,
                turret: &mut turret,
                heat: &mut heat,
                fuel: &mut fuel,
            };
            step(body, &controls.input, seconds);
        }
    }
    for (mut position, velocity) in &mut balls {
        roll(&mut position, velocity, seconds);
    }
}

fn equip(
    fresh: Query<Entity, (Added<Replicated>, Without<Ball>)>,
    start: Res<Start>,
    mut commands: Commands,
) {
    for entity in &fresh {
        commands.entity(entity).insert((
            Position(start.0),
            Velocity(start.1),
            Turret::default(),
            Heat::default(),
            Fuel::default(),
        ));
    }
}

type Present6<'a> = (
    &'a mut Present<Position>,
    &'a mut Present<Velocity>,
    &'a mut Present<Heading>,
    &'a mut Present<Turret>,
    &'a mut Present<Heat>,
    &'a mut Present<Fuel>,
);

fn fly(
    mut own: Query<Present6, With<Own>>,
    mut balls: Query<(&mut Present<Position>, &Present<Velocity>), (With<Ball>, Without<Own>)>,
    controls: Res<PredictedInput<Yoke>>,
    time: Res<PredictTime>,
) {
    let seconds = time.length.as_secs_f32();
    for (mut position, mut velocity, mut heading, mut turret, mut heat, mut fuel) in &mut own {
        let body = MovedParts {
            position: &mut position.0,
            velocity: &mut velocity.0,
            heading: &mut heading.0,
            turret: &mut turret.0,
            heat: &mut heat.0,
            fuel: &mut fuel.0,
        };
        step(body, &controls.0, seconds);
    }
    for (mut position, velocity) in &mut balls {
        roll(&mut position.0, &velocity.0, seconds);
    }
}

/// Marks the ball as predicted.
fn predict_balls(
    fresh: Query<Entity, (With<Ball>, With<Mirrored>, Without<Predicted>)>,
    mut commands: Commands,
) {
    for entity in &fresh {
        commands.entity(entity).insert(Predicted::default());
    }
}

/// Yoke that change in most frames, by a generator of numbers.
fn control(protocol: Res<Protocol>, mut next: ResMut<NextInput>, mut state: Local<u64>) -> Result {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let [.., turn, thrust] = state.to_be_bytes().map(|byte| byte as i8);
    let (turn, thrust) = (turn.max(-127), thrust.max(-127));
    Ok(next.set(&protocol, &Yoke { turn, thrust })?)
}

fn server(start: Start) -> impl Fn(&mut App) + Send + Sync + 'static {
    move |app| {
        app.add_plugins(protocol).insert_resource(start).add_systems(
            FixedUpdate,
            (welcome, equip, steer).chain().in_set(ServerSystems::Simulate),
        );
    }
}

fn client(app: &mut App) {
    app.add_plugins(protocol)
        .predict_by::<Yoke>()
        .predict_shown::<Position>(POSITION_SMOOTHING)
        .predict_shown::<Heading>(HEADING_SMOOTHING)
        .predict::<Velocity>()
        .predict::<Turret>()
        .predict::<Heat>()
        .predict::<Fuel>()
        .add_systems(PredictTick, fly)
        .add_systems(
            PreUpdate,
            (
                control.in_set(ClientSystems::Input),
                predict_balls
                    .after(ClientSystems::Receive)
                    .before(ClientSystems::Predict),
            ),
        );
}

fn drop_ball(game: &mut LocalGame) {
    game.server().spawn((
        Replicated::default(),
        Ball,
        Rounded,
        Position(Vec2::new(1.0, 2.0)),
        Velocity(Vec2::new(0.913, 0.111)),
    ));
}

#[test]
fn every_kind_of_value_is_predicted_to_the_bit_on_a_perfect_line() {
    // Inside, at the wall, where an f32 has fewer digits than are sent, and at the ends of the ranges.
    let starts = [
        (Vec2::ZERO, Vec2::ZERO),
        (Vec2::new(-39.9, 3.3), Vec2::new(-7.77, 0.0)),
        (Vec2::new(150_000.3, 250_000.7), Vec2::new(11.1, -3.3)),
        (
            Vec2::new(21_474_830.0, -21_474_830.0),
            Vec2::new(1_630.0, -1_630.0),
        ),
    ];
    for (at, velocity) in starts {
        for frames_per_tick in [1, 3] {
            let case = format!("from {at} with {velocity}, {frames_per_tick} frames a tick");
            let config = crate::LocalConfig {
                frames_per_tick: frames_per_tick.try_into().unwrap(),
                ..Default::default()
            };
            let mut game = LocalGame::with_config(config, server(Start(at, velocity)));
            let ada = game.join("Ada", client);
            let is_near = at == Vec2::ZERO;
            if is_near {
                drop_ball(&mut game);
            }
            assert_eq!(corrected_of(&mut game, ada, COMPARED), 0, "{case}");
            let avatar = avatar(&mut game, ada);
            let turned = game.server().get::<Heading>(avatar).unwrap().0;
            assert!(turned.abs() <= TAU / 2.0, "{case}: the heading is {turned}");
            let world = game.world(ada);
            let balls = world
                .query_filtered::<&Present<Position>, With<Ball>>()
                .iter(world)
                .count();
            assert_eq!(balls, usize::from(is_near), "{case}");
        }
    }
}

/// The ticks in which the server had another input of the avatar's player than the client gave for them.
fn missing_inputs(game: &mut LocalGame, ada: crate::LocalPlayer, given: &InputHistory) -> u64 {
    let tick = game.server().resource::<TickTime>().tick;
    let player = game.player(ada).unwrap();
    let taken = game.server().get::<TakenInput>(player).unwrap().bytes;
    u64::from(taken.unwrap_or_default() != given.at(tick))
}

#[test]
fn on_a_lossy_line_only_missing_inputs_are_corrected() {
    for seed in [1, 2] {
        for loss in [0.05, 0.3] {
            let case = format!("seed {seed}, loss {loss}");
            let config = crate::LocalConfig {
                seed,
                ..Default::default()
            };
            let mut game = LocalGame::with_config(config, server(Start(Vec2::ZERO, Vec2::ZERO)));
            let ada = game.join("Ada", client);
            game.set_line(
                ada,
                LinkConditions {
                    latency: Duration::from_millis(75),
                    jitter: Duration::from_millis(10),
                    loss,
                    ..LinkConditions::PERFECT
                },
            );
            game.run(100);
            let counts = |game: &mut LocalGame| {
                let errors = game.world(ada).resource::<PredictionErrors>();
                (errors.compared(), errors.corrected())
            };
            let before = counts(&mut game);
            let mut missing = 0;
            for _ in 0..COMPARED {
                let given = game.world(ada).resource::<InputHistory>().clone();
                game.run(1);
                missing += missing_inputs(&mut game, ada, &given);
            }
            let after = counts(&mut game);
            let (compared, corrected) = (after.0 - before.0, after.1 - before.1);
            assert!(compared > 300, "{case}: {compared} states compared");
            // The first states after the conditions changed may be of inputs that were missing before.
            assert!(
                corrected <= missing + 3,
                "{case}: {corrected} of {compared} predictions corrected, {missing} inputs missing"
            );
        }
    }
}
