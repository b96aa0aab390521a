//! Physics with avian2d: players push crates around in a walled yard. Run it as a server, or with `-- play Ada` as
//! a client that pushes the nearest crates.
//!
//! Avian moves its bodies inside `ServerSystems::Simulate`, in a schedule of its own. The results are copied into
//! the components that Throng replicates, so clients need no physics. The same inputs give the same result: avian
//! runs on one thread, with `enhanced-determinism`, and bodies are spawned in the order of ticks.

use std::time::Duration;

use avian2d::prelude::{self as avian, AngularDamping, Collider, Gravity, LinearDamping, LinearVelocity};
use avian2d::prelude::{PhysicsPlugins, RigidBody, Rotation, Sleeping};
use bevy_app::{ScheduleRunnerPlugin, TerminalCtrlCHandlerPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_server::prelude::*;

/// Distance from the middle of the yard to a wall, in units.
const YARD: f32 = 40.0;
/// Speed of players, in units per second.
const RUN: f32 = 12.0;

#[derive(Component, Clone, Serialize, Deserialize)]
struct Crate;
/// Direction in which a player runs, each axis from -127 to 127.
#[derive(Clone, Default, Serialize, Deserialize)]
struct MoveInput(i8, i8);
impl PlayerInput for MoveInput {}

/// The schedule in which avian moves the bodies, once a tick.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct MoveBodies;

fn protocol(app: &mut App) {
    app.replicate::<Crate>();
    app.input::<MoveInput>();
}

fn server(app: &mut App) {
    let rules = (welcome, clear_up, run, move_bodies, show_bodies).chain();
    // Avian takes its threads from this pool, which has one.
    let threads = TaskPoolPlugin {
        task_pool_options: TaskPoolOptions::with_num_threads(1),
    };
    app.add_plugins((protocol, threads, PhysicsPlugins::new(MoveBodies)))
        .insert_resource(Gravity(Vec2::ZERO))
        .edit_schedule(MoveBodies, |schedule| {
            schedule.set_executor(SingleThreadedExecutor::new());
        })
        .add_systems(Startup, build_yard)
        .add_systems(FixedUpdate, rules.in_set(ServerSystems::Simulate));
}

fn build_yard(mut commands: Commands) {
    for side in [Vec2::X, Vec2::NEG_X, Vec2::Y, Vec2::NEG_Y] {
        let size = Vec2::splat(2.0) + side.perp().abs() * YARD * 2.0;
        let wall = Collider::rectangle(size.x, size.y);
        let position = avian::Position(side * (YARD + 1.0));
        commands.spawn((RigidBody::Static, wall, position));
    }
    for n in 0..100 {
        let position = Vec2::new((n % 10) as f32, (n / 10) as f32) * 3.0 - 13.5;
        commands.spawn((Crate, body(position, Collider::rectangle(2.0, 2.0))));
    }
}

/// Returns the components of a replicated body that can be pushed.
fn body(position: Vec2, shape: Collider) -> impl Bundle {
    (
        Replicated::default(),
        Position(position),
        avian::Position(position),
        RigidBody::Dynamic,
        shape,
        LinearDamping(1.5),
        AngularDamping(1.5),
    )
}

fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for &PlayerJoined { entity, player } in joined.read() {
        let position = Vec2::new(-30.0, (player.id.0 % 20) as f32 * 3.0 - 30.0);
        let body = (Owner(player.id), body(position, Collider::circle(1.0)));
        let avatar = Avatar(commands.spawn(body).id());
        commands.entity(entity).insert((avatar, Viewer { radius: 120.0 }));
    }
}

fn clear_up(mut left: MessageReader<PlayerLeft>, mut commands: Commands) {
    for avatar in left.read().filter_map(|left| left.avatar) {
        commands.entity(avatar).despawn();
    }
}

/// Players push off the ground, so they reach their wanted speed almost at once.
fn run(players: Query<(&Avatar, &ActiveInput<MoveInput>)>, mut bodies: Query<&mut LinearVelocity>) -> Result {
    for (avatar, ActiveInput { input: stick, .. }) in &players {
        let wish = (Vec2::new(stick.0.into(), stick.1.into()) / 127.0).clamp_length_max(1.0) * RUN;
        let mut velocity = bodies.get_mut(avatar.0)?;
        velocity.0 = velocity.0.lerp(wish, 0.5);
    }
    Ok(())
}

fn move_bodies(world: &mut World) {
    world.run_schedule(MoveBodies);
}

/// Copies positions, headings and velocities that changed. A body at rest stays unchanged, so it is not sent. The
/// rest of the velocity that avian leaves to a sleeping body is ignored.
fn show_bodies(
    bodies: Query<
        (
            Entity,
            &avian::Position,
            &Rotation,
            &LinearVelocity,
            Has<Sleeping>,
        ),
        With<Replicated>,
    >,
    mut shown: Query<(&mut Position, &mut Heading, &mut Velocity)>,
) -> Result {
    for (entity, position, rotation, velocity, sleeps) in &bodies {
        let (mut shown_position, mut heading, mut speed) = shown.get_mut(entity)?;
        shown_position.set_if_neq(Position(position.0));
        heading.set_if_neq(Heading(rotation.as_radians()));
        speed.set_if_neq(Velocity(if sleeps { Vec2::ZERO } else { velocity.0 }));
    }
    Ok(())
}

fn client(app: &mut App) {
    app.add_plugins(protocol).add_systems(Update, (shove, report));
}

/// Runs at the nearest crate.
fn shove(
    own: Query<&Position, With<Own>>,
    crates: Query<&Position, With<Crate>>,
    (protocol, mut next): (Res<Protocol>, ResMut<NextInput>),
) -> Result {
    let Ok(own) = own.single() else { return Ok(()) };
    let ways = crates.iter().map(|position| position.0 - own.0);
    let nearest = ways.min_by(|a, b| a.length_squared().total_cmp(&b.length_squared()));
    let way = nearest.unwrap_or_default().normalize_or_zero() * 127.0;
    Ok(next.set(&protocol, &MoveInput(way.x as i8, way.y as i8))?)
}

fn report(
    crates: Query<&Velocity, With<Crate>>,
    mut events: MessageReader<ConnectionEvent>,
    mut moving: Local<usize>,
    mut exit: MessageWriter<AppExit>,
) {
    for event in events.read() {
        event.in_words().inspect(|words| eprintln!("{words}"));
        if event.is_given_up() {
            exit.write(AppExit::error());
        }
    }
    let now = crates.iter().filter(|velocity| velocity.0.length() > 0.5).count();
    if now != std::mem::replace(&mut *moving, now) {
        eprintln!("{now} of {} crates move", crates.iter().count());
    }
}

fn main() -> AppExit {
    let Some(name) = std::env::args().skip_while(|word| word != "play").nth(1) else {
        return serve(server);
    };
    let settings = ClientSettings::new("127.0.0.1:8080", &name);
    let frames = ScheduleRunnerPlugin::run_loop(Duration::from_millis(16));
    App::new()
        .add_plugins((frames, TerminalCtrlCHandlerPlugin))
        .add_plugins((client, ClientWorldPlugin { settings }))
        .run()
}

#[cfg(test)]
mod tests;
