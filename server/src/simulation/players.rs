//! Players: one entity for every client that plays, or that is [away](super::Away) and may come back.
//!
//! Owns the table from sessions, ids and clients to player entities. Guarantees that player ids are given in the
//! order of arrival and never reused, and that a client has one player at most.

use std::collections::HashMap;

use bevy_ecs::entity_disabling::Disabled;
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

/// A player, on an entity that exists as long as the player is in the game: while it has a session, and while it is
/// [away](super::Away). Gameplay that despawns the entity, or removes this component, ends the session with
/// [`LeaveReason::Despawned`].
#[derive(Component, Clone, Copy, Debug)]
#[require(Team, Room, Eye, AreaOfInterest, InputBuffer, TakenInput, Routed)]
pub struct Player {
    /// The player's id, which is never reused.
    pub id: PlayerId,
    /// The session that serves the player; [`SessionKey::NONE`] while the player is away.
    pub session: SessionKey,
    /// The number of its newest session. Of two sessions of a client, the one with the higher number has the player.
    pub session_number: u64,
    /// The identity from the connect token. It is the same when the player connects again.
    pub client_id: u64,
    /// The name from the newest connect token.
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

/// A client has joined, and its player entity exists.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerJoined {
    /// The entity of the player.
    pub entity: Entity,
    /// The player's ids and name.
    pub player: Player,
}

/// A player has left for good: its session has ended, and it did not come back. Written once for each player.
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

/// The players by session, by id and by client. The table of sessions is dense: by worker, then by the worker's own
/// session index. The maps are only looked up and never iterated, because a hash map has no fixed order.
#[derive(Resource, Debug, Default)]
pub struct Players {
    sessions: Vec<Vec<Option<PlayerSlot>>>,
    by_id: HashMap<PlayerId, Entity>,
    by_client: HashMap<u64, Entity>,
    ids_given: u32,
    /// The number of this simulation, and how many others there are. Each simulation gives different ids.
    simulation: (u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct PlayerSlot {
    generation: u32,
    entity: Entity,
}

impl Players {
    /// Returns the player entity of a session.
    #[inline]
    #[must_use]
    pub fn get(&self, key: SessionKey) -> Option<Entity> {
        let slots = self.sessions.get(usize::from(key.worker))?;
        let slot = (*slots.get(key.session.index as usize)?)?;
        (slot.generation == key.session.generation).then_some(slot.entity)
    }

    /// Returns the player entity with this id, if the player is in this simulation.
    #[must_use]
    pub fn find(&self, id: PlayerId) -> Option<Entity> {
        self.by_id.get(&id).copied()
    }

    /// Returns the player entity of a client, if the player is in this simulation.
    pub(crate) fn of_client(&self, client_id: u64) -> Option<Entity> {
        self.by_client.get(&client_id).copied()
    }

    /// Returns the number of players in the simulation, those that are away included.
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

    pub(super) fn next_id(&mut self) -> PlayerId {
        let (simulation, others) = self.simulation;
        self.ids_given += 1;
        PlayerId((self.ids_given - 1) * (others + 1) + simulation + 1)
    }

    /// Returns the number of player ids that were given.
    pub(crate) fn ids_given(&self) -> u32 {
        self.ids_given
    }

    /// Enters a player under its id, its client and, unless it is away, its session.
    pub(super) fn insert(&mut self, player: &Player, entity: Entity) {
        self.by_id.insert(player.id, entity);
        self.by_client.insert(player.client_id, entity);
        if player.session == SessionKey::NONE {
            return;
        }
        let worker = usize::from(player.session.worker);
        if self.sessions.len() <= worker {
            self.sessions.resize_with(worker + 1, Vec::new);
        }
        let slots = &mut self.sessions[worker];
        let index = player.session.session.index as usize;
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        slots[index] = Some(PlayerSlot {
            generation: player.session.session.generation,
            entity,
        });
    }

    /// Removes a session, whose player stays. Does nothing if the session has no player.
    pub(super) fn remove_session(&mut self, key: SessionKey) {
        if self.get(key).is_some() {
            self.sessions[usize::from(key.worker)][key.session.index as usize] = None;
        }
    }

    /// Removes a player. Returns whether the table had it.
    pub(super) fn remove(&mut self, player: &Player, entity: Entity) -> bool {
        if self.find(player.id) != Some(entity) {
            return false;
        }
        self.remove_session(player.session);
        self.by_id.remove(&player.id);
        if self.of_client(player.client_id) == Some(entity) {
            self.by_client.remove(&player.client_id);
        }
        true
    }
}

/// A player that has lost one of the components that [`Player`] requires.
type Incomplete = (
    With<Player>,
    Or<(
        Without<Team>,
        Without<Room>,
        Without<Eye>,
        Without<AreaOfInterest>,
        Without<InputBuffer>,
        Without<TakenInput>,
        Without<Routed>,
    )>,
    Allow<Disabled>,
);

/// Gives players that have lost a required component its default, so that none is missing from a frame. So a removed
/// [`Team`] is no team, and a removed [`Room`] the first room. The query matches whole archetypes, and costs nothing
/// while no player is incomplete.
pub(super) fn complete_players(world: &mut World, incomplete: &mut QueryState<Entity, Incomplete>) {
    let players: Vec<Entity> = incomplete.iter(world).collect();
    for player in players {
        world.entity_mut(player).insert_if_new((
            Team::default(),
            Room::default(),
            Eye::default(),
            AreaOfInterest::default(),
            InputBuffer::default(),
            TakenInput::default(),
            Routed::default(),
        ));
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
