//! A game that detects every fault at a border. Its ore must not be lost, its effects and messages are
//! numbered, and every input must be applied in its tick.

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

use super::notes::{Note, Notes, receive_notes, send_notes};
use crate::input::ActiveInput;
use crate::persist::PersistAppExt;
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{
    Avatar, MessageReceived, Owner, Player, PlayerJoined, PlayerLeft, Replicated, Seed, Team, Tell, Viewer,
};
use crate::simulations::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectReturned, EffectTarget, Simulations, TellEntity,
};

/// Side of the square that entities roam, in units.
pub(super) const SIDE: f32 = 24.0;
/// Entities of all simulations together, without players' avatars and turrets.
pub(super) const ROAMERS: u64 = 240;
/// Pairs of gifts that each simulation sends in each tick.
const GIFTS: u64 = 25;
/// An id that no entity has. One gift in each tick is sent to it and has to be returned.
const ABSENT: GlobalId = GlobalId(1 << 40);
/// Ore in each simulation's bank at the start.
pub(super) const ORE: u64 = 1_000_000;

/// Ore of an entity, replicated to clients.
#[derive(Component, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(super) struct Ore(pub(super) u64);

/// Gifts received, by the simulation that sent them. Not replicated.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct Ledger(BTreeMap<u8, u64>);

/// A child entity that refers to its parent.
#[derive(Component, Serialize, Deserialize, Clone)]
pub(super) struct Turret(#[entities] pub(super) Entity);

/// On an avatar: the inputs of its player that were applied.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct InputTally {
    pub(super) inputs: u64,
    pub(super) repeated: u64,
    newest: u32,
}

/// On the player: messages received from its client.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct MessageTally(pub(super) u32);

/// An effect that adds ore to an entity. Numbered per sender and target.
#[derive(Serialize, Deserialize)]
pub(super) struct Gift {
    number: u64,
    ore: u64,
}

/// A broadcast that every simulation sends in every tick.
#[derive(Serialize, Deserialize)]
pub(super) struct Bulletin {
    tick: u32,
}

/// An input that carries the tick that it is for.
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

/// The ore that a simulation has left, and the gifts that it sent to each target.
#[derive(Resource)]
pub(super) struct Bank {
    pub(super) ore: u64,
    /// Gifts to [`ABSENT`] that were returned.
    pub(super) returned: u64,
    sent: BTreeMap<GlobalId, u64>,
}

/// Whether inputs cross simulated sockets that lose some of them.
#[derive(Resource, Clone, Copy, Default, PartialEq)]
pub(super) struct Lossy(pub(super) bool);

/// A numbered message to one player, from the simulation that has the player.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct News(pub(super) u32);

/// On the player: numbered messages sent to its client.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
pub(super) struct NewsTally(pub(super) u32);

/// A message that a simulation sends to many players in every tick.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) from: u8,
    pub(super) tick: u32,
    pub(super) to: CallTo,
}

/// The audience of a call.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallTo {
    All,
    Own,
    /// The players of one team, a different team in each tick.
    Team(u8),
    /// The players that see the origin.
    InSight,
}

/// Returns the team of a player.
pub(super) fn team_of(player: PlayerId) -> u8 {
    1 + (player.0 % 2) as u8
}

/// Whether players are sent news and calls.
#[derive(Resource, Clone, Copy, Default, PartialEq)]
pub(super) struct SendsNews(pub(super) bool);

/// Descriptions of the faults found; empty in a correct run.
#[derive(Resource, Default)]
pub(super) struct Complaints(pub(super) Vec<String>);

pub(super) struct Game {
    pub(super) simulations: u8,
}

impl Plugin for Game {
    fn build(&self, app: &mut App) {
        app.replicate::<Ore>().persisted();
        app.input::<Walk>();
        app.message::<News>(Channel::ReliableOrdered);
        app.message::<Call>(Channel::ReliableOrdered);
        app.persist::<Ledger>()
            .persist::<Turret>()
            .persist::<InputTally>()
            .persist::<MessageTally>()
            .persist::<NewsTally>()
            .effect::<Gift>()
            .effect::<Bulletin>()
            .effect::<Note>()
            .insert_resource(Bank {
                ore: ORE,
                returned: 0,
                sent: BTreeMap::new(),
            })
            .insert_resource(SimulationCount(self.simulations))
            .init_resource::<Complaints>()
            .init_resource::<Lossy>()
            .init_resource::<SendsNews>()
            .init_resource::<Notes>()
            .add_systems(Startup, spawn_roamers)
            .add_systems(
                FixedUpdate,
                (
                    spawn_avatars,
                    despawn_avatars,
                    check_messages,
                    apply_inputs,
                    receive_gifts,
                    take_returned_gifts,
                    read_bulletins,
                    send_gifts,
                    receive_notes,
                    send_notes,
                    roam,
                    send_news,
                    call,
                )
                    .chain()
                    .in_set(ServerSystems::Simulate),
            );
    }
}

#[derive(Resource, Clone, Copy)]
pub(super) struct SimulationCount(pub(super) u8);

/// Spawns each simulation's share of the roamers anywhere. Entities outside the simulation's part migrate in
/// the first tick.
fn spawn_roamers(
    mut commands: Commands,
    simulations: Res<Simulations>,
    count: Res<SimulationCount>,
    seed: Res<Seed>,
) {
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

fn spawn_avatars(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let body = (
            Replicated::default(),
            Position(Vec2::splat(3.0)),
            InputTally::default(),
        );
        let owner = Owner(joined.player.id);
        let avatar = commands.spawn((body, owner, Ore(0), Ledger::default())).id();
        commands.entity(joined.entity).insert((
            Avatar(avatar),
            Team(TeamId(team_of(joined.player.id))),
            Viewer { radius: 6.0 },
            MessageTally::default(),
            NewsTally::default(),
        ));
    }
}

