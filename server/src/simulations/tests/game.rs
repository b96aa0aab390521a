//! A game that notices whatever goes wrong at a border: ore that must not be lost, effects and messages that
//! are numbered, inputs of which each must be heard in its tick.

use std::collections::BTreeMap;

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{Channel, GlobalId, PlayerId, TeamId};
use throng_shared::protocol::input::PlayerInput;
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::ProtocolAppExt;
use throng_shared::tick::Tick;

use crate::input::ActiveInput;
use crate::persist::PersistAppExt;
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{
    Avatar, MessageReceived, Owner, Player, PlayerJoined, PlayerLeft, Replicated, Seed, Team, Tell, Viewer,
};
use crate::simulations::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectReturned, Simulations, TellEntity,
};

/// Side of the world, in units.
pub(super) const SIDE: f32 = 24.0;
/// Entities of all simulations together, players' aside.
pub(super) const ROAMERS: u64 = 240;
/// Gifts that each simulation sends in each tick.
const GIFTS: u64 = 25;
/// No entity is ever called this. One gift in each tick is for it.
const NOBODY: GlobalId = GlobalId(1 << 40);
/// Ore that each simulation begins with.
pub(super) const ORE: u64 = 1_000_000;

/// Shown to clients.
#[derive(Component, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(super) struct Ore(pub(super) u64);

/// Never shown: how many gifts came from which simulation.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct Ledger(BTreeMap<u8, u64>);

/// Rides on its parent, refers to it.
#[derive(Component, Serialize, Deserialize, Clone)]
pub(super) struct Turret(#[entities] pub(super) Entity);

/// What a player's entity has heard of its player.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct Heard {
    pub(super) inputs: u64,
    pub(super) repeated: u64,
    newest: u32,
}

/// On the player: how many messages came.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct Said(pub(super) u32);

/// A numbered gift.
#[derive(Serialize, Deserialize)]
pub(super) struct Gift {
    number: u64,
    ore: u64,
}

/// What every simulation says to all in every tick.
#[derive(Serialize, Deserialize)]
pub(super) struct Bulletin {
    tick: u32,
}

/// An input that says for which tick it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Walk {
    pub(super) tick: u32,
    pub(super) turn: i8,
}

impl PlayerInput for Walk {
    fn validate(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// What a simulation has left to give, and how many gifts it sent to whom.
#[derive(Resource)]
pub(super) struct Bank {
    pub(super) ore: u64,
    /// Gifts to nobody that came back.
    pub(super) returned: u64,
    sent: BTreeMap<GlobalId, u64>,
}

/// Whether inputs come over lines that lose some.
#[derive(Resource, Clone, Copy, Default, PartialEq)]
pub(super) struct Lossy(pub(super) bool);

/// Numbered, from whichever world has the player.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct News(pub(super) u32);

/// On the player: how much news it was sent.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct Told(pub(super) u32);

/// What a simulation says to many in every tick.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) from: u8,
    pub(super) tick: u32,
    pub(super) to: CallTo,
}

/// For whom a call is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallTo {
    All,
    Own,
    /// In turns, one in each tick.
    Team(u8),
    /// Those who see the origin.
    InSight,
}

/// The team of a player.
pub(super) fn team_of(player: PlayerId) -> u8 {
    1 + (player.0 % 2) as u8
}

/// Whether players are told news.
#[derive(Resource, Clone, Copy, Default, PartialEq)]
pub(super) struct Telling(pub(super) bool);

/// Everything that went wrong.
#[derive(Resource, Default)]
pub(super) struct Complaints(pub(super) Vec<String>);

pub(super) struct Game {
    pub(super) simulations: u8,
}

impl Plugin for Game {
    fn build(&self, app: &mut App) {
        app.replicate::<Ore>();
        app.input::<Walk>();
        app.message::<News>(Channel::ReliableOrdered);
        app.message::<Call>(Channel::ReliableOrdered);
        app.persist::<Ore>()
            .persist::<Ledger>()
            .persist::<Turret>()
            .persist::<Heard>()
            .persist::<Said>()
            .persist::<Told>()
            .effect::<Gift>()
            .effect::<Bulletin>()
            .insert_resource(Bank {
                ore: ORE,
                returned: 0,
                sent: BTreeMap::new(),
            })
            .insert_resource(SimulationCount(self.simulations))
            .init_resource::<Complaints>()
            .init_resource::<Lossy>()
            .init_resource::<Telling>()
            .add_systems(Startup, fill)
            .add_systems(
                FixedUpdate,
                (
                    welcome,
                    farewell,
                    listen,
                    obey,
                    receive_gifts,
                    take_back_gifts,
                    read_bulletins,
                    give,
                    roam,
                    tell_news,
                    call,
                )
                    .chain()
                    .in_set(ServerSystems::Simulate),
            );
    }
}

