//! The two ends of every tick: what came is taken in at its beginning, what goes is packed at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use bevy_ecs::entity::EntityHashMap;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SourceId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use super::balance::next_move;
use super::border::{place_ghosts, retire_unmentioned, seat_watchers, show_ghosts};
use super::effects::{Effects, apply_all, give_back_lost, hear_news};
use super::exchange::{GhostImage, Letter, Post, WatcherImage};
use super::partition::Cell;
use super::shape::{GhostKinds, JoinPlaces};
use super::state::{Worlds, WorldsCounters};
use crate::boundary::link::{SessionKey, ToSimulation};
use crate::input::Inbox;
use crate::persist::{Group, Name, Persisted};
use crate::runner::{Clock, Shutdown, TickTime};
use crate::simulation::{
    Abode, Abroad, Avatar, Eye, Frames, Owner, Player, Replicated, Room, Slots, Team, Viewer, WorkerLinks,
    depart,
};

/// Entities that leave one simulation in one tick at most; the others go in the next.
const EMIGRANTS_MAX: usize = 4_096;
/// Cells that change hands at one look at the loads, at most.
const CELL_MOVES_MAX: usize = 8;

/// Sends all simulations what the last tick led to and what the net workers received since. With a thread for
/// each simulation the tick itself begins with this; a program that runs several on one thread calls it on every
/// one before any ticks.
pub fn post(world: &mut World) {
    world.resource_scope(|world, mut worlds: Mut<Worlds>| {
        if worlds.is_posted {
            return;
        }
        let links = world.get_resource_mut::<WorkerLinks>();
        let ingress = links.map_or_else(Vec::new, |mut links| {
            links.links().iter_mut().flat_map(|link| link.drain()).collect()
        });
        let frame = world
            .contains_resource::<Abroad>()
            .then(|| world.resource::<Frames>().0.newest().map(Arc::clone))
            .flatten();
        let post = Post {
            from: worlds.me,
            tick: world.resource::<TickTime>().tick.next(),
            ingress,
            letters: std::mem::take(&mut worlds.outgoing),
            frame,
        };
        worlds.is_posted = true;
        let exchange = worlds.exchange.get_mut().unwrap_or_else(PoisonError::into_inner);
        if exchange.send(post).is_err() {
            stop(world);
        }
    });
}

