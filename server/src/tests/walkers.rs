//! A small world: walkers that wander by chance, or as the player who owns them steers.

use std::f32::consts::{PI, TAU};

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::protocol::input::PlayerInput;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use crate::boundary::link::PeerKind;
use crate::input::ActiveInput;
use crate::persist::PersistAppExt;
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{Avatar, Owner, Player, PlayerJoined, PlayerLeft, Replicated, Seed, Viewer};

/// Radius of a player's view, in units.
pub(crate) const VIEW_RADIUS: f32 = 50.0;
/// Heading change of a full turn, in radians a tick.
pub(crate) const TURN_PER_TICK: f32 = 0.3;

/// The world, in a square around the origin.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct Walkers {
    /// Number of walkers at the start. If it is 0, a player that joins gets no walker.
    pub(crate) count: u32,
    /// Side of the square, in units.
    pub(crate) side: f32,
    pub(crate) moves: bool,
}

/// A crowd that is small, and dense enough for cells that split.
pub(crate) const CROWD: Walkers = Walkers {
    count: 300,
    side: 180.0,
    moves: true,
};

/// A world without walkers.
pub(crate) const IDLE: Walkers = Walkers { count: 0, ..CROWD };

/// Turn and thrust, each from -1 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steer {
    pub(crate) turn: f32,
    pub(crate) thrust: f32,
}

impl PlayerInput for Steer {}

/// The input of the owner, if there is one.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Walker(Option<Steer>);

impl Plugin for Walkers {
    fn build(&self, app: &mut App) {
        app.input::<Steer>();
        if self.count == 0 {
            return;
        }
        let joining = (release, welcome).chain();
        app.insert_resource(*self)
            .persist::<Walker>()
            .add_systems(Startup, scatter)
            .add_systems(FixedUpdate, joining.in_set(ServerSystems::Simulate));
        if self.moves {
            let walking = (steer, walk).chain().after(welcome);
            app.add_systems(FixedUpdate, walking.in_set(ServerSystems::Simulate));
        }
    }
}

fn body(number: u64, side: f32, seed: Seed) -> impl Bundle {
    let mut chance = seed.of(GlobalId(number), Tick(0));
    let mut within = |edge: f32| chance.within(-edge, edge);
    let position = Vec2::new(within(side * 0.5), within(side * 0.5));
    let heading = Heading(within(PI));
    (
        Replicated::default(),
        Position(position),
        heading,
        Walker::default(),
    )
}

fn scatter(mut commands: Commands, world: Res<Walkers>, seed: Res<Seed>) {
    for number in 1..=u64::from(world.count) {
        commands.spawn(body(number, world.side, *seed));
    }
}

fn release(mut left: MessageReader<PlayerLeft>, mut walkers: Query<&mut Walker>, mut commands: Commands) {
    for avatar in left.read().filter_map(|left| left.avatar) {
        if let Ok(mut walker) = walkers.get_mut(avatar) {
            *walker = Walker::default();
        }
        commands.entity(avatar).insert(Owner(PlayerId::NONE));
    }
}

/// Gives each new player the walker with the lowest id that has no owner, or one more.
fn welcome(
    mut joined: MessageReader<PlayerJoined>,
    walkers: Query<(Entity, &Replicated, &Owner), With<Walker>>,
    players: Query<&Player>,
    (world, seed): (Res<Walkers>, Res<Seed>),
    mut commands: Commands,
) {
    let mut free: Option<Vec<_>> = None;
    for joined in joined.read() {
        // A session can end in the tick in which it began; and a stock renet peer does not play.
        if joined.player.kind != PeerKind::Throng || !players.contains(joined.entity) {
            continue;
        }
        let free = free.get_or_insert_with(|| {
            let free = walkers.iter().filter(|(_, _, owner)| !owner.0.is_some());
            let mut free: Vec<_> = free
                .map(|(entity, replicated, _)| (replicated.global(), entity))
                .collect();
            free.sort_unstable_by(|one, other| other.cmp(one));
            free
        });
        let avatar = free.pop().map_or_else(
            || {
                let number = u64::from(world.count) + u64::from(joined.player.id.0);
                commands.spawn(body(number, world.side, *seed)).id()
            },
            |(_, entity)| entity,
        );
        commands.entity(avatar).insert(Owner(joined.player.id));
        let view = Viewer { radius: VIEW_RADIUS };
        commands.entity(joined.entity).insert((Avatar(avatar), view));
    }
}

fn steer(players: Query<(&Avatar, &ActiveInput<Steer>)>, mut walkers: Query<&mut Walker>) {
    for (avatar, active) in &players {
        if let Ok(mut walker) = walkers.get_mut(avatar.0) {
            walker.0 = Some(active.input);
        }
    }
}

pub(crate) fn walk(
    mut walkers: Query<(&Replicated, &Walker, &mut Position, &mut Velocity, &mut Heading)>,
    (world, seed, time): (Res<Walkers>, Res<Seed>, Res<TickTime>),
) {
    let edge = Vec2::splat(world.side * 0.5);
    for (replicated, walker, mut position, mut velocity, mut heading) in &mut walkers {
        let chance = || Steer {
            turn: seed.of(replicated.global(), time.tick).within(-1.0, 1.0),
            thrust: 0.0,
        };
        let input = walker.0.unwrap_or_else(chance);
        let mut yaw = heading.0 + input.turn * TURN_PER_TICK;
        velocity.0 = Vec2::from_angle(yaw) * 5.0 * (1.0 + 0.5 * input.thrust);
        position.0 += velocity.0 * time.length.as_secs_f32();
        // Off the edges they bounce.
        if position.0.x.abs() > edge.x {
            yaw = PI - yaw;
        }
        if position.0.y.abs() > edge.y {
            yaw = -yaw;
        }
        position.0 = position.0.clamp(-edge, edge);
        heading.0 = (yaw + PI).rem_euclid(TAU) - PI;
    }
}
