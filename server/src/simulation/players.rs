//! The players: one entity for every session that is served.
//!
//! Owns the table from sessions to player entities. Guarantees that player ids are given in the order of
//! arrival and never reused, and that `PlayerJoined` and `PlayerLeft` come once each, in this order.

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::active::TakenInput;
use throng_shared::protocol::ids::PlayerId;

use super::inputs::InputBuffer;
use super::replicated::{Room, Team};
use super::routes::{Routed, forget_route};
use super::space::Areas;
use crate::boundary::claims::PlayerName;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey};
use crate::space::AreaHold;

/// A player for as long as the session lasts.
#[derive(Component, Clone, Copy, Debug)]
#[require(Team, Room, Eye, AreaOfInterest, InputBuffer, TakenInput, Routed)]
pub struct Player {
    /// Never reused.
    pub id: PlayerId,
    /// The session that serves the player.
    pub session: SessionKey,
    /// The identity from the connect token; the same when the player comes back.
    pub client_id: u64,
    /// The name from the connect token.
    pub name: PlayerName,
    /// What the peer speaks; a stock renet peer is sent messages only.
    pub kind: PeerKind,
}

/// The entity through which a player acts and sees. While it is replicated, the process's directory names the
/// player's session for it.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[component(on_discard = forget_route)]
pub struct Avatar(#[entities] pub Entity);

/// Lets a player see what is around its [`Eye`]. Without it the player sees nothing.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Viewer {
    /// How far, in units.
    pub radius: f32,
}

/// Where a player sees from, in units. Follows the avatar; where there is none, gameplay may set it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Eye(pub Vec2);

/// The leaf cells in a player's view: kept by the `Index` phase.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
#[component(on_discard = forget_area)]
pub struct AreaOfInterest {
    pub(super) hold: Option<AreaHold>,
}

/// A session began; its player entity exists.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerJoined {
    /// The player entity.
    pub entity: Entity,
    /// The player.
    pub player: Player,
}

/// A session ended; its player entity no longer exists.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerLeft {
    /// What the player entity was.
    pub entity: Entity,
    /// The player.
    pub player: Player,
    /// The avatar it had.
    pub avatar: Option<Entity>,
    /// Why.
    pub reason: LeaveReason,
}

/// The players by session. Dense: by worker, then by the worker's own session index.
#[derive(Resource, Debug, Default)]
pub struct Players {
    sessions: Vec<Vec<Option<PlayerSlot>>>,
    ids_given: u32,
    /// Which of how many simulations this is: each gives other ids.
    simulation: (u32, u32),
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct PlayerSlot {
    generation: u32,
    entity: Entity,
}

impl Players {
    /// The player entity of a session.
    #[inline]
    #[must_use]
    pub fn get(&self, key: SessionKey) -> Option<Entity> {
        let slot = (*self
            .sessions
            .get(usize::from(key.worker))?
            .get(key.session.index as usize)?)?;
        (slot.generation == key.session.generation).then_some(slot.entity)
    }

    /// Players in the simulation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// No players, of the simulation `simulation` of `simulations`, whose player ids are all different.
    #[must_use]
    pub fn of_simulation(simulation: u8, simulations: u8) -> Self {
        Self {
            simulation: (u32::from(simulation), u32::from(simulations) - 1),
            ..Self::default()
        }
    }

    /// Nobody, after this many player ids were given.
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

    /// How many player ids were given.
    pub(super) fn ids_given(&self) -> u32 {
        self.ids_given
    }

    fn insert(&mut self, key: SessionKey, entity: Entity) {
        let worker = usize::from(key.worker);
        if self.sessions.len() <= worker {
            self.sessions.resize_with(worker + 1, Vec::new);
        }
        let slots = &mut self.sessions[worker];
        let index = key.session.index as usize;
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        let generation = key.session.generation;
        self.len += usize::from(slots[index].replace(PlayerSlot { generation, entity }).is_none());
    }

    fn remove(&mut self, key: SessionKey) -> Option<Entity> {
        let entity = self.get(key)?;
        self.sessions[usize::from(key.worker)][key.session.index as usize] = None;
        self.len -= 1;
        Some(entity)
    }
}

/// Makes an existing entity the player of a session that goes on. `false` when the session has one already.
pub(super) fn rejoin(world: &mut World, entity: Entity, player: Player) -> bool {
    let mut players = world.resource_mut::<Players>();
    if players.get(player.session).is_some() {
        return false;
    }
    players.insert(player.session, entity);
    world.entity_mut(entity).insert(player);
    true
}

/// Spawns the player of a new session. A session that is announced twice is refused: `None`.
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
    world.resource_mut::<Players>().insert(session, entity);
    world.write_message(PlayerJoined { entity, player });
    Some(entity)
}

/// Takes the player of a session out of this world without telling gameplay: it goes on in another.
pub(crate) fn remove_player(world: &mut World, session: SessionKey) {
    if let Some(entity) = world.resource_mut::<Players>().remove(session) {
        world.despawn(entity);
    }
}

/// Despawns the player of a session that ended; one that is not here is ignored.
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

/// Counts a viewer out when its player goes.
fn forget_area(mut world: DeferredWorld, context: HookContext) {
    let hold = world
        .get::<AreaOfInterest>(context.entity)
        .and_then(|interest| interest.hold);
    if let (Some(hold), Some(mut areas)) = (hold, world.get_resource_mut::<Areas>()) {
        areas.0.release(hold);
    }
}
