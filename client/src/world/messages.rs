//! Messages between a client's world and its session.

use std::any::type_name;
use std::iter;

use bevy_ecs::prelude::*;
use bytes::Bytes;
use serde::Serialize;
use throng_shared::protocol::ids::{Channel, GlobalId};
use throng_shared::protocol::registry::{Direction, Protocol, RegistryError, reference, referenced};
use throng_shared::reliable::SendError;

use super::mirror::WorldMirror;
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
    /// Sends `message` with the next packet. Without a session it is dropped: before the client has joined, after the
    /// session has ended, and until the next one begins.
    ///
    /// # Errors
    /// When the type is not registered for the server, or its value does not fit a message.
    pub fn send<M>(&mut self, message: &M) -> Result<(), RegistryError>
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
            return Err(RegistryError::WrongDirection(entry.name));
        }
        self.outgoing.0.push((entry.channel, bytes.into()));
        Ok(())
    }
}

/// Messages for the server that wait until the session is updated. Bounded only by what gameplay sends in one
/// frame; what is sent without a session is dropped in the same frame.
#[derive(Resource, Debug, Default)]
pub struct OutgoingMessages(Vec<(Channel, Bytes)>);

impl OutgoingMessages {
    /// Drops the waiting messages, because there is no session to send them in.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the waiting messages, in order.
    pub fn take(&mut self) -> impl Iterator<Item = (Channel, Bytes)> + '_ {
        self.0.drain(..)
    }
}

/// Writes the session's received messages into the world, and passes the world's messages to the session.
///
/// Messages that do not decode are skipped and counted in [`WorldMirror::undecodable`]. A message for which
/// there is no room is dropped; on a reliable channel the server has then not acknowledged for so long that the
/// session is about to time out.
pub(super) fn exchange_messages(world: &mut World, protocol: &Protocol, core: &mut ClientCore) {
    deliver_messages(world, protocol, iter::from_fn(|| core.next_message()));
    if core.ended().is_some() {
        return world.resource_mut::<OutgoingMessages>().clear();
    }
    for (channel, bytes) in world.resource_mut::<OutgoingMessages>().take() {
        match core.send_message(channel, bytes) {
            Ok(()) | Err(SendError::Full(Channel::Unreliable)) => {}
            Err(error) => tracing::warn!(%error, "dropped a message for the server"),
        }
    }
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
    }
}
