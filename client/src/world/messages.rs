//! Messages between a client's world and its session.

use bevy_ecs::prelude::*;
use bytes::Bytes;
use serde::Serialize;
use throng_shared::protocol::ids::{Channel, GlobalId};
use throng_shared::protocol::registry::{Direction, Protocol, RegistryError, reference, referenced};
use throng_shared::reliable::SendError;

use super::mirror::WorldMirror;
use crate::connection::ClientCore;

/// Sends to the server what the protocol registered with `message::<M>()`. What the server sends is read with
/// a `MessageReader<FromServer<M>>`.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use throng_client::world::TellServer;
/// # use throng_shared::protocol::registry::FromServer;
/// #[derive(Serialize, Deserialize)]
/// struct Chat(String);
///
/// fn answer(mut heard: MessageReader<FromServer<Chat>>, mut tell: TellServer) -> Result {
///     for FromServer(chat) in heard.read() {
///         tell.send(&Chat(format!("{}? Me too.", chat.0)))?;
///     }
///     Ok(())
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(answer);
/// ```
#[derive(bevy_ecs::system::SystemParam)]
pub struct TellServer<'w, 's> {
    outgoing: ResMut<'w, OutgoingMessages>,
    protocol: Res<'w, Protocol>,
    globals: Query<'w, 's, &'static GlobalId>,
}

impl TellServer<'_, '_> {
    /// Sends `message` with the next packet. Without a session it is dropped.
    ///
    /// # Errors
    /// When the type is not registered for the server, or its value does not fit a message.
    pub fn send<M>(&mut self, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        // What is not the server's is nobody to the server.
        let mut travel = |entity| {
            let global = self.globals.get(entity);
            global.map_or(Entity::PLACEHOLDER, |&global| reference(global))
        };
        let mut bytes = Vec::new();
        let entry = self
            .protocol
            .encode_message_with(message, &mut travel, &mut bytes)?;
        if entry.direction == Direction::ToClients {
            return Err(RegistryError::WrongDirection(entry.name));
        }
        self.outgoing.0.push((entry.channel, bytes.into()));
        Ok(())
    }
}

/// Messages for the server that wait for the session to be driven. Their bound is what gameplay sends in one
/// frame.
#[derive(Resource, Debug, Default)]
pub struct OutgoingMessages(Vec<(Channel, Bytes)>);

impl OutgoingMessages {
    /// Takes what waits, in order.
    pub fn take(&mut self) -> impl Iterator<Item = (Channel, Bytes)> + '_ {
        self.0.drain(..)
    }
}

/// Writes what the session received into the world, and hands the session what the world sends.
///
/// Messages that do not decode are skipped and counted in [`WorldMirror::undecodable`]. A message for which
/// there is no room is dropped; on a reliable channel the server has then been silent for so long that the
/// session is about to time out.
pub(super) fn exchange_messages(world: &mut World, protocol: &Protocol, core: &mut ClientCore) {
    let find = |world: &World, entity| {
        let mirror = world.resource::<WorldMirror>();
        referenced(entity)
            .and_then(|global| mirror.find(global))
            .unwrap_or(Entity::PLACEHOLDER)
    };
    while let Some((channel, bytes)) = core.next_message() {
        if let Err(error) = protocol.deliver_from_server(world, channel, &bytes, &find) {
            tracing::debug!(%error, "a message skipped");
            world.resource_mut::<WorldMirror>().count_undecodable();
        }
    }
    for (channel, bytes) in world.resource_mut::<OutgoingMessages>().take() {
        match core.send_message(channel, bytes) {
            Ok(()) | Err(SendError::Full(Channel::Unreliable)) => {}
            Err(error) => tracing::warn!(%error, "a message for the server dropped"),
        }
    }
}