#[derive(Resource, Clone, Copy)]
struct SimulationCount(u8);

/// Every simulation spawns as many, anywhere: what is not its own leaves in the first tick.
fn fill(mut commands: Commands, simulations: Res<Simulations>, count: Res<SimulationCount>, seed: Res<Seed>) {
    for n in 0..ROAMERS / u64::from(count.0) {
        let mut chance = seed.of(GlobalId(n * 8 + u64::from(simulations.me().0)), Tick(0));
        let at = Vec2::new(chance.within(-12.0, 12.0), chance.within(-12.0, 12.0));
        let body = (Replicated::default(), Position(at), Ore(0), Ledger::default());
        let entity = commands.spawn(body).id();
        if n % 5 == 0 {
            let turret = (Replicated::default(), Turret(entity), ChildOf(entity));
            commands.spawn((turret, Ore(0), Ledger::default()));
        }
    }
}

fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let body = (
            Replicated::default(),
            Position(Vec2::splat(3.0)),
            Heard::default(),
        );
        let owner = Owner(joined.player.id);
        let avatar = commands.spawn((body, owner, Ore(0), Ledger::default())).id();
        commands.entity(joined.entity).insert((
            Avatar(avatar),
            Team(TeamId(team_of(joined.player.id))),
            Viewer { radius: 6.0 },
            Said::default(),
            Told::default(),
        ));
    }
}

/// The ore of those who leave goes back to the bank of the simulation in which they were.
fn farewell(
    mut left: MessageReader<PlayerLeft>,
    ores: Query<&Ore>,
    mut bank: ResMut<Bank>,
    mut complaints: ResMut<Complaints>,
    mut commands: Commands,
) {
    for left in left.read() {
        let avatar = left
            .avatar
            .and_then(|avatar| Some((avatar, ores.get(avatar).ok()?)));
        let Some((avatar, ore)) = avatar else {
            complaints
                .0
                .push(format!("player {:?} left without its avatar", left.player.id));
            continue;
        };
        bank.ore += ore.0;
        commands.entity(avatar).despawn();
    }
}

fn listen(
    mut messages: MessageReader<MessageReceived>,
    mut players: Query<(&Player, &mut Said)>,
    mut complaints: ResMut<Complaints>,
) {
    for message in messages.read() {
        let Ok((player, mut said)) = players.get_mut(message.player) else {
            complaints.0.push("a message of nobody".to_owned());
            continue;
        };
        let number = message
            .bytes
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        if number != Some(said.0) {
            complaints.0.push(format!(
                "player {:?} said {number:?} instead of {}",
                player.id, said.0
            ));
        }
        said.0 += 1;
    }
}

fn obey(
    players: Query<(&Player, &Avatar, &ActiveInput<Walk>)>,
    mut avatars: Query<(&Owner, &mut Heard, &mut Position)>,
    time: Res<TickTime>,
    lossy: Res<Lossy>,
    mut complaints: ResMut<Complaints>,
) {
    for (player, avatar, active) in &players {
        let Ok((owner, mut heard, mut position)) = avatars.get_mut(avatar.0) else {
            complaints
                .0
                .push(format!("player {:?} has lost its avatar", player.id));
            continue;
        };
        if owner.0 != player.id {
            complaints
                .0
                .push(format!("player {:?} steers another's", player.id));
        }
        let walk = active.input;
        if walk.tick == 0 {
            continue;
        }
        if *lossy == Lossy(true) && walk.tick <= time.tick.0 && walk.tick >= heard.newest {
            // The last one again, where the one for this tick was lost or late.
            heard.repeated += u64::from(walk.tick != time.tick.0);
        } else if walk.tick != time.tick.0 || (heard.newest != 0 && heard.newest + 1 != walk.tick) {
            let PlayerId(id) = player.id;
            complaints
                .0
                .push(format!("player {id}: input {walk:?} in tick {}", time.tick));
        }
        heard.newest = walk.tick;
        heard.inputs += 1;
        let to = position.0 + Vec2::from_angle(f32::from(walk.turn)) * 0.9;
        position.0 = to.clamp(Vec2::splat(-SIDE * 0.5), Vec2::splat(SIDE * 0.5));
    }
}

fn tell_news(mut players: Query<(&Player, &mut Told)>, telling: Res<Telling>, mut tell: Tell) -> Result {
    for (player, mut told) in players.iter_mut().filter(|_| telling.0) {
        tell.player(player, &News(told.0))?;
        told.0 += 1;
    }
    Ok(())
}

