//! The game that tests run: a plain game on the public API that uses every feature of replication.
//!
//! Entities wander in a square, and some spawn and despawn. Each has a component for every visibility, which changes
//! now and then. Players own one entity each and steer it. All events follow from the simulation's seed.

use std::f32::consts::TAU;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use glam::{Quat, Vec2, Vec3};
use serde::{Deserialize, Serialize};
use throng_server::{
    boundary::link::PeerKind,
    input::{ActiveInput, ReceivePlugin},
    runner::TickTime,
    schedule::ServerSystems,
    simulation::{
        Avatar, Eye, MessageReceived, Owner, Player, PlayerJoined, PlayerLeft, Replicated, Room, RoomId,
        Team, Tell, ViewHeight, Viewer,
    },
};
use throng_shared::protocol::{
    ids::{Channel, PlayerId, TeamId},
    input::PlayerInput,
    pose::{Heading, Position, Velocity},
    pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d},
    registry::{Protocol, ProtocolAppExt, Visibility, Witness},
};

use throng_shared::random::Random;

/// A component that every client with the entity in view receives.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Badge(pub String);

/// A component that only the entity's team receives.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Orders(pub u32);

/// A component that only the owner receives.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Wallet(pub u64);

/// A component that every client receives while it is even, and otherwise only the entity's team.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Cloak(pub u8);

/// The entity that this entity follows.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Leader(#[entities] pub Entity);

/// A player's input, which steers its entity.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Steer {
    /// Share of the fastest turn, -1..=1.
    pub turn: f32,
    /// Share of the highest speed, -1..=1.
    pub thrust: f32,
}

impl PlayerInput for Steer {
    fn validate(&self) -> Result<(), &'static str> {
        let is_axis = |axis: f32| (-1.0..=1.0).contains(&axis);
        if is_axis(self.turn) && is_axis(self.thrust) {
            Ok(())
        } else {
            Err("an axis outside -1..=1")
        }
    }
}

/// A line of text in both directions: the arena sends every line back to its sender.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct TextLine(pub String);

/// Fastest turn, in radians a tick.
const TURN_MAX: f32 = 0.3;
/// Highest speed, in units a second.
const SPEED_MAX: f32 = 5.0;

/// The protocol of the arena's server and clients.
#[derive(Clone, Copy, Debug)]
pub struct ArenaProtocol;

impl Plugin for ArenaProtocol {
    fn build(&self, app: &mut App) {
        app.replicate::<Badge>();
        app.replicate::<Orders>().visible_to(Visibility::Team);
        app.replicate::<Wallet>().visible_to(Visibility::Owner);
        app.replicate::<Cloak>()
            .visible_to(|witness: Witness, cloak: &Cloak| cloak.0.is_multiple_of(2) || witness.is_mate())
            .important(2);
        app.replicate::<Leader>();
        app.input::<Steer>();
        app.message::<TextLine>(Channel::ReliableOrdered);
    }
}

impl ArenaProtocol {
    /// Returns the registry, for a client.
    #[must_use]
    pub fn registry() -> Protocol {
        ArenaView::Plane.registry()
    }
}

impl ArenaView {
    /// Returns the registry of an arena with this view.
    #[must_use]
    pub fn registry(self) -> Protocol {
        let mut app = App::new();
        self.register(&mut app);
        app.world().resource::<Protocol>().clone()
    }

    fn register(self, app: &mut App) {
        app.add_plugins(ArenaProtocol);
        if self.is_3d() {
            app.poses_3d(Quanta3d::default());
        }
    }

    fn is_3d(self) -> bool {
        self != Self::Plane
    }
}

/// What a player sees, and whether the arena is on the plane or in space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArenaView {
    /// A circle on the plane.
    Plane,
    /// A sphere in space.
    Sphere,
    /// A cylinder in space, of this height in units.
    Cylinder(f32),
}

/// The size and the rules of an arena.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct ArenaConfig {
    /// Number of entities in addition to the players'.
    pub entities: usize,
    /// Half the length of the square's side, in units.
    pub half: f32,
    /// View radius of every player, in units.
    pub radius: f32,
    /// What players see within the radius.
    pub view: ArenaView,
    /// Probability that an entity is replaced by a new one elsewhere, per entity and tick.
    pub churn: f64,
    /// Probability that a component of an entity changes, per entity and tick.
    pub changes: f64,
    /// Number of rooms. Entities are spread over them and change them now and then.
    pub rooms: u16,
    /// Number of teams. Players and entities are spread over them.
    pub teams: u8,
}

impl Default for ArenaConfig {
    fn default() -> Self {
        Self {
            entities: 200,
            half: 60.0,
            radius: 40.0,
            view: ArenaView::Plane,
            churn: 0.005,
            changes: 0.03,
            rooms: 1,
            teams: 2,
        }
    }
}

/// While true, no entity moves, changes, spawns or despawns by itself.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Frozen(pub bool);

/// Number of lines that players have sent.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct LinesReceived(pub u64);

/// An entity that wanders by itself.
#[derive(Component)]
struct Wanderer;

