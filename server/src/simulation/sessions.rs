//! How sessions begin, continue and end players.
//!
//! Guarantees that a client has one player, which its session with the highest number has; that a later end of an
//! older session changes nothing; and that for each player `PlayerJoined` and `PlayerLeft` are written once, in this
//! order, with any number of `PlayerAway` and `PlayerReturned` in between.

use std::cmp::Reverse;

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;

use super::away::{AWAY_MAX, Away, Linger, PlayerAway, PlayerReturned};
use super::inputs::InputBuffer;
use super::players::{AreaOfInterest, Avatar, Player, PlayerJoined, PlayerLeft, Players};
use super::routes::remove_route;
use super::tell::Outbox;
use crate::boundary::claims::PlayerName;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey};
use crate::runner::TickTime;

/// A session that a worker announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSession {
    pub(crate) key: SessionKey,
    pub(crate) client_id: u64,
    pub(crate) number: u64,
    pub(crate) name: PlayerName,
    pub(crate) kind: PeerKind,
}

/// Gives a new session to the player of its client, which is spawned if the client has none. Of two sessions of a
/// client, the one with the lower number is ended.
pub(crate) fn join(world: &mut World, arrival: &NewSession) {
    let players = world.resource::<Players>();
    if players.get(arrival.key).is_some() {
        tracing::error!(key = ?arrival.key, "a worker announced a session twice");
        return;
    }
    if let Some(entity) = players.of_client(arrival.client_id) {
        return rebind(world, entity, arrival);
    }
    let player = Player {
        id: world.resource_mut::<Players>().next_id(),
        session: arrival.key,
        session_number: arrival.number,
        client_id: arrival.client_id,
        name: arrival.name,
        kind: arrival.kind,
    };
    let entity = world.spawn(player).id();
    world.resource_mut::<Players>().insert(&player, entity);
    world.write_message(PlayerJoined { entity, player });
}

/// Returns whether the client has a player with a session of a higher number.
pub(crate) fn is_outdated(world: &World, arrival: &NewSession) -> bool {
    let player = world.resource::<Players>().of_client(arrival.client_id);
    let player = player.and_then(|entity| world.get::<Player>(entity));
    player.is_some_and(|player| arrival.number < player.session_number)
}

/// Gives a new session to an existing player.
fn rebind(world: &mut World, entity: Entity, arrival: &NewSession) {
    let Some(&old) = world.get::<Player>(entity) else {
        return;
    };
    if is_outdated(world, arrival) {
        let mut outbox = world.resource_mut::<Outbox>();
        return outbox.disconnect(arrival.key, LeaveReason::Replaced);
    }
    let player = Player {
        session: arrival.key,
        session_number: arrival.number,
        name: arrival.name,
        kind: arrival.kind,
        ..old
    };
    let mut players = world.resource_mut::<Players>();
    players.remove_session(old.session);
    players.insert(&player, entity);
    remove_route(DeferredWorld::from(&mut *world), entity);
    let mut returned = world.entity_mut(entity);
    returned.insert((player, InputBuffer::default())).remove::<Away>();
    world.write_message(PlayerReturned { entity, player });
}

/// Ends a session. Its player goes away or leaves, by the reason. Does nothing if the session has no player here.
pub(crate) fn leave(world: &mut World, session: SessionKey, reason: LeaveReason) {
    let Some(entity) = world.resource::<Players>().get(session) else {
        return;
    };
    let length = world.resource::<TickTime>().length;
    match world.resource::<Linger>().ticks(length) {
        ticks if ticks > 0 && reason.lingers() => go_away(world, entity, reason, ticks),
        _ => end_player(world, entity, reason),
    }
}