/// Returns the ore of leaving players to the bank of the simulation that had them.
fn despawn_avatars(
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

fn check_messages(
    mut messages: MessageReader<MessageReceived>,
    mut players: Query<(&Player, &mut MessageTally)>,
    mut complaints: ResMut<Complaints>,
) {
    for message in messages.read() {
        let Ok((player, mut tally)) = players.get_mut(message.player) else {
            complaints.0.push("a message without a player".to_owned());
            continue;
        };
        let number = message
            .bytes
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        if number != Some(tally.0) {
            complaints.0.push(format!(
                "player {:?} sent {number:?} instead of {}",
                player.id, tally.0
            ));
        }
        tally.0 += 1;
    }
}

fn apply_inputs(
    players: Query<(&Player, &Avatar, &ActiveInput<Walk>)>,
    mut avatars: Query<(&Owner, &mut InputTally, &mut Position)>,
    time: Res<TickTime>,
    lossy: Res<Lossy>,
    mut complaints: ResMut<Complaints>,
) {
    for (player, avatar, active) in &players {
        let Ok((owner, mut tally, mut position)) = avatars.get_mut(avatar.0) else {
            complaints
                .0
                .push(format!("player {:?} has lost its avatar", player.id));
            continue;
        };
        if owner.0 != player.id {
            complaints
                .0
                .push(format!("player {:?} controls the avatar of another", player.id));
        }
        let walk = active.input;
        if walk.tick == 0 {
            continue;
        }
        if *lossy == Lossy(true) && walk.tick <= time.tick.0 && walk.tick >= tally.newest {
            // The last input is repeated where the one for this tick was lost or late.
            tally.repeated += u64::from(walk.tick != time.tick.0);
        } else if walk.tick != time.tick.0 || (tally.newest != 0 && tally.newest + 1 != walk.tick) {
            let PlayerId(id) = player.id;
            complaints
                .0
                .push(format!("player {id}: input {walk:?} in tick {}", time.tick));
        }
        tally.newest = walk.tick;
        tally.inputs += 1;
        let to = position.0 + Vec2::from_angle(f32::from(walk.turn)) * 0.9;
        position.0 = to.clamp(Vec2::splat(-SIDE * 0.5), Vec2::splat(SIDE * 0.5));
    }
}

fn send_news(
    mut players: Query<(&Player, &mut NewsTally)>,
    sends_news: Res<SendsNews>,
    mut tell: Tell,
) -> Result {
    for (player, mut sent) in players.iter_mut().filter(|_| sends_news.0) {
        tell.player(player, &News(sent.0))?;
        sent.0 += 1;
    }
    Ok(())
}

/// Sends four calls from this simulation: one to all players, one to its own players, one to the players of a team,
/// and one to the players that see the origin.
pub(super) fn call(
    sends_news: Res<SendsNews>,
    simulations: Res<Simulations>,
    time: Res<TickTime>,
    mut tell: Tell,
) -> Result {
    if !sends_news.0 {
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
            complaints.0.push("a gift without an entity".to_owned());
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

/// Returns gifts to [`ABSENT`] to the bank. All other gifts have an existing target, so that none of them may
/// be returned.
fn take_returned_gifts(
    mut returned: MessageReader<EffectReturned<Gift>>,
    mut bank: ResMut<Bank>,
    mut complaints: ResMut<Complaints>,
) {
    for EffectReturned { target, effect } in returned.read() {
        if *target != EffectTarget::Entity(ABSENT) || effect.number != bank.returned {
            complaints
                .0
                .push(format!("{target:?}: gift {} was returned", effect.number));
        }
        bank.returned += 1;
        bank.ore += effect.ore;
    }
}

/// Checks that one bulletin of the last tick came from every simulation, in order.
fn read_bulletins(
    mut bulletins: MessageReader<BroadcastReceived<Bulletin>>,
    count: Res<SimulationCount>,
    time: Res<TickTime>,
    mut complaints: ResMut<Complaints>,
) {
    let received: Vec<_> = bulletins
        .read()
        .map(|bulletin| (bulletin.from.0, bulletin.message.tick + 1))
        .collect();
    let expected = (0..count.0).map(|from| (from, time.tick.0));
    if time.tick != Tick(1) && !expected.eq(received.iter().copied()) {
        complaints
            .0
            .push(format!("bulletins {received:?} in tick {}", time.tick));
    }
}

/// Sends two gifts to each of some random entities, so that a wrong order is detected.
fn send_gifts(
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
        // Low ids belong to roamers and never to avatars, which are despawned when players leave.
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
    let sent = bank.sent.entry(ABSENT).or_default();
    let number = std::mem::replace(sent, *sent + 1);
    bank.ore -= 1;
    tell.entity(ABSENT, &Gift { number, ore: 1 })?;
    Ok(())
}

fn roam(
    mut roamers: Query<(&Replicated, &mut Position), (Without<InputTally>, Without<ChildOf>)>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    for (replicated, mut position) in &mut roamers {
        let mut chance = seed.of(replicated.global(), time.tick);
        let step = Vec2::new(chance.within(-0.9, 0.9), chance.within(-0.9, 0.9));
        position.0 = (position.0 + step).clamp(Vec2::splat(-SIDE * 0.5), Vec2::splat(SIDE * 0.5));
    }
}