/// The only source of randomness in the arena.
#[derive(Resource)]
struct Dice(Random);

/// Adds the arena to a server.
#[derive(Clone, Copy, Debug)]
pub struct ArenaPlugin {
    /// The size and the rules.
    pub config: ArenaConfig,
    /// Seed of all randomness in the arena.
    pub seed: u64,
}

impl Plugin for ArenaPlugin {
    fn build(&self, app: &mut App) {
        self.config.view.register(app);
        app.add_plugins(ReceivePlugin)
            .insert_resource(self.config)
            .insert_resource(Dice(Random::new(self.seed)))
            .init_resource::<Frozen>()
            .init_resource::<LinesReceived>()
            .add_systems(
                FixedUpdate,
                (
                    welcome_players,
                    despawn_avatars,
                    populate,
                    wander,
                    steer,
                    fly,
                    change_components,
                    echo_lines,
                )
                    .chain()
                    .in_set(ServerSystems::Simulate),
            );
    }
}

fn random_position(dice: &mut Random, half: f32) -> Position {
    Position(Vec2::new(dice.signed_unit(), dice.signed_unit()) * half)
}

/// Returns the components of every entity of the arena.
fn body(dice: &mut Random, config: &ArenaConfig, owner: PlayerId, team: TeamId) -> impl Bundle + use<> {
    (
        Replicated::default(),
        random_position(dice, config.half),
        Velocity(Vec2::ZERO),
        Heading(dice.unit() as f32 * TAU),
        Owner(owner),
        Team(team),
        Badge(format!("badge {}", dice.bits() % 1_000)),
        Orders(dice.bits() as u32),
        Wallet(dice.bits()),
        Cloak(dice.bits() as u8),
        room(dice, config),
    )
}

fn room(dice: &mut Random, config: &ArenaConfig) -> Room {
    Room(RoomId((dice.bits() % u64::from(config.rooms.max(1))) as u16))
}

fn team_of(number: u64, teams: u8) -> TeamId {
    TeamId(1 + (number % u64::from(teams.max(1))) as u8)
}

fn welcome_players(
    mut joined: MessageReader<PlayerJoined>,
    mut dice: ResMut<Dice>,
    config: Res<ArenaConfig>,
    mut commands: Commands,
) {
    for join in joined.read().filter(|join| join.player.kind == PeerKind::Throng) {
        let team = team_of(u64::from(join.player.id.0), config.teams);
        let avatar = commands
            .spawn(body(&mut dice.0, &config, join.player.id, team))
            .id();
        let viewer = Viewer {
            radius: config.radius,
        };
        let mut player = commands.entity(join.entity);
        player.insert((Avatar(avatar), viewer, Eye::default(), Team(team)));
        if let ArenaView::Cylinder(height) = config.view {
            player.insert(ViewHeight(height));
        }
    }
}

fn despawn_avatars(mut left: MessageReader<PlayerLeft>, mut commands: Commands) {
    for avatar in left.read().filter_map(|left| left.avatar) {
        commands.entity(avatar).try_despawn();
    }
}

/// Keeps the number of entities constant, and replaces some every tick.
fn populate(
    wanderers: Query<Entity, With<Wanderer>>,
    mut dice: ResMut<Dice>,
    config: Res<ArenaConfig>,
    frozen: Res<Frozen>,
    mut commands: Commands,
) {
    let mut count = wanderers.iter().count();
    if !frozen.0 {
        for entity in &wanderers {
            if dice.0.unit() < config.churn {
                commands.entity(entity).despawn();
                count -= 1;
            }
        }
    }
    for _ in count..config.entities {
        let team = team_of(dice.0.bits() >> 8, config.teams);
        let body = body(&mut dice.0, &config, PlayerId::NONE, team);
        commands.spawn((Wanderer, body));
    }
}

/// Moves an entity by one tick and turns it around at the edge.
fn advance(
    position: &mut Position,
    velocity: &mut Velocity,
    heading: &mut Heading,
    (turn, speed): (f32, f32),
    half: f32,
    seconds: f32,
) {
    heading.0 = (heading.0 + turn).rem_euclid(TAU);
    velocity.0 = Vec2::from_angle(heading.0) * speed;
    position.0 += velocity.0 * seconds;
    if position.0.abs().max_element() > half {
        position.0 = position.0.clamp(Vec2::splat(-half), Vec2::splat(half));
        heading.0 = (heading.0 + TAU / 2.0).rem_euclid(TAU);
    }
}

fn wander(
    mut wanderers: Query<(&mut Position, &mut Velocity, &mut Heading), With<Wanderer>>,
    mut dice: ResMut<Dice>,
    config: Res<ArenaConfig>,
    frozen: Res<Frozen>,
    time: Res<TickTime>,
) {
    if frozen.0 {
        return;
    }
    for (mut position, mut velocity, mut heading) in &mut wanderers {
        let turn = dice.0.signed_unit() * TURN_MAX;
        // A third stands still at any time, so that entities at rest and their wake-ups are covered.
        let speed = if dice.0.unit() < 0.3 { 0.0 } else { SPEED_MAX };
        let seconds = time.length.as_secs_f32();
        advance(
            &mut position,
            &mut velocity,
            &mut heading,
            (turn, speed),
            config.half,
            seconds,
        );
    }
}

