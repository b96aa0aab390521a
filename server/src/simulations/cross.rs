//! The systems at both ends of a tick: `collect` applies what the other simulations sent, `dispatch` packs
//! what this one sends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bevy_ecs::entity::EntityHashMap;
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SimulationId, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::tick::Tick;

use super::balance::next_move;
use super::border::{place_ghosts, retire_unmentioned, show_ghosts, update_watchers};
use super::effects::{EffectsInTransit, apply_all, receive_broadcast, return_lost};
use super::exchange::{GhostImage, PeerMessage, TickBatch, WatcherImage};
use super::ingress::report_players_left;
use super::map_shape::GhostKinds;
use super::partition::Cell;
use super::state::Simulations;
use crate::boundary::link::SessionKey;
use crate::persist::{Group, Persisted, SharedName};
use crate::runner::{Clock, Shutdown, TickJump, TickTime};
use crate::simulation::{
    Avatar, Away, Eye, EyeHeight, Frames, Owner, Player, Players, RemoteFrames, Replicated, Room,
    RowLocation, Slots, Team, ViewHeight, Viewer, WorkerLinks, remove_player,
};

/// The most entities that leave one simulation in one tick. Further ones leave in the next tick.
const EMIGRANTS_MAX: usize = 4_096;
/// The most cells that change their owner in one tick with load reports.
const CELL_MOVES_MAX: usize = 8;

/// Sends this simulation's batch to all simulations: the messages of the last tick, and what the net workers
/// received since. A simulation with a thread of its own sends at the beginning of its tick. A program that
/// runs several simulations on one thread calls this for each of them before any of them ticks.
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
            last_tick: world.resource::<TickTime>().tick,
            skipped: world.resource::<TickJump>().skipped(),
            ingress,
            messages: std::mem::take(&mut simulations.outgoing),
            frame,
        };
        simulations.is_sent = true;
        if simulations.exchange().send(batch).is_err() {
            stop(world);
        }
    });
}

/// Receives the batches of all simulations and applies them, before the tick number is incremented.
pub(super) fn collect(world: &mut World) {
    send_batch(world);
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        let simulations = &mut *simulations;
        simulations.is_sent = false;
        let Ok(batches) = simulations.exchange().receive_batches() else {
            return stop(world);
        };
        let last_tick = world.resource::<TickTime>().tick;
        let tick = agree_on_tick(world, &batches, last_tick);
        despawn_departed(world, simulations);
        let persisted = Persisted::of(world);
        update_remote_frames(world, &batches, last_tick, tick);
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

/// Makes this simulation skip as many tick numbers as the one that skips the most, and returns the next tick. All
/// simulations have the same batches, so that all agree on the same tick.
fn agree_on_tick(world: &mut World, batches: &[Arc<TickBatch>], last_tick: Tick) -> Tick {
    let skipped = batches.iter().map(|batch| batch.skipped).max().unwrap_or(0);
    world.resource_mut::<TickJump>().agree(skipped);
    (last_tick + skipped).next()
}

/// Requests the shutdown: another simulation has ended, and this one has only a part of the plane.
fn stop(world: &mut World) {
    if let Some(shutdown) = world
        .get_resource::<Shutdown>()
        .filter(|shutdown| !shutdown.is_requested())
    {
        shutdown.request();
        tracing::error!("another simulation has ended, so that this one stops too");
    }
}

/// Despawns the entities that migrated to other simulations. No `PlayerLeft` is written, because the players
/// have not left the process.
fn despawn_departed(world: &mut World, simulations: &mut Simulations) {
    for entity in std::mem::take(&mut simulations.departing) {
        let Ok(departing) = world.get_entity(entity) else {
            continue;
        };
        match departing.contains::<Player>() {
            true => remove_player(world, entity),
            false => drop(world.despawn(entity)),
        }
    }
    world.flush();
}

/// Writes [`EffectReturned`](super::EffectReturned) for the effects of the last batch that no simulation
/// applied.
fn return_lost_effects(world: &mut World, simulations: &mut Simulations, batches: &[Arc<TickBatch>]) {
    let own = batches.get(usize::from(simulations.me.0)).map(Arc::clone);
    let Some(last) = std::mem::replace(&mut simulations.last_batch, own) else {
        return;
    };
    let mut applied = BTreeSet::new();
    for message in batches.iter().flat_map(|batch| &batch.messages) {
        if let PeerMessage::Applied { from, indices } = message
            && *from == simulations.me
        {
            applied.extend(indices);
        }
    }
    return_lost(world, &last.messages, &applied);
}

/// Applies a batch's effects on entities of this simulation, and sends their indices back to the sender.
fn apply_effects(world: &mut World, simulations: &mut Simulations, batch: &TickBatch) {
    let indices = apply_all(world, batch.from, &batch.messages);
    simulations.counters.effects_applied += indices.len() as u64;
    if !indices.is_empty() {
        let from = batch.from;
        simulations.outgoing.push(PeerMessage::Applied { from, indices });
    }
}

/// Applies every other message of a batch. Migrated entities and effects were applied before.
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
            show_ghosts(world, simulations, kinds, from, ghosts, tick);
        }
        PeerMessage::Watchers { to, watchers } if *to == me => {
            update_watchers(world, simulations, watchers, tick);
        }
        PeerMessage::Migrate { .. }
        | PeerMessage::Effect { .. }
        | PeerMessage::Applied { .. }
        | PeerMessage::Ghosts { .. }
        | PeerMessage::Watchers { .. } => {}
        // A client that joins again in this tick is a new one.
        PeerMessage::PlayersLeft(clients) => {
            for client in clients {
                simulations.clients.remove(client);
            }
        }
        PeerMessage::Loads(cells) => {
            for &(cell, load) in cells {
                *loads.entry(cell).or_default() += load;
            }
        }
    }
}

