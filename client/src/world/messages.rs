//! Messages between a client's world and its session.

use std::any::type_name;
use std::collections::VecDeque;
use std::iter;
use std::time::Duration;

use bevy_ecs::prelude::*;
use bytes::Bytes;
use serde::Serialize;
use throng_shared::protocol::ids::{Channel, GlobalId};
use throng_shared::protocol::registry::{Direction, Protocol, RegistryError, reference, referenced};
use throng_shared::reliable::{SendError, SendRoom};

use super::held::HeldMessages;
use super::mirror::WorldMirror;
use super::resources::{ResourceReferences, find_references};
use crate::connection::ClientCore;

/// Sends messages of the types registered with `message::<M>()` to the server. Messages from the server are
/// read with a `MessageReader<FromServer<M>>`.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use throng_client::world::TellServer;
/// # use throng_shared::protocol::registry::FromServer;
/// #[derive(Serialize, Deserialize)]
/// struct Chat(String);
///
/// fn reply(mut received: MessageReader<FromServer<Chat>>, mut server: TellServer) -> Result {
///     for FromServer(chat) in received.read() {
///         server.send(&Chat(format!("{}? Me too.", chat.0)))?;
///     }
///     Ok(())
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(reply);
/// ```
#[derive(bevy_ecs::system::SystemParam)]
pub struct TellServer<'w, 's> {
    outgoing: ResMut<'w, OutgoingMessages>,
    protocol: Res<'w, Protocol>,
    globals: Query<'w, 's, &'static GlobalId>,
}

impl TellServer<'_, '_> {
    /// Sends `message` as soon as the messages before it allow. A reliable message that is accepted arrives, those of one
    /// ordered channel in order, unless the session ends before. An unreliable message may be lost, also here.
    ///
    /// Without a session the message is dropped: before the client has joined, after the session has ended, and until
    /// the next one begins.
    ///
    /// # Errors
    /// [`TellError::Encode`] when the type is not registered for the server, or its value does not fit a message.
    /// [`TellError::Full`] when too many reliable messages wait to be sent. The message is not sent then.
    pub fn send<M>(&mut self, message: &M) -> Result<(), TellError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        // An entity that the server did not send has no meaning to the server.
        let mut to_network = |entity| {
            let global = self.globals.get(entity);
            global.map_or(Entity::PLACEHOLDER, |&global| reference(global))
        };
        let mut bytes = Vec::new();
        let encoded = self
            .protocol
            .encode_message_with(message, &mut to_network, &mut bytes);
        if let Some(fault) = self.protocol.message_fault::<M>(&encoded, &bytes) {
            let name = type_name::<M>();
            tracing::error!(name, "a message is not sent as it is: {fault}");
        }
        let entry = encoded?;
        if entry.direction == Direction::ToClients {
            return Err(RegistryError::WrongDirection(entry.name).into());
        }
        let name = entry.name;
        self.outgoing
            .push(entry.channel, bytes.into())
            .map_err(|error| TellError::Full { name, error })
    }
}

/// Why a message is not sent to the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// The message is not one that players send, or its value cannot be encoded.
    #[error(transparent)]
    Encode(#[from] RegistryError),
    /// Too many messages wait to be sent to the server. There is room again when the server has acknowledged some.
    #[error("{name}: {error}")]
    Full {
        /// Path of the message's type.
        name: &'static str,
        /// The channel, the bytes of the message and the room that is left.
        error: SendError,
    },
}

/// Messages for the server that wait until the session is updated. Bounded by the room that the session had for more
/// when it was last updated; what is sent without a session is dropped in the same frame.
#[derive(Resource, Debug, Default)]
pub struct OutgoingMessages {
    waiting: VecDeque<(Channel, Bytes)>,
    /// The room that is left in the session beyond the waiting messages.
    room: SendRoom,
}

