//! Players: one entity for every session that is served.
//!
//! Owns the table from sessions to player entities. Guarantees that player ids are given in the order of
//! arrival and never reused, and that `PlayerJoined` and `PlayerLeft` are written once for each player, in
//! this order.

use std::collections::HashMap;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::active::TakenInput;
use throng_shared::protocol::ids::{PlayerId, Team};

use super::inputs::InputBuffer;
use super::replicated::Room;
use super::routes::{Routed, forget_route};
use super::space::Areas;
use crate::boundary::claims::PlayerName;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey};
use crate::space::AreaHold;

/// A player, on an entity that exists as long as the session.
#[derive(Component, Clone, Copy, Debug)]
#[require(Team, Room, Eye, AreaOfInterest, InputBuffer, TakenInput, Routed)]
pub struct Player {
    /// The player's id, which is never reused.
    pub id: PlayerId,
    /// The session that serves the player.
    pub session: SessionKey,
    /// The identity from the connect token. It is the same when the player connects again.
    pub client_id: u64,
    /// The name from the connect token.
    pub name: PlayerName,
    /// The client's protocol. A stock renet client is sent messages only.
    pub kind: PeerKind,
}

/// The entity that a player controls and from which it sees. While it is replicated, the process's directory
/// has a route from it to the player's session.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[component(on_discard = forget_route)]
pub struct Avatar(#[entities] pub Entity);

/// Makes a player see what is around its [`Eye`]. A player without this component sees nothing.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Viewer {
    /// The radius of the view, in units.
    pub radius: f32,
}

/// The centre of a player's view, in units. Follows the avatar; without an avatar, gameplay may set it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Eye(pub Vec2);

/// The leaf cells in a player's view. Updated in the `Index` phase.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
#[component(on_discard = release_area)]
pub(super) struct AreaOfInterest {
    pub(super) hold: Option<AreaHold>,
}

/// A session has begun, and its player entity exists.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerJoined {
    /// The entity of the player.
    pub entity: Entity,
    /// The player's ids and name.
    pub player: Player,
}

/// A session has ended, and its player entity no longer exists.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerLeft {
    /// The entity that the player was. It is despawned.
    pub entity: Entity,
    /// The player's ids and name.
    pub player: Player,
    /// The avatar that the player had, if any. The engine does not despawn it.
    pub avatar: Option<Entity>,
    /// The reason for which the session ended.
    pub reason: LeaveReason,
}

