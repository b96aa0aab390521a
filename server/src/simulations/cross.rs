//! The two ends of every tick: what came is taken in at its beginning, what goes is packed at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use bevy_ecs::entity::EntityHashMap;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use super::balance::next_move;
use super::border::{place_ghosts, retire_unmentioned, show_ghosts, update_watchers};
use super::effects::{Effects, apply_all, receive_broadcast, return_lost};
use super::exchange::{GhostImage, PeerMessage, TickBatch, WatcherImage};
use super::map_shape::{GhostKinds, JoinPlaces};
use super::partition::Cell;
use super::state::Simulations;
use crate::boundary::link::{SessionKey, ToSimulation};
use crate::input::Inbox;
use crate::persist::{Group, Name, Persisted};
use crate::runner::{Clock, Shutdown, TickTime};
use crate::simulation::{
    Avatar, Eye, Frames, Owner, Player, RemoteFrames, Replicated, Room, RowLocation, Slots, Team, Viewer,
    WorkerLinks, remove_player,
};

/// Entities that leave one simulation in one tick at most; the others go in the next.
const EMIGRANTS_MAX: usize = 4_096;
/// Cells that change hands at one look at the loads, at most.
const CELL_MOVES_MAX: usize = 8;

/// Sends all simulations what the last tick led to and what the net workers received since. With a thread for
/// each simulation the tick itself begins with this; a program that runs several on one thread calls it on every
/// one before any ticks.
pub fn send_batch(world: &mut World) {
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        if simulations.is_sent {
            return;
        }
        let links = world.get_resource_mut::<WorkerLinks>();
        let ingress = links.map_or_else(Vec::new, |mut links| {
            links.links().iter_mut().flat_map(|link| link.drain()).collect()
        });
        let frame = world
            .contains_resource::<RemoteFrames>()
            .then(|| world.resource::<Frames>().0.newest().map(Arc::clone))
            .flatten();
        let batch = TickBatch {
            from: simulations.me,
            tick: world.resource::<TickTime>().tick.next(),
            ingress,
            messages: std::mem::take(&mut simulations.outgoing),
            frame,
        };
        simulations.is_sent = true;
        let exchange = simulations
            .exchange
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if exchange.send(batch).is_err() {
            stop(world);
        }
    });
}

/// Takes in the posts of all simulations, before the tick has its number.
pub(super) fn collect(world: &mut World) {
    send_batch(world);
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        let simulations = &mut *simulations;
        let exchange = simulations
            .exchange
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        simulations.is_sent = false;
        let Ok(batches) = exchange.receive_posts() else {
            return stop(world);
        };
        let tick = world.resource::<TickTime>().tick.next();
        despawn_departed(world, simulations);
        let persisted = world.get_resource_or_init::<Persisted>().clone();
        update_remote_frames(world, &batches, tick);
        spawn_arrivals(world, simulations, &persisted, &batches);
        let kinds = world.resource::<GhostKinds>().clone();
        let mut loads = BTreeMap::new();
        return_lost_effects(world, simulations, &batches);
        for batch in &batches {
            apply_effects(world, simulations, batch);
            for message in &batch.messages {
                let from = batch.from;
                apply_message(world, simulations, (from, message), tick, &kinds, &mut loads);
            }
        }
        retire_unmentioned(world, simulations, tick);
        place_ghosts(world, simulations);
        for _ in 0..CELL_MOVES_MAX {
            let Some(next) = next_move(&simulations.partition, &loads) else {
                break;
            };
            simulations.partition.assign(next.cell, next.to);
            simulations.counters.cells_moved += 1;
        }
        simulations.received = batches;
    });
}

/// The other simulations are gone, and one alone is only a part of the world.
fn stop(world: &mut World) {
    if let Some(shutdown) = world
        .get_resource::<Shutdown>()
        .filter(|shutdown| !shutdown.is_requested())
    {
        tracing::error!("another simulation has ended: this one ends too");
        shutdown.request();
    }
}

/// Removes what belongs to others from now on. Gameplay is not told: nobody has died or left.
fn despawn_departed(world: &mut World, simulations: &mut Simulations) {
    for entity in std::mem::take(&mut simulations.departing) {
        let Ok(departing) = world.get_entity(entity) else {
            continue;
        };
        match departing.get::<Player>().map(|player| player.session) {
            Some(session) => remove_player(world, session),
            None => drop(world.despawn(entity)),
        }
    }
    world.flush();
}