fn steer(
    players: Query<(&ActiveInput<Steer>, &Avatar)>,
    mut avatars: Query<(&mut Position, &mut Velocity, &mut Heading), Without<Wanderer>>,
    config: Res<ArenaConfig>,
    frozen: Res<Frozen>,
    time: Res<TickTime>,
) {
    if frozen.0 {
        return;
    }
    for (input, avatar) in &players {
        let Ok((mut position, mut velocity, mut heading)) = avatars.get_mut(avatar.0) else {
            continue;
        };
        let Steer { turn, thrust } = input.input;
        let motion = (turn * TURN_MAX, thrust * SPEED_MAX);
        let seconds = time.length.as_secs_f32();
        advance(
            &mut position,
            &mut velocity,
            &mut heading,
            motion,
            config.half,
            seconds,
        );
    }
}

/// Lets entities of an arena in space rise, sink and turn over while they move on the plane.
fn fly(
    mut bodies: Query<(
        Ref<Position>,
        &Velocity,
        &mut Position3d,
        &mut Velocity3d,
        &mut Rotation3d,
    )>,
    mut dice: ResMut<Dice>,
    config: Res<ArenaConfig>,
    frozen: Res<Frozen>,
    time: Res<TickTime>,
) {
    for (ground, across, mut position, mut velocity, mut rotation) in &mut bodies {
        if ground.is_added() {
            position.0.y = dice.0.signed_unit() * config.half;
        }
        if frozen.0 {
            position.set_if_neq(at(&ground, position.0.y));
            continue;
        }
        // Some neither rise nor turn, so that what is at rest is covered.
        let climb = if dice.0.unit() < 0.4 {
            0.0
        } else {
            dice.0.signed_unit() * SPEED_MAX
        };
        let height = position.0.y + climb * time.length.as_secs_f32();
        position.set_if_neq(at(&ground, height.clamp(-config.half, config.half)));
        velocity.set_if_neq(Velocity3d(Vec3::new(across.0.x, climb, across.0.y)));
        if dice.0.unit() < 0.7 {
            let half_turn = Vec3::from_array(std::array::from_fn(|_| dice.0.signed_unit() * TURN_MAX / 2.0));
            let turn = Quat::from_xyzw(half_turn.x, half_turn.y, half_turn.z, 1.0);
            rotation.0 = (turn * rotation.0).normalize();
        }
    }
}

fn at(ground: &Position, height: f32) -> Position3d {
    Position3d(Vec3::new(ground.0.x, height, ground.0.y))
}

fn change_components(
    mut bodies: Query<(Entity, &mut Badge, Option<&mut Orders>, &mut Wallet, &mut Cloak)>,
    mut dice: ResMut<Dice>,
    config: Res<ArenaConfig>,
    frozen: Res<Frozen>,
    mut commands: Commands,
) {
    if frozen.0 {
        return;
    }
    let mut last = None;
    for (entity, mut badge, orders, mut purse, mut cloak) in &mut bodies {
        let former = last.replace(entity);
        if dice.0.unit() >= config.changes {
            continue;
        }
        if config.rooms > 1 && dice.0.unit() < 0.2 {
            commands.entity(entity).insert(room(&mut dice.0, &config));
        }
        match dice.0.bits() % 6 {
            0 => cloak.0 = dice.0.bits() as u8,
            1 => {
                let mut entity = commands.entity(entity);
                match former.filter(|_| dice.0.unit() < 0.8) {
                    Some(former) => entity.insert(Leader(former)),
                    None => entity.remove::<Leader>(),
                };
            }
            _ => {}
        }
        match (dice.0.bits() % 4, orders) {
            (0, _) => badge.0 = "x".repeat(dice.0.bits() as usize % 40),
            (1, _) => purse.0 = dice.0.bits(),
            (2, Some(_)) => {
                commands.entity(entity).remove::<Orders>();
            }
            (_, Some(mut orders)) => orders.0 = dice.0.bits() as u32,
            (_, None) => {
                commands.entity(entity).insert(Orders(dice.0.bits() as u32));
            }
        }
    }
}

/// Sends every line back to its player. Other messages are ignored.
fn echo_lines(
    mut received: MessageReader<MessageReceived>,
    players: Query<&Player>,
    mut lines: ResMut<LinesReceived>,
    protocol: Res<Protocol>,
    mut tell: Tell,
) -> Result {
    for message in received.read() {
        let Some(channel) = Channel::from_id(message.channel) else {
            continue;
        };
        let decoded = protocol.decode_message(channel, &message.bytes);
        let line = decoded
            .ok()
            .and_then(|(_, value)| value.downcast::<TextLine>().ok());
        let (Some(line), Ok(player)) = (line, players.get(message.player)) else {
            continue;
        };
        lines.0 += 1;
        tell.player(player, &*line)?;
    }
    Ok(())
}