/// Takes in the posts of all simulations, before the tick has its number.
pub(super) fn collect(world: &mut World) {
    post(world);
    world.resource_scope(|world, mut worlds: Mut<Worlds>| {
        let worlds = &mut *worlds;
        let exchange = worlds.exchange.get_mut().unwrap_or_else(PoisonError::into_inner);
        worlds.is_posted = false;
        let Ok(posts) = exchange.receive_posts() else {
            return stop(world);
        };
        let tick = world.resource::<TickTime>().tick.next();
        let_go(world, worlds);
        let persisted = world.get_resource_or_init::<Persisted>().clone();
        look_abroad(world, &posts, tick);
        settle(world, worlds, &persisted, &posts);
        let kinds = world.resource::<GhostKinds>().clone();
        let mut loads = BTreeMap::new();
        take_back(world, worlds, &posts);
        for post in &posts {
            apply_effects(world, worlds, post);
            for letter in &post.letters {
                open(world, worlds, (post.from, letter), tick, &kinds, &mut loads);
            }
        }
        retire_unmentioned(world, worlds, tick);
        place_ghosts(world, worlds);
        for _ in 0..CELL_MOVES_MAX {
            let Some(next) = next_move(&worlds.partition, &loads) else {
                break;
            };
            worlds.partition.assign(next.cell, next.to);
            worlds.counters.cells_moved += 1;
        }
        worlds.received = posts;
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
fn let_go(world: &mut World, worlds: &mut Worlds) {
    for entity in std::mem::take(&mut worlds.departing) {
        let Ok(departing) = world.get_entity(entity) else {
            continue;
        };
        match departing.get::<Player>().map(|player| player.session) {
            Some(session) => depart(world, session),
            None => drop(world.despawn(entity)),
        }
    }
    world.flush();
}

/// Hands gameplay those of its effects that found nobody in the last tick.
fn take_back(world: &mut World, worlds: &mut Worlds, posts: &[Arc<Post>]) {
    let own = posts.get(usize::from(worlds.me.0)).map(Arc::clone);
    let Some(last) = std::mem::replace(&mut worlds.last_post, own) else {
        return;
    };
    let mut applied = BTreeSet::new();
    for letter in posts.iter().flat_map(|post| &post.letters) {
        if let Letter::Applied { from, places } = letter
            && *from == worlds.me
        {
            applied.extend(places);
        }
    }
    give_back_lost(world, &last.letters, &applied);
}

/// Applies a post's effects on entities of this world, and notes which to tell the sender.
fn apply_effects(world: &mut World, worlds: &mut Worlds, post: &Post) {
    let places = apply_all(world, post.from, &post.letters);
    worlds.counters.effects_applied += places.len() as u64;
    if !places.is_empty() {
        let from = post.from;
        worlds.outgoing.push(Letter::Applied { from, places });
    }
}

/// Everything but effects, and entities that change hands: those have done so before.
fn open(
    world: &mut World,
    worlds: &mut Worlds,
    (from, letter): (SourceId, &Letter),
    tick: Tick,
    kinds: &GhostKinds,
    loads: &mut BTreeMap<Cell, u64>,
) {
    let me = worlds.me;
    match letter {
        Letter::News { kind, bytes } => hear_news(world, from, *kind, bytes),
        Letter::Ghosts { to, ghosts } if *to == me => show_ghosts(world, worlds, kinds, from, ghosts, tick),
        Letter::Watchers { to, watchers } if *to == me => seat_watchers(world, worlds, watchers, tick),
        Letter::Migrate { .. }
        | Letter::Effect { .. }
        | Letter::Applied { .. }
        | Letter::Ghosts { .. }
        | Letter::Watchers { .. } => {}
        Letter::Loads(cells) => {
            for &(cell, load) in cells {
                *loads.entry(cell).or_default() += load;
            }
        }
    }
}

/// Takes in what everybody published, and notes who changes hands.
fn look_abroad(world: &mut World, posts: &[Arc<Post>], tick: Tick) {
    let Some(mut abroad) = world.get_resource_mut::<Abroad>() else {
        return;
    };
    for post in posts {
        post.frame.iter().for_each(|frame| abroad.show(frame));
        for letter in &post.letters {
            let Letter::Migrate { slots, .. } = letter else {
                continue;
            };
            for &(global, slot) in slots {
                let source = post.from;
                abroad.moved(global, Abode { source, slot }, tick - 1);
            }
        }
    }
    abroad.forget_before(tick);
}

/// Lets in all who belong here from now on. All are there before the first is filled, so that those who refer
/// to each other find each other, and before any effect is applied.
fn settle(world: &mut World, worlds: &mut Worlds, persisted: &Persisted, posts: &[Arc<Post>]) {
    let mut arrivals = Vec::new();
    let mut names = BTreeMap::new();
    let now = world.get_resource::<Clock>().map(Clock::now).unwrap_or_default();
    worlds.underway.clear();
    for letter in posts.iter().flat_map(|post| &post.letters) {
        let Letter::Migrate {
            to, group, left_at, ..
        } = letter
        else {
            continue;
        };
        worlds
            .sessions
            .extend(group.sessions().map(|session| (session, *to)));
        if *to == worlds.me {
            worlds.underway.push(now.saturating_sub(*left_at));
            let spawned = group.spawn(world);
            names.extend(spawned.iter().filter_map(|&(entity, name)| Some((name?, entity))));
            arrivals.push((group, spawned));
        }
    }
    let (ghosts, counters) = (&worlds.ghosts, &mut worlds.counters);
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
    world.resource_scope(|world, mut worlds: Mut<Worlds>| {
        world.resource_scope(|world, mut inbox: Mut<Inbox>| {
            for post in std::mem::take(&mut worlds.received) {
                for value in &post.ingress {
                    // A value of no session is counted where it came in.
                    let owner = owner_of(world, &mut worlds, post.from, value).unwrap_or(post.from);
                    if owner == worlds.me {
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
    worlds: &mut Worlds,
    from: SourceId,
    value: &ToSimulation,
) -> Option<SourceId> {
    match value {
        ToSimulation::Joined { key, .. } => {
            let places = world.get_resource::<JoinPlaces>();
            let home = places.map(|places| worlds.partition.owner((places.0)(worlds.joined)));
            let home = home.unwrap_or(from);
            worlds.joined += 1;
            worlds.sessions.insert(*key, home);
            Some(home)
        }
        ToSimulation::Left { key, .. } => {
            // At once: the next session may have the same place in the frame.
            let watcher = worlds.watchers.remove(key).map(|(entity, _)| entity);
            if let Some(watcher) = watcher.and_then(|entity| world.get_entity_mut(entity).ok()) {
                watcher.despawn();
            }
            worlds.sessions.remove(key)
        }
        ToSimulation::Input { key, .. } | ToSimulation::Message { key, .. } => {
            worlds.sessions.get(key).copied()
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
    world.resource_scope(|world, mut worlds: Mut<Worlds>| {
        let worlds = &mut *worlds;
        let effects = world.resource_mut::<Effects>().take();
        worlds.outgoing.extend(effects);
        if worlds.partition.simulations() == 1 {
            return;
        }
        let Survey {
            mut emigrants,
            ghosts,
            loads,
        } = survey(world, worlds);
        emigrants.sort_unstable();
        emigrants.truncate(EMIGRANTS_MAX);
        let leaving = emigrate(world, worlds, &emigrants);
        for (to, mut ghosts) in ghosts {
            ghosts.sort_unstable_by_key(|ghost| ghost.global);
            worlds.outgoing.push(Letter::Ghosts { to, ghosts });
        }
        for (to, mut watchers) in watchers(world, worlds, &leaving) {
            watchers.sort_unstable_by_key(|watcher| watcher.session);
            worlds.outgoing.push(Letter::Watchers { to, watchers });
        }
        if worlds.looks_at_loads(world) {
            worlds.outgoing.push(Letter::Loads(loads.into_iter().collect()));
        }
    });
}

/// What an end of a tick finds out about all entities.
#[derive(Default)]
struct Survey {
    emigrants: Vec<(GlobalId, Entity, SourceId)>,
    ghosts: BTreeMap<SourceId, Vec<GhostImage>>,
    loads: BTreeMap<Cell, u64>,
}

fn survey(world: &mut World, worlds: &Worlds) -> Survey {
    let mut survey = Survey::default();
    let (me, partition) = (worlds.me, &worlds.partition);
    let (reach, is_due) = (worlds.config.ghost_reach, worlds.looks_at_loads(world));
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
            partition.owner_after(position.0, me, worlds.config.margin)
        };
        if to != me {
            survey.emigrants.push((replicated.global(), entity, to));
        }
        if reach <= 0.0 {
            continue;
        }
        let near = partition.touches(position.0, reach);
        for neighbour in near.with(me).without(to).iter() {
            survey.ghosts.entry(neighbour).or_default().push(GhostImage {
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
    worlds: &mut Worlds,
    emigrants: &[(GlobalId, Entity, SourceId)],
) -> BTreeMap<SessionKey, SourceId> {
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
                worlds.counters.emigrated += group.globals().count() as u64;
                let rows = members.iter().filter_map(|&member| {
                    let replicated = world.get::<Replicated>(member)?;
                    Some((replicated.global(), replicated.slot()?))
                });
                let slots = rows.collect();
                worlds.departing.extend(members);
                worlds.outgoing.push(Letter::Migrate {
                    to,
                    group,
                    slots,
                    left_at,
                });
            }
            Err(error) => {
                tracing::error!(%error, %global, "an entity cannot be packed and stays");
                worlds.counters.failed += 1;
            }
        }
    }
    leaving
}

/// The players of this simulation who see places of others.
fn watchers(
    world: &mut World,
    worlds: &Worlds,
    leaving: &BTreeMap<SessionKey, SourceId>,
) -> BTreeMap<SourceId, Vec<WatcherImage>> {
    let mut seen: BTreeMap<SourceId, Vec<WatcherImage>> = BTreeMap::new();
    let mut players = world.query::<(&Player, &Team, &Room, Option<&Avatar>, &Eye, &Viewer)>();
    let mut rooms = world.query::<&Room>();
    for (player, team, room, avatar, eye, viewer) in players.iter(world) {
        let acting = avatar.and_then(|avatar| rooms.get(world, avatar.0).ok());
        let home = leaving.get(&player.session).copied().unwrap_or(worlds.me);
        // As far as entities stay in a view that they were in.
        let reach = viewer.radius * VIEW_SLACK;
        for to in worlds.partition.touches(eye.0, reach).without(home).iter() {
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

impl Worlds {
    /// Whether the simulations tell each other their loads after this tick.
    fn looks_at_loads(&self, world: &World) -> bool {
        let every = self.config.balance_ticks;
        every > 0 && world.resource::<TickTime>().tick.0.is_multiple_of(every)
    }
}

impl WorldsCounters {
    /// Adds another simulation's, for a sum over the process.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            emigrated: self.emigrated + other.emigrated,
            immigrated: self.immigrated + other.immigrated,
            players_came: self.players_came + other.players_came,
            effects_applied: self.effects_applied + other.effects_applied,
            failed: self.failed + other.failed,
            // The same everywhere.
            cells_moved: self.cells_moved.max(other.cells_moved),
        }
    }
}