/// Hands gameplay those of its effects that found nobody in the last tick.
fn return_lost_effects(world: &mut World, simulations: &mut Simulations, batches: &[Arc<TickBatch>]) {
    let own = batches.get(usize::from(simulations.me.0)).map(Arc::clone);
    let Some(last) = std::mem::replace(&mut simulations.last_batch, own) else {
        return;
    };
    let mut applied = BTreeSet::new();
    for message in batches.iter().flat_map(|batch| &batch.messages) {
        if let PeerMessage::Applied { from, places } = message
            && *from == simulations.me
        {
            applied.extend(places);
        }
    }
    return_lost(world, &last.messages, &applied);
}

/// Applies a post's effects on entities of this world, and notes which to tell the sender.
fn apply_effects(world: &mut World, simulations: &mut Simulations, batch: &TickBatch) {
    let places = apply_all(world, batch.from, &batch.messages);
    simulations.counters.effects_applied += places.len() as u64;
    if !places.is_empty() {
        let from = batch.from;
        simulations.outgoing.push(PeerMessage::Applied { from, places });
    }
}

/// Everything but effects, and entities that change hands: those have done so before.
fn apply_message(
    world: &mut World,
    simulations: &mut Simulations,
    (from, message): (SimulationId, &PeerMessage),
    tick: Tick,
    kinds: &GhostKinds,
    loads: &mut BTreeMap<Cell, u64>,
) {
    let me = simulations.me;
    match message {
        PeerMessage::Broadcast { kind, bytes } => receive_broadcast(world, from, *kind, bytes),
        PeerMessage::Ghosts { to, ghosts } if *to == me => {
            show_ghosts(world, simulations, kinds, from, ghosts, tick)
        }
        PeerMessage::Watchers { to, watchers } if *to == me => {
            update_watchers(world, simulations, watchers, tick)
        }
        PeerMessage::Migrate { .. }
        | PeerMessage::Effect { .. }
        | PeerMessage::Applied { .. }
        | PeerMessage::Ghosts { .. }
        | PeerMessage::Watchers { .. } => {}
        PeerMessage::Loads(cells) => {
            for &(cell, load) in cells {
                *loads.entry(cell).or_default() += load;
            }
        }
    }
}

/// Takes in what everybody published, and notes who changes hands.
fn update_remote_frames(world: &mut World, batches: &[Arc<TickBatch>], tick: Tick) {
    let Some(mut remote_frames) = world.get_resource_mut::<RemoteFrames>() else {
        return;
    };
    for batch in batches {
        batch
            .frame
            .iter()
            .for_each(|frame| remote_frames.push_frame(frame));
        for message in &batch.messages {
            let PeerMessage::Migrate { slots, .. } = message else {
                continue;
            };
            for &(global, slot) in slots {
                let simulation = batch.from;
                remote_frames.record_move(global, RowLocation { simulation, slot }, tick - 1);
            }
        }
    }
    remote_frames.forget_before(tick);
}

/// Lets in all who belong here from now on. All are there before the first is filled, so that those who refer
/// to each other find each other, and before any effect is applied.
fn spawn_arrivals(
    world: &mut World,
    simulations: &mut Simulations,
    persisted: &Persisted,
    batches: &[Arc<TickBatch>],
) {
    let mut arrivals = Vec::new();
    let mut names = BTreeMap::new();
    let now = world.get_resource::<Clock>().map(Clock::now).unwrap_or_default();
    simulations.underway.clear();
    for message in batches.iter().flat_map(|batch| &batch.messages) {
        let PeerMessage::Migrate {
            to, group, left_at, ..
        } = message
        else {
            continue;
        };
        simulations
            .sessions
            .extend(group.sessions().map(|session| (session, *to)));
        if *to == simulations.me {
            simulations.underway.push(now.saturating_sub(*left_at));
            let spawned = group.spawn(world);
            names.extend(spawned.iter().filter_map(|&(entity, name)| Some((name?, entity))));
            arrivals.push((group, spawned));
        }
    }
    let (ghosts, counters) = (&simulations.ghosts, &mut simulations.counters);
    let find = |world: &World, name| {
        let known = names.get(&name).copied();
        known.or_else(|| match name {
            Name::Global(global) => {
                let ghost = || ghosts.get(&global).map(|known| known.entity);
                world.resource::<Slots>().find(global).or_else(ghost)
            }
            Name::Player(id) => {
                let mut players = world.try_query::<(Entity, &Player)>()?;
                let found = players.iter(world).find(|(_, player)| player.id == id);
                found.map(|(entity, _)| entity)
            }
        })
    };
    for (group, spawned) in arrivals {
        if let Err(error) = group.fill(world, persisted, &spawned, find) {
            tracing::error!(%error, "an entity from another simulation is lost");
            counters.failed += 1;
            continue;
        }
        counters.immigrated += group.globals().count() as u64;
        counters.players_came += group.sessions().count() as u64;
    }
}