/// Stores the frames that all simulations published, and records the rows that migrated entities had.
fn update_remote_frames(world: &mut World, batches: &[Arc<TickBatch>], last_tick: Tick, tick: Tick) {
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
                remote_frames.record_move(global, RowLocation { simulation, slot }, last_tick);
            }
        }
    }
    remote_frames.forget_before(tick);
}

/// Spawns the entities that migrated to this simulation. All are spawned before the first one gets its
/// components, so that they can refer to each other, and before any effect is applied.
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
        simulations
            .clients
            .extend(group.clients().map(|client| (client, *to)));
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
            SharedName::Global(global) => {
                let ghost = || ghosts.get(&global).map(|known| known.entity);
                world.resource::<Slots>().find(global).or_else(ghost)
            }
            SharedName::Player(id) => world.resource::<Players>().find(id),
        })
    };
    for (group, spawned) in arrivals {
        if let Err(error) = group.fill(world, persisted, &spawned, find) {
            tracing::error!(%error, "an entity from another simulation is lost");
            counters.failed += 1;
            continue;
        }
        counters.immigrated += group.globals().count() as u64;
        counters.players_came += group.clients().count() as u64;
    }
}

type Located = (
    Entity,
    &'static Replicated,
    (&'static Position, &'static Velocity, &'static Heading),
    Option<(&'static Position3d, &'static Velocity3d, &'static Rotation3d)>,
    &'static Owner,
    Option<&'static Team>,
    Option<&'static ChildOf>,
    &'static Room,
);

/// Packs the messages of this tick: effects, migrating entities, ghosts, watchers and loads.
pub(super) fn dispatch(world: &mut World) {
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        let simulations = &mut *simulations;
        let effects = world.resource_mut::<EffectsInTransit>().take();
        simulations.outgoing.extend(effects);
        report_players_left(world, simulations);
        if simulations.partition.simulations() == 1 {
            return;
        }
        let BorderScan {
            mut emigrants,
            ghosts,
            loads,
        } = scan_entities(world, simulations);
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

/// What [`scan_entities`] finds out about the entities at the end of a tick.
#[derive(Default)]
struct BorderScan {
    emigrants: Vec<(GlobalId, Entity, SimulationId)>,
    ghosts: BTreeMap<SimulationId, Vec<GhostImage>>,
    loads: BTreeMap<Cell, u64>,
}

fn scan_entities(world: &mut World, simulations: &Simulations) -> BorderScan {
    let mut scan = BorderScan::default();
    let (me, partition) = (simulations.me, &simulations.partition);
    let (reach, is_due) = (simulations.config.ghost_reach, simulations.reports_loads(world));
    let kinds = world.resource::<GhostKinds>().clone();
    let mut entities = world.query::<Located>();
    for (entity, replicated, (position, velocity, heading), pose_3d, owner, team, parent, room) in
        entities.iter(world)
    {
        let Some(slot) = replicated.slot() else {
            continue;
        };
        if is_due {
            *scan.loads.entry(partition.cell_of(position.0)).or_default() += 1;
        }
        // A child migrates with its parent.
        let is_child = parent.is_some_and(|parent| world.get::<Replicated>(parent.parent()).is_some());
        let to = if is_child {
            me
        } else {
            partition.owner_after(position.0, me, simulations.config.margin)
        };
        if to != me {
            scan.emigrants.push((replicated.global(), entity, to));
        }
        if reach <= 0.0 {
            continue;
        }
        let near = partition.touches(position.0, reach);
        for simulation in near.with(me).without(to).iter() {
            scan.ghosts.entry(simulation).or_default().push(GhostImage {
                global: replicated.global(),
                slot,
                room: room.0,
                position: *position,
                velocity: *velocity,
                heading: *heading,
                pose_3d: pose_3d.map(|(position, velocity, rotation)| (*position, *velocity, *rotation)),
                owner: owner.0,
                team: team.map_or(TeamId::NONE, |team| team.0),
                values: kinds.read(world.entity(entity)),
            });
        }
    }
    scan
}

/// Packs the emigrants with their children and the players whose avatars they are. Returns the new simulation
/// of each session among them.
fn emigrate(
    world: &mut World,
    simulations: &mut Simulations,
    emigrants: &[(GlobalId, Entity, SimulationId)],
) -> BTreeMap<SessionKey, SimulationId> {
    let mut leaving = BTreeMap::new();
    if emigrants.is_empty() {
        return leaving;
    }
    let persisted = Persisted::of(world);
    let left_at = world.get_resource::<Clock>().map(Clock::now).unwrap_or_default();
    let mut players = EntityHashMap::<Entity>::default();
    let mut avatars = world.query_filtered::<(Entity, &Avatar, &Player), Allow<Disabled>>();
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

/// Returns the watchers: the players of this simulation that have a session and whose views reach the parts of others,
/// by the simulation that they see.
fn watchers(
    world: &mut World,
    simulations: &Simulations,
    leaving: &BTreeMap<SessionKey, SimulationId>,
) -> BTreeMap<SimulationId, Vec<WatcherImage>> {
    let mut seen: BTreeMap<SimulationId, Vec<WatcherImage>> = BTreeMap::new();
    type Watching = (
        &'static Player,
        &'static Team,
        &'static Room,
        Option<&'static Avatar>,
        &'static Eye,
        &'static Viewer,
        (Option<&'static EyeHeight>, Option<&'static ViewHeight>),
    );
    let mut players = world.query_filtered::<Watching, (Without<Away>, Allow<Disabled>)>();
    let mut rooms = world.query_filtered::<&Room, Allow<Disabled>>();
    for (player, team, room, avatar, eye, viewer, (eye_height, view_height)) in players.iter(world) {
        let acting = avatar.and_then(|avatar| rooms.get(world, avatar.0).ok());
        let owner = leaving.get(&player.session).copied().unwrap_or(simulations.me);
        // The distance up to which entities stay in a view once they are in it.
        let reach = viewer.radius * VIEW_SLACK;
        for to in simulations.partition.touches(eye.0, reach).without(owner).iter() {
            seen.entry(to).or_default().push(WatcherImage {
                session: player.session,
                player: player.id,
                team: team.0,
                room: acting.unwrap_or(room).0,
                eye: eye.0,
                radius: viewer.radius,
                heights: (eye_height.copied(), view_height.copied()),
            });
        }
    }
    seen
}

/// The factor by which a view's radius is enlarged to decide which simulations a player sees. Entities that
/// are in view are kept up to this distance.
const VIEW_SLACK: f32 = 1.25;