/// Says one thing to all, one to a team, one to those in sight, from every simulation.
fn call(telling: Res<Telling>, simulations: Res<Simulations>, time: Res<TickTime>, mut tell: Tell) -> Result {
    if !telling.0 {
        return Ok(());
    }
    let call = |to| Call {
        from: simulations.me().0,
        tick: time.tick.0,
        to,
    };
    let team = 1 + (time.tick.0 % 2) as u8;
    tell.all(&call(CallTo::All))?;
    tell.own(&call(CallTo::Own))?;
    tell.team(TeamId(team), &call(CallTo::Team(team)))?;
    tell.in_sight(Vec2::ZERO, &call(CallTo::InSight))?;
    Ok(())
}

fn receive_gifts(
    mut received: MessageReader<EffectReceived<Gift>>,
    mut entities: Query<(&Replicated, &mut Ore, &mut Ledger)>,
    mut complaints: ResMut<Complaints>,
) {
    for gift in received.read() {
        let Ok((replicated, mut ore, mut ledger)) = entities.get_mut(gift.entity) else {
            complaints.0.push("a gift for nobody".to_owned());
            continue;
        };
        let next = ledger.0.entry(gift.from.0).or_default();
        if *next != gift.effect.number {
            let number = gift.effect.number;
            let global = replicated.global();
            complaints.0.push(format!(
                "{global}: gift {number} of {:?} instead of {next}",
                gift.from
            ));
        }
        *next += 1;
        ore.0 += gift.effect.ore;
    }
}

/// What was for nobody is in the bank again; for all others there is somebody somewhere.
fn take_back_gifts(
    mut returned: MessageReader<EffectReturned<Gift>>,
    mut bank: ResMut<Bank>,
    mut complaints: ResMut<Complaints>,
) {
    for EffectReturned { target, effect } in returned.read() {
        if *target != NOBODY || effect.number != bank.returned {
            complaints
                .0
                .push(format!("{target}: gift {} came back", effect.number));
        }
        bank.returned += 1;
        bank.ore += effect.ore;
    }
}

/// One of the last tick from everybody, in order.
fn read_bulletins(
    mut heard: MessageReader<BroadcastReceived<Bulletin>>,
    count: Res<SimulationCount>,
    time: Res<TickTime>,
    mut complaints: ResMut<Complaints>,
) {
    let heard: Vec<_> = heard
        .read()
        .map(|heard| (heard.from.0, heard.message.tick + 1))
        .collect();
    let expected = (0..count.0).map(|from| (from, time.tick.0));
    if time.tick != Tick(1) && !expected.eq(heard.iter().copied()) {
        complaints
            .0
            .push(format!("bulletins {heard:?} in tick {}", time.tick));
    }
}

/// Two gifts each, so that order shows, to entities that are anywhere.
fn give(
    mut tell: TellEntity,
    mut bank: ResMut<Bank>,
    simulations: Res<Simulations>,
    count: Res<SimulationCount>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) -> Result {
    let mut chance = seed.of(GlobalId(u64::from(simulations.me().0) << 40), time.tick);
    for _ in 0..GIFTS {
        let simulation = chance.bits() % u64::from(count.0);
        // The first ones are never players' entities, which come and go.
        let target = GlobalId(simulation << 56 | (1 + chance.bits() % (ROAMERS / u64::from(count.0))));
        for _ in 0..2 {
            let sent = bank.sent.entry(target).or_default();
            let (number, ore) = (*sent, 1 + chance.bits() % 3);
            *sent += 1;
            bank.ore -= ore;
            tell.entity(target, &Gift { number, ore })?;
        }
    }
    let tick = time.tick.0;
    tell.all_simulations(&Bulletin { tick })?;
    let sent = bank.sent.entry(NOBODY).or_default();
    let number = std::mem::replace(sent, *sent + 1);
    bank.ore -= 1;
    tell.entity(NOBODY, &Gift { number, ore: 1 })?;
    Ok(())
}

fn roam(
    mut roamers: Query<(&Replicated, &mut Position), (Without<Heard>, Without<ChildOf>)>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    for (replicated, mut position) in &mut roamers {
        let mut chance = seed.of(replicated.global(), time.tick);
        let step = Vec2::new(chance.within(-0.9, 0.9), chance.within(-0.9, 0.9));
        position.0 = (position.0 + step).clamp(Vec2::splat(-SIDE * 0.5), Vec2::splat(SIDE * 0.5));
    }
}