/// Fills the inbox with what the net workers of all simulations received for players of this one.
pub(super) fn fill_inbox(world: &mut World) {
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        world.resource_scope(|world, mut inbox: Mut<Inbox>| {
            for batch in std::mem::take(&mut simulations.received) {
                for value in &batch.ingress {
                    // A value of no session is counted where it came in.
                    let owner = owner_of(world, &mut simulations, batch.from, value).unwrap_or(batch.from);
                    if owner == simulations.me {
                        inbox.push(value.clone());
                    }
                }
            }
        });
    });
}

/// The simulation in which a value's session is played. Follows sessions that join and leave.
fn owner_of(
    world: &mut World,
    simulations: &mut Simulations,
    from: SimulationId,
    value: &ToSimulation,
) -> Option<SimulationId> {
    match value {
        ToSimulation::Joined { key, .. } => {
            let places = world.get_resource::<JoinPlaces>();
            let owner = places.map(|places| simulations.partition.owner((places.0)(simulations.joined)));
            let owner = owner.unwrap_or(from);
            simulations.joined += 1;
            simulations.sessions.insert(*key, owner);
            Some(owner)
        }
        ToSimulation::Left { key, .. } => {
            // At once: the next session may have the same place in the frame.
            let watcher = simulations.watchers.remove(key).map(|(entity, _)| entity);
            if let Some(watcher) = watcher.and_then(|entity| world.get_entity_mut(entity).ok()) {
                watcher.despawn();
            }
            simulations.sessions.remove(key)
        }
        ToSimulation::Input { key, .. } | ToSimulation::Message { key, .. } => {
            simulations.sessions.get(key).copied()
        }
    }
}

type Located = (
    Entity,
    &'static Replicated,
    (&'static Position, &'static Velocity, &'static Heading),
    &'static Owner,
    &'static Team,
    Option<&'static ChildOf>,
    &'static Room,
);

/// Sends off what the tick led to.
pub(super) fn dispatch(world: &mut World) {
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        let simulations = &mut *simulations;
        let effects = world.resource_mut::<Effects>().take();
        simulations.outgoing.extend(effects);
        if simulations.partition.simulations() == 1 {
            return;
        }
        let Survey {
            mut emigrants,
            ghosts,
            loads,
        } = survey(world, simulations);
        emigrants.sort_unstable();
        emigrants.truncate(EMIGRANTS_MAX);
        let leaving = emigrate(world, simulations, &emigrants);
        for (to, mut ghosts) in ghosts {
            ghosts.sort_unstable_by_key(|ghost| ghost.global);
            simulations.outgoing.push(PeerMessage::Ghosts { to, ghosts });
        }
        for (to, mut watchers) in watchers(world, simulations, &leaving) {
            watchers.sort_unstable_by_key(|watcher| watcher.session);
            simulations.outgoing.push(PeerMessage::Watchers { to, watchers });
        }
        if simulations.reports_loads(world) {
            simulations
                .outgoing
                .push(PeerMessage::Loads(loads.into_iter().collect()));
        }
    });
}

/// What an end of a tick finds out about all entities.
#[derive(Default)]
struct Survey {
    emigrants: Vec<(GlobalId, Entity, SimulationId)>,
    ghosts: BTreeMap<SimulationId, Vec<GhostImage>>,
    loads: BTreeMap<Cell, u64>,
}