/// The players by session and by id. The table of sessions is dense: by worker, then by the worker's own session
/// index.
#[derive(Resource, Debug, Default)]
pub struct Players {
    sessions: Vec<Vec<Option<PlayerSlot>>>,
    /// This map is only looked up and never iterated, because a hash map has no fixed order.
    by_id: HashMap<PlayerId, Entity>,
    ids_given: u32,
    /// The number of this simulation, and how many others there are. Each simulation gives different ids.
    simulation: (u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct PlayerSlot {
    generation: u32,
    id: PlayerId,
    entity: Entity,
}

impl Players {
    /// Returns the player entity of a session.
    #[inline]
    #[must_use]
    pub fn get(&self, key: SessionKey) -> Option<Entity> {
        self.slot(key).map(|slot| slot.entity)
    }

    #[inline]
    fn slot(&self, key: SessionKey) -> Option<PlayerSlot> {
        let slots = self.sessions.get(usize::from(key.worker))?;
        let slot = (*slots.get(key.session.index as usize)?)?;
        (slot.generation == key.session.generation).then_some(slot)
    }

    /// Returns the player entity with this id, if the player is in this simulation.
    #[must_use]
    pub fn find(&self, id: PlayerId) -> Option<Entity> {
        self.by_id.get(&id).copied()
    }

    /// Returns the number of players in the simulation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns whether the simulation has no players.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Creates an empty table for the simulation `simulation` of `simulations`. Player ids are unique among
    /// them.
    #[must_use]
    pub fn of_simulation(simulation: u8, simulations: u8) -> Self {
        Self {
            simulation: (u32::from(simulation), u32::from(simulations) - 1),
            ..Self::default()
        }
    }

    /// Returns an empty table that has given `ids_given` player ids already.
    pub(super) fn restart(&self, ids_given: u32) -> Self {
        Self {
            ids_given,
            simulation: self.simulation,
            ..Self::default()
        }
    }

    fn next_id(&mut self) -> PlayerId {
        let (simulation, others) = self.simulation;
        self.ids_given += 1;
        PlayerId((self.ids_given - 1) * (others + 1) + simulation + 1)
    }

    /// Returns the number of player ids that were given.
    pub(super) fn ids_given(&self) -> u32 {
        self.ids_given
    }

    fn insert(&mut self, key: SessionKey, id: PlayerId, entity: Entity) {
        let worker = usize::from(key.worker);
        if self.sessions.len() <= worker {
            self.sessions.resize_with(worker + 1, Vec::new);
        }
        let slots = &mut self.sessions[worker];
        let index = key.session.index as usize;
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        let slot = PlayerSlot {
            generation: key.session.generation,
            id,
            entity,
        };
        if let Some(replaced) = slots[index].replace(slot) {
            self.by_id.remove(&replaced.id);
        }
        self.by_id.insert(id, entity);
    }

    fn remove(&mut self, key: SessionKey) -> Option<Entity> {
        let slot = self.slot(key)?;
        self.sessions[usize::from(key.worker)][key.session.index as usize] = None;
        self.by_id.remove(&slot.id)
    }
}

/// Makes an existing entity the player of a session that continues. Returns `false` if the session has a
/// player already.
pub(super) fn rejoin(world: &mut World, entity: Entity, player: Player) -> bool {
    let mut players = world.resource_mut::<Players>();
    if players.get(player.session).is_some() {
        return false;
    }
    players.insert(player.session, player.id, entity);
    world.entity_mut(entity).insert(player);
    true
}

/// Spawns the player of a new session. Returns `None` if the session has a player already.
pub(crate) fn join(
    world: &mut World,
    session: SessionKey,
    client_id: u64,
    name: PlayerName,
    kind: PeerKind,
) -> Option<Entity> {
    let mut players = world.resource_mut::<Players>();
    if players.get(session).is_some() {
        return None;
    }
    let id = players.next_id();
    let player = Player {
        id,
        session,
        client_id,
        name,
        kind,
    };
    let entity = world.spawn(player).id();
    world.resource_mut::<Players>().insert(session, id, entity);
    world.write_message(PlayerJoined { entity, player });
    Some(entity)
}

/// Despawns the player of a session without writing `PlayerLeft`, because it continues in another simulation.
pub(crate) fn remove_player(world: &mut World, session: SessionKey) {
    if let Some(entity) = world.resource_mut::<Players>().remove(session) {
        world.despawn(entity);
    }
}

/// Despawns the player of a session that ended. Does nothing if the session has no player here.
pub(crate) fn leave(world: &mut World, session: SessionKey, reason: LeaveReason) {
    let Some(entity) = world.resource_mut::<Players>().remove(session) else {
        return;
    };
    let avatar = world.get::<Avatar>(entity).map(|avatar| avatar.0);
    if let Some(&player) = world.get::<Player>(entity) {
        world.despawn(entity);
        world.write_message(PlayerLeft {
            entity,
            player,
            avatar,
            reason,
        });
    }
}

/// Releases a player's area when its component is removed.
fn release_area(mut world: DeferredWorld, context: HookContext) {
    let hold = world
        .get::<AreaOfInterest>(context.entity)
        .and_then(|interest| interest.hold);
    if let (Some(hold), Some(mut areas)) = (hold, world.get_resource_mut::<Areas>()) {
        areas.0.release(hold);
    }
}
