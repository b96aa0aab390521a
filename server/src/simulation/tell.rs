//! What gameplay sends to players: messages, and the end of their sessions.
//!
//! Messages are collected during the tick and sent with its frame, so that a message never arrives before the
//! state that it is about was published. The entities to which a message refers are resolved then, so that it can refer to
//! one that is spawned in the same tick, also by a command that is not applied yet.

use std::any::type_name;

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use glam::{Vec2, Vec3};
use serde::Serialize;
use throng_shared::protocol::ids::{Channel, ChannelId, GlobalId, PlayerId, TeamId};
use throng_shared::protocol::kick_text::KickText;
use throng_shared::protocol::pose3d::Position3d;
use throng_shared::protocol::registry::{Direction, Protocol, RegistryError, reference};

use super::players::Player;
use super::references::reference_of;
use super::replicated::Replicated;
use crate::boundary::link::{Audience, LeaveReason, SessionKey, SimulationLink};
use crate::space::RoomId;

/// Sends messages of the types registered with `message::<M>()` to players: to one, to a team, to the players
/// that see a position, or to all. A message to many players is encoded once. The net workers choose its
/// recipients by the frames of the tick in which it was sent. Each recipient receives it once, whichever
/// simulation of the process has the player. A message to a single player is sent by the simulation that has
/// the player.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use glam::{Vec2, Vec3};
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
    replicated: Query<'w, 's, &'static Replicated, Allow<Disabled>>,
}

/// A position in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// The position, in units; in a game in three dimensions, on the ground plane.
    pub position: Vec2,
    /// The height, in a game in three dimensions. Without it, distances are those on the ground plane.
    pub height: Option<f32>,
    /// The room of the position.
    pub room: RoomId,
}

impl From<Vec2> for Place {
    /// Returns the position in room 0.
    fn from(position: Vec2) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }
}

impl From<Vec3> for Place {
    /// Returns the position in space, in room 0.
    fn from(position: Vec3) -> Self {
        Self {
            position: Position3d(position).ground().0,
            height: Some(position.y),
            ..Self::default()
        }
    }
}

impl Tell<'_, '_> {
    /// Sends `message` to one player.
    ///
    /// # Errors
    /// If the type is not registered for clients, or its value does not fit into a message.
    pub fn player<M>(&mut self, player: &Player, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let (channel, bytes, is_resolved) = self.encode(message)?;
        let entry = OutboxEntry::Message(player.session, channel, bytes);
        self.outbox.push(entry, is_resolved);
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

    /// Sends `message` to every player whose view contains a position.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn in_sight<M>(&mut self, place: impl Into<Place>, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let Place { position, room, .. } = place.into();
        self.broadcast(Audience::InSight { position, room }, message)
    }

    /// Sends `message` to every player of the process.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn all<M>(&mut self, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.broadcast(Audience::All, message)
    }

    /// Sends `message` to every player of this simulation, and to none of the process's other simulations.
    /// For messages that every simulation sends to its own
    /// players.
    ///
    /// # Errors
    /// As [`Tell::player`].
    pub fn own<M>(&mut self, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        self.broadcast(Audience::Own, message)
    }

    /// Ends a player's session with [`LeaveReason::Kicked`]. The client is shown `text`, of which it receives the first
    /// [`KICK_TEXT_BYTES_MAX`](throng_shared::limits::KICK_TEXT_BYTES_MAX) bytes; it may be empty.
    ///
    /// The player leaves at the end of this tick, also one that is away. The client receives the reliable messages that
    /// were sent to it before, in this tick and earlier, and then the end: the worker sends them again for up to a second.
    pub fn kick(&mut self, player: &Player, text: &str) {
        let text = KickText::new(text);
        self.outbox.kicked.push((player.id, player.session, text));
        self.outbox.kick(player.session, text);
    }

    fn broadcast<M>(&mut self, audience: Audience, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let (channel, bytes, is_resolved) = self.encode(message)?;
        let entry = OutboxEntry::Broadcast(audience, channel, bytes);
        self.outbox.push(entry, is_resolved);
        Ok(())
    }

    /// Encodes a message. Returns whether its references are resolved; if not, they are still this world's entities.
    fn encode<M>(&self, message: &M) -> Result<(ChannelId, Bytes, bool), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let mut is_resolved = true;
        let mut travel = |entity| {
            let replicated = self.replicated.get(entity);
            let global = replicated.map_or_else(|_| GlobalId::default(), Replicated::global);
            let reference = reference(global);
            is_resolved &= reference != Entity::PLACEHOLDER || entity == Entity::PLACEHOLDER;
            reference
        };
        let mut bytes = Vec::new();
        let encoded = self
            .protocol
            .encode_message_with(message, &mut travel, &mut bytes);
        if let Some(fault) = self.protocol.message_fault::<M>(&encoded, &bytes) {
            let name = type_name::<M>();
            tracing::error!(name, "a message is not sent as it is: {fault}");
        }
        let entry = encoded?;
        if entry.direction == Direction::ToServer {
            return Err(RegistryError::WrongDirection(entry.name));
        }
        let channel = entry.channel.id();
        if !is_resolved {
            bytes.clear();
            self.protocol.encode_message(message, &mut bytes)?;
        }
        Ok((channel, bytes.into(), is_resolved))
    }
}