impl OutgoingMessages {
    /// Appends a message. Drops an unreliable message for which there is no room.
    fn push(&mut self, channel: Channel, bytes: Bytes) -> Result<(), SendError> {
        match self.room.take(channel, bytes.len()) {
            Ok(()) => self.waiting.push_back((channel, bytes)),
            Err(_) if channel == Channel::Unreliable => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Drops the waiting messages, because there is no session to send them in.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the waiting messages, in order.
    pub fn take(&mut self) -> impl Iterator<Item = (Channel, Bytes)> + '_ {
        self.room = SendRoom::default();
        self.waiting.drain(..)
    }

    /// Passes the waiting messages to the session, in order. Messages for which the session has no room by now wait on.
    fn pass_to(&mut self, core: &mut ClientCore) {
        while let Some((channel, bytes)) = self.waiting.front() {
            match core.send_message(*channel, bytes.clone()) {
                Err(SendError::Full { channel, .. }) if channel.is_reliable() => break,
                Ok(()) | Err(SendError::Full { .. }) => {}
                Err(error) => tracing::error!(%error, "a message for the server cannot be sent"),
            }
            self.waiting.pop_front();
        }
        self.room = core.room();
        for (channel, bytes) in &self.waiting {
            if self.room.take(*channel, bytes.len()).is_err() {
                // There is no room for what waits already, and none for more.
                self.room = SendRoom::new(0);
            }
        }
    }
}

/// Writes the session's received messages into the world, and passes the world's messages to the session. A reliable
/// message waits until the entities to which it refers are in view; the end of the session ends the waiting.
///
/// Messages that do not decode are skipped and counted in [`WorldMirror::undecodable`].
pub(super) fn exchange_messages(
    world: &mut World,
    protocol: &Protocol,
    core: &mut ClientCore,
    now: Duration,
) {
    let outdated = world
        .resource::<ResourceReferences>()
        .outdated(world.resource::<WorldMirror>());
    deliver_messages(world, protocol, outdated.into_iter());
    let mut held = std::mem::take(&mut *world.resource_mut::<HeldMessages>());
    held.set_now(now, core.tick_length().unwrap_or_default());
    world.resource_mut::<WorldMirror>().absent.set_now(now);
    deliver_ready(world, protocol, &mut held);
    while let Some((channel, bytes)) = core.next_message() {
        // A resource is written again when an entity enters.
        let references = match protocol.resource_in(&bytes) {
            None if channel.is_reliable() => protocol.references_in(&bytes),
            _ => Vec::new(),
        };
        let mirror = world.resource::<WorldMirror>();
        match held.receive(channel, bytes, references, mirror) {
            Some(bytes) => deliver_messages(world, protocol, iter::once((channel, bytes))),
            None if held.is_full() => deliver_ready(world, protocol, &mut held),
            None => {}
        }
    }
    *world.resource_mut::<HeldMessages>() = held;
    if core.ended().is_some() {
        deliver_held(world, protocol);
        return world.resource_mut::<OutgoingMessages>().clear();
    }
    world.resource_mut::<OutgoingMessages>().pass_to(core);
}

/// Writes the held messages into the world that do not wait longer.
fn deliver_ready(world: &mut World, protocol: &Protocol, held: &mut HeldMessages) {
    while let Some(message) = held.next_ready(world.resource_mut::<WorldMirror>().into_inner()) {
        deliver_messages(world, protocol, iter::once(message));
    }
}

/// Writes the messages that still wait into the world, as when the session ends.
pub(super) fn deliver_held(world: &mut World, protocol: &Protocol) {
    let held = world.resource_mut::<HeldMessages>().take_all();
    deliver_messages(world, protocol, held.into_iter());
}

/// Writes received messages into the world.
pub(super) fn deliver_messages(
    world: &mut World,
    protocol: &Protocol,
    messages: impl Iterator<Item = (Channel, Bytes)>,
) {
    let find = |world: &World, entity| {
        let mirror = world.resource::<WorldMirror>();
        referenced(entity)
            .and_then(|global| mirror.find(global))
            .unwrap_or(Entity::PLACEHOLDER)
    };
    for (channel, bytes) in messages {
        if let Err(error) = protocol.deliver_from_server(world, channel, &bytes, &find) {
            match protocol.received_fault(&bytes, &error) {
                Some((name, fault)) => {
                    tracing::error!(name, "skipped a message of the server: {fault}");
                }
                None => tracing::debug!(%error, "skipped an undecodable message"),
            }
            world.resource_mut::<WorldMirror>().count_undecodable();
        }
        if let Some(id) = protocol.resource_in(&bytes) {
            let found = find_references(world.resource(), protocol, &bytes);
            let mut references = world.resource_mut::<ResourceReferences>();
            references.note(id, (channel, bytes), found);
        }
    }
}