fn survey(world: &mut World, simulations: &Simulations) -> Survey {
    let mut survey = Survey::default();
    let (me, partition) = (simulations.me, &simulations.partition);
    let (reach, is_due) = (simulations.config.ghost_reach, simulations.reports_loads(world));
    let kinds = world.resource::<GhostKinds>().clone();
    let mut entities = world.query::<Located>();
    for (entity, replicated, (position, velocity, heading), owner, team, parent, room) in entities.iter(world)
    {
        let Some(slot) = replicated.slot() else {
            continue;
        };
        if is_due {
            *survey.loads.entry(partition.cell_of(position.0)).or_default() += 1;
        }
        // A child goes where its parent goes.
        let is_child = parent.is_some_and(|parent| world.get::<Replicated>(parent.parent()).is_some());
        let to = if is_child {
            me
        } else {
            partition.owner_after(position.0, me, simulations.config.margin)
        };
        if to != me {
            survey.emigrants.push((replicated.global(), entity, to));
        }
        if reach <= 0.0 {
            continue;
        }
        let near = partition.touches(position.0, reach);
        for simulation in near.with(me).without(to).iter() {
            survey.ghosts.entry(simulation).or_default().push(GhostImage {
                global: replicated.global(),
                slot,
                room: room.0,
                position: *position,
                velocity: *velocity,
                heading: *heading,
                owner: owner.0,
                team: team.0,
                values: kinds.look(world.entity(entity)),
            });
        }
    }
    survey
}

/// Packs those who leave, with their children and the players whose avatars they are. Answers where which
/// session goes.
fn emigrate(
    world: &mut World,
    simulations: &mut Simulations,
    emigrants: &[(GlobalId, Entity, SimulationId)],
) -> BTreeMap<SessionKey, SimulationId> {
    let mut leaving = BTreeMap::new();
    if emigrants.is_empty() {
        return leaving;
    }
    let persisted = world.get_resource_or_init::<Persisted>().clone();
    let left_at = world.get_resource::<Clock>().map(Clock::now).unwrap_or_default();
    let mut players = EntityHashMap::<Entity>::default();
    let mut avatars = world.query::<(Entity, &Avatar, &Player)>();
    players.extend(avatars.iter(world).map(|(player, avatar, _)| (avatar.0, player)));
    for &(global, entity, to) in emigrants {
        let mut members = vec![entity];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            next += 1;
            if let Some(children) = world.get::<Children>(member) {
                members.extend(children.iter());
            }
            members.extend(players.get(&member));
        }
        match Group::pack(world, &persisted, &members) {
            Ok(group) => {
                leaving.extend(group.sessions().map(|session| (session, to)));
                simulations.counters.emigrated += group.globals().count() as u64;
                let rows = members.iter().filter_map(|&member| {
                    let replicated = world.get::<Replicated>(member)?;
                    Some((replicated.global(), replicated.slot()?))
                });
                let slots = rows.collect();
                simulations.departing.extend(members);
                simulations.outgoing.push(PeerMessage::Migrate {
                    to,
                    group,
                    slots,
                    left_at,
                });
            }
            Err(error) => {
                tracing::error!(%error, %global, "an entity cannot be packed and stays");
                simulations.counters.failed += 1;
            }
        }
    }
    leaving
}

/// The players of this simulation who see places of others.
fn watchers(
    world: &mut World,
    simulations: &Simulations,
    leaving: &BTreeMap<SessionKey, SimulationId>,
) -> BTreeMap<SimulationId, Vec<WatcherImage>> {
    let mut seen: BTreeMap<SimulationId, Vec<WatcherImage>> = BTreeMap::new();
    let mut players = world.query::<(&Player, &Team, &Room, Option<&Avatar>, &Eye, &Viewer)>();
    let mut rooms = world.query::<&Room>();
    for (player, team, room, avatar, eye, viewer) in players.iter(world) {
        let acting = avatar.and_then(|avatar| rooms.get(world, avatar.0).ok());
        let owner = leaving.get(&player.session).copied().unwrap_or(simulations.me);
        // As far as entities stay in a view that they were in.
        let reach = viewer.radius * VIEW_SLACK;
        for to in simulations.partition.touches(eye.0, reach).without(owner).iter() {
            seen.entry(to).or_default().push(WatcherImage {
                session: player.session,
                player: player.id,
                team: team.0,
                room: acting.unwrap_or(room).0,
                eye: eye.0,
                radius: viewer.radius,
            });
        }
    }
    seen
}

/// Part of a view's radius within which its places count as seen: what was in view is let go of beyond it.
const VIEW_SLACK: f32 = 1.25;

impl Simulations {
    /// Whether the simulations tell each other their loads after this tick.
    fn reports_loads(&self, world: &World) -> bool {
        let every = self.config.balance_ticks;
        every > 0 && world.resource::<TickTime>().tick.0.is_multiple_of(every)
    }
}
