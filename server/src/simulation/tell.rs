//! What gameplay tells players: messages, and the end of their sessions.
//!
//! Collected during the tick and sent with its frame, so that a message never arrives before the state
//! that it is about was published.

use bevy_ecs::prelude::*;
use bytes::Bytes;
use glam::Vec2;
use serde::Serialize;
use throng_shared::protocol::ids::{Channel, ChannelId, TeamId};
use throng_shared::protocol::registry::{Direction, Protocol, RegistryError, reference};

use super::players::Player;
use super::replicated::Replicated;
use crate::boundary::link::{Audience, LeaveReason, SessionKey, SimulationLink};
use crate::space::RoomId;

/// Sends to players what the protocol registered with `message::<M>()`: to one, to a team, to those who see a
/// place, to all. A message for many is encoded once; who they are is judged on the net workers, by the frames
/// of the tick in which it was said. Each of them gets it once, whichever simulation of the process has the
/// player; one for a single player is sent by the simulation that has it.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use glam::Vec2;
/// # use serde::{Deserialize, Serialize};
/// # use throng_server::simulation::{Player, PlayerJoined, Tell};
/// # use throng_shared::protocol::ids::TeamId;
/// #[derive(Serialize, Deserialize)]
/// struct Explosion {
///     size: u8,
/// }
///
/// fn celebrate(mut joined: MessageReader<PlayerJoined>, mut tell: Tell) -> Result {
///     for joined in joined.read() {
///         tell.player(&joined.player, &Explosion { size: 1 })?;
///         tell.team(TeamId(2), &Explosion { size: 2 })?;
///         tell.in_sight(Vec2::new(10.0, -4.0), &Explosion { size: 3 })?;
///         tell.all(&Explosion { size: 4 })?;
///     }
///     Ok(())
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(celebrate);
/// ```
#[derive(bevy_ecs::system::SystemParam)]
pub struct Tell<'w, 's> {
    outbox: ResMut<'w, Outbox>,
    protocol: Res<'w, Protocol>,
    replicated: Query<'w, 's, &'static Replicated>,
}

/// A place of the world, for those who see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Where, in units.
    pub position: Vec2,
    /// In which room.
    pub room: RoomId,
}

impl From<Vec2> for Place {
    /// A place in room 0.
    fn from(position: Vec2) -> Self {
        Self {
            position,
            room: RoomId::default(),
        }
    }
}

impl Tell<'_, '_> {
    /// Sends `message` to a player.
    ///
    /// # Errors
    /// When the type is not registered for clients, or its value does not fit a message.
    pub fn player<M>(&mut self, player: &Player, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let (channel, bytes) = self.encode(message)?;
        self.outbox
            .entries
            .push(OutboxEntry::Message(player.session, channel, bytes));
        Ok(())
    }

    /// Sends `message` to every player of a team.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn team<M>(&mut self, team: TeamId, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.broadcast(Audience::Team(team), message)
    }

    /// Sends `message` to every player whose view reaches a place.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn in_sight<M>(&mut self, place: impl Into<Place>, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let Place { position, room } = place.into();
        self.broadcast(Audience::InSight { position, room }, message)
    }

    /// Sends `message` to every player.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn all<M>(&mut self, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.broadcast(Audience::All, message)
    }

    /// Sends `message` to every player of this simulation, and to none of the process's others: for what is said
    /// by all simulations alike.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn own<M>(&mut self, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.broadcast(Audience::Own, message)
    }

    /// Ends a player's session. Its `PlayerLeft` comes in a later tick, from the worker.
    pub fn kick(&mut self, player: &Player) {
        self.outbox
            .entries
            .push(OutboxEntry::Disconnect(player.session, LeaveReason::Kicked));
    }

    fn broadcast<M>(&mut self, audience: Audience, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let (channel, bytes) = self.encode(message)?;
        self.outbox.broadcast(audience, channel, bytes);
        Ok(())
    }

    fn encode<M>(&self, message: &M) -> Result<(ChannelId, Bytes), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let mut travel = |entity| {
            let replicated = self.replicated.get(entity);
            replicated.map_or(Entity::PLACEHOLDER, |replicated| reference(replicated.global()))
        };
        let mut bytes = Vec::new();
        let entry = self
            .protocol
            .encode_message_with(message, &mut travel, &mut bytes)?;
        if entry.direction == Direction::ToServer {
            return Err(RegistryError::WrongDirection(entry.name));
        }
        Ok((entry.channel.id(), bytes.into()))
    }
}

/// A player's message as it arrived, for [`Protocol::decode_message`].
#[derive(Message, Clone, Debug)]
pub struct MessageReceived {
    /// The player entity.
    pub player: Entity,
    /// The channel by which it came.
    pub channel: ChannelId,
    /// Its bytes, not checked in any way.
    pub bytes: Bytes,
}

/// What this tick has to say. Its bound is what gameplay does in one tick.
#[derive(Resource, Debug, Default)]
pub struct Outbox {
    entries: Vec<OutboxEntry>,
}

#[derive(Debug)]
enum OutboxEntry {
    Message(SessionKey, ChannelId, Bytes),
    Broadcast(Audience, ChannelId, Bytes),
    Disconnect(SessionKey, LeaveReason),
}

impl Outbox {
    /// Adds a message for a session.
    pub(super) fn message(&mut self, key: SessionKey, channel: Channel, bytes: Bytes) {
        self.entries.push(OutboxEntry::Message(key, channel.id(), bytes));
    }

    /// Adds a message for many.
    pub(super) fn broadcast(&mut self, audience: Audience, channel: ChannelId, bytes: Bytes) {
        self.entries
            .push(OutboxEntry::Broadcast(audience, channel, bytes));
    }

    /// Sends everything, in order. What is for a worker without a link is dropped.
    pub(super) fn send(&mut self, links: &mut [SimulationLink]) {
        for entry in self.entries.drain(..) {
            let key = match entry {
                OutboxEntry::Message(key, ..) | OutboxEntry::Disconnect(key, _) => Some(key),
                OutboxEntry::Broadcast(..) => None,
            };
            let addressed = |link: &&mut SimulationLink| key.is_none_or(|key| key.worker == link.worker());
            for link in links.iter_mut().filter(addressed) {
                match &entry {
                    // A full queue ends the session, which the link counts.
                    OutboxEntry::Message(key, channel, bytes) => {
                        let _ = link.send(*key, *channel, bytes.clone());
                    }
                    // A full queue drops it or, where it is reliable, ends the sessions that miss it.
                    OutboxEntry::Broadcast(audience, channel, bytes) => {
                        link.broadcast(*audience, *channel, bytes.clone());
                    }
                    OutboxEntry::Disconnect(key, reason) => link.disconnect(*key, *reason),
                }
            }
        }
    }
}