/// Makes a player away for a number of ticks, the running one included.
fn go_away(world: &mut World, entity: Entity, reason: LeaveReason, ticks: u32) {
    let Some(&old) = world.get::<Player>(entity) else {
        return;
    };
    let player = Player {
        session: SessionKey::NONE,
        ..old
    };
    world.resource_mut::<Players>().remove_session(old.session);
    remove_route(DeferredWorld::from(&mut *world), entity);
    let since = world.resource::<TickTime>().tick;
    let away = Away {
        since,
        until: since + ticks,
        reason,
    };
    // The view is released, and the inputs of the old session count no more.
    let mut leaver = world.entity_mut(entity);
    leaver.insert((player, away, InputBuffer::default(), AreaOfInterest::default()));
    if reason != LeaveReason::Replaced {
        world.write_message(PlayerAway { entity, reason });
    }
}

/// Despawns a player that leaves for good.
fn end_player(world: &mut World, entity: Entity, reason: LeaveReason) {
    let Some(&player) = world.get::<Player>(entity) else {
        return;
    };
    world.resource_mut::<Players>().remove(&player, entity);
    let avatar = world.get::<Avatar>(entity).map(|avatar| avatar.0);
    world.despawn(entity);
    world.write_message(PlayerLeft {
        entity,
        player,
        avatar,
        reason,
    });
}

/// Despawns a player without writing `PlayerLeft`, because it continues in another simulation.
pub(crate) fn remove_player(world: &mut World, entity: Entity) {
    if let Some(&player) = world.get::<Player>(entity) {
        world.resource_mut::<Players>().remove(&player, entity);
    }
    world.despawn(entity);
}

/// Makes the players leave whose time away is over, in the order in which they went away.
pub(crate) fn expire_away(
    world: &mut World,
    away: &mut QueryState<(Entity, &Player, &mut Away), Allow<Disabled>>,
) {
    let &TickTime { tick, skipped, .. } = world.resource();
    let mut lingering = Vec::new();
    for (entity, player, mut away) in away.iter_mut(world) {
        if skipped > 0 && away.since != tick {
            away.until += skipped;
        }
        lingering.push((Reverse(tick.since(away.since)), player.id, entity, *away));
    }
    lingering.sort_unstable_by_key(|&(age, id, ..)| (age, id));
    let excess = lingering.len().saturating_sub(AWAY_MAX);
    for (index, (.., entity, away)) in lingering.into_iter().enumerate() {
        if index < excess || tick.since(away.until) >= 0 {
            end_player(world, entity, away.reason);
        }
    }
}

/// Makes the players leave whom gameplay has kicked in this tick. The workers end their sessions, if any.
pub(super) fn end_kicked(world: &mut World) {
    for (id, ended, text) in world.resource_mut::<Outbox>().take_kicked() {
        let Some(entity) = world.resource::<Players>().find(id) else {
            continue;
        };
        let session = world.get::<Player>(entity).map(|player| player.session);
        end_player(world, entity, LeaveReason::Kicked);
        // Gameplay may have named the player by a copy from before its newest session, which ends with the next tick.
        if let Some(session) = session.filter(|&session| session != ended && session != SessionKey::NONE) {
            world.resource_mut::<Outbox>().kick(session, text);
        }
    }
}

/// Ends the session of a player whose entity gameplay despawns, or from which it removes `Player`. In the latter case
/// the entity is despawned, too.
pub(super) fn end_despawned(mut world: DeferredWorld, context: HookContext) {
    let entity = context.entity;
    let Some(&player) = world.get::<Player>(entity) else {
        return;
    };
    // The engine takes a player out of the table before it despawns its entity.
    if !world.resource_mut::<Players>().remove(&player, entity) {
        return;
    }
    let (avatar, reason) = (
        world.get::<Avatar>(entity).map(|avatar| avatar.0),
        LeaveReason::Despawned,
    );
    if player.session != SessionKey::NONE {
        world.resource_mut::<Outbox>().disconnect(player.session, reason);
    }
    world.write_message(PlayerLeft {
        entity,
        player,
        avatar,
        reason,
    });
    world.commands().entity(entity).try_despawn();
}