/// A message from a player as it arrived, for [`Protocol::decode_message`].
#[derive(Message, Clone, Debug)]
pub struct MessageReceived {
    /// The entity of the player that sent it.
    pub player: Entity,
    /// The channel on which it arrived.
    pub channel: ChannelId,
    /// The encoded message, not checked in any way.
    pub bytes: Bytes,
}

/// The messages and disconnections of this tick. Its size is bounded by what gameplay does in one tick.
#[derive(Resource, Debug, Default)]
pub struct Outbox {
    entries: Vec<OutboxEntry>,
    /// The indices of the messages whose references are still entities of this world.
    unresolved: Vec<usize>,
    /// The players that were kicked in this tick, with the sessions that were ended for it.
    kicked: Vec<(PlayerId, SessionKey, KickText)>,
}

#[derive(Debug)]
enum OutboxEntry {
    Message(SessionKey, ChannelId, Bytes),
    Broadcast(Audience, ChannelId, Bytes),
    Disconnect(SessionKey, LeaveReason, Option<Box<KickText>>),
}

impl Outbox {
    fn push(&mut self, entry: OutboxEntry, is_resolved: bool) {
        if !is_resolved {
            self.unresolved.push(self.entries.len());
        }
        self.entries.push(entry);
    }

    /// Adds a message to one session.
    pub(super) fn message(&mut self, key: SessionKey, channel: Channel, bytes: Bytes) {
        self.entries.push(OutboxEntry::Message(key, channel.id(), bytes));
    }

    /// Adds a message to an audience.
    pub(super) fn broadcast(&mut self, audience: Audience, channel: ChannelId, bytes: Bytes) {
        self.entries
            .push(OutboxEntry::Broadcast(audience, channel, bytes));
    }

    /// Adds the end of a session.
    pub(super) fn disconnect(&mut self, key: SessionKey, reason: LeaveReason) {
        self.entries.push(OutboxEntry::Disconnect(key, reason, None));
    }

    /// Adds the end of a session whose player is kicked.
    pub(super) fn kick(&mut self, key: SessionKey, text: KickText) {
        let text = Some(Box::new(text));
        self.entries
            .push(OutboxEntry::Disconnect(key, LeaveReason::Kicked, text));
    }

    /// Adds the end of a session that the game does not admit.
    pub(super) fn refuse(&mut self, key: SessionKey, text: KickText) {
        let text = Some(Box::new(text));
        self.entries
            .push(OutboxEntry::Disconnect(key, LeaveReason::Refused, text));
    }

    /// Returns the players that were kicked since the last call, in order, with the sessions that were ended for it.
    pub(super) fn take_kicked(&mut self) -> Vec<(PlayerId, SessionKey, KickText)> {
        std::mem::take(&mut self.kicked)
    }

    /// Sends all entries in order, whose references are resolved. An entry for a worker without a link is dropped.
    pub(super) fn send(&mut self, links: &mut [SimulationLink]) {
        for entry in self.entries.drain(..) {
            let key = match entry {
                OutboxEntry::Message(key, ..) | OutboxEntry::Disconnect(key, ..) => Some(key),
                OutboxEntry::Broadcast(..) => None,
            };
            let addressed = |link: &&mut SimulationLink| key.is_none_or(|key| key.worker == link.worker());
            for link in links.iter_mut().filter(addressed) {
                match &entry {
                    // A full queue ends the session, and the link counts it.
                    OutboxEntry::Message(key, channel, bytes) => {
                        let _ = link.send(*key, *channel, bytes.clone());
                    }
                    // A full queue drops an unreliable message. For a reliable one it ends the sessions that
                    // miss it.
                    OutboxEntry::Broadcast(audience, channel, bytes) => {
                        link.broadcast(*audience, *channel, bytes.clone());
                    }
                    OutboxEntry::Disconnect(key, reason, text) => {
                        link.disconnect(*key, *reason, text.clone());
                    }
                }
            }
        }
    }
}

/// Resolves the references of messages to entities that were not replicated when the message was given.
pub(super) fn resolve_messages(world: &mut World) {
    if world.resource::<Outbox>().unresolved.is_empty() {
        return;
    }
    world.resource_scope(|world, mut outbox: Mut<Outbox>| {
        let Outbox {
            entries, unresolved, ..
        } = &mut *outbox;
        let protocol = world.resource::<Protocol>();
        for index in unresolved.drain(..) {
            let (OutboxEntry::Message(_, _, bytes) | OutboxEntry::Broadcast(_, _, bytes)) =
                &mut entries[index]
            else {
                continue;
            };
            let mut resolved = protocol.map_references(bytes, &mut |entity| reference_of(world, entity));
            if let Err(error) = &resolved {
                tracing::error!(%error, "a message is sent without its references to entities");
                resolved = protocol.map_references(bytes, &mut |_| Entity::PLACEHOLDER);
            }
            // Its bytes are those of a value of the type, and a placeholder is not longer than another entity.
            *bytes = resolved.unwrap_or_default().into();
        }
    });
}
