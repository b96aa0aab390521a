//! What gameplay tells players: messages, and the end of their sessions.
//!
//! Collected during the tick and sent with its frame, so that a message never arrives before the state
//! that it is about was published.

use bevy_ecs::prelude::*;
use bytes::Bytes;
use serde::Serialize;
use throng_shared::protocol::ids::ChannelId;
use throng_shared::protocol::registry::{Protocol, RegistryError};

use super::players::Player;
use crate::net::link::{LeaveReason, SessionKey, SimulationLink};

/// Sends to players what the protocol registered with `message::<M>()`.
#[derive(bevy_ecs::system::SystemParam)]
pub struct Tell<'w> {
    outbox: ResMut<'w, Outbox>,
    protocol: Res<'w, Protocol>,
}

impl Tell<'_> {
    /// Sends `message` to a player.
    ///
    /// # Errors
    /// When the type is not registered, or its value does not fit a message.
    pub fn player<M>(&mut self, player: &Player, message: &M) -> Result<(), RegistryError>
    where
        M: Serialize + Send + Sync + 'static,
    {
        let mut bytes = Vec::new();
        let channel = self.protocol.encode_message(message, &mut bytes)?;
        self.outbox
            .letters
            .push(Letter::Message(player.session, channel.id(), bytes.into()));
        Ok(())
    }

    /// Ends a player's session. Its `PlayerLeft` comes in a later tick, from the worker.
    pub fn kick(&mut self, player: &Player) {
        self.outbox
            .letters
            .push(Letter::Disconnect(player.session, LeaveReason::Kicked));
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
    letters: Vec<Letter>,
}

#[derive(Debug)]
enum Letter {
    Message(SessionKey, ChannelId, Bytes),
    Disconnect(SessionKey, LeaveReason),
}

impl Outbox {
    /// Sends everything, in order. What is for a worker without a link is dropped.
    pub(super) fn send(&mut self, links: &mut [SimulationLink]) {
        for letter in self.letters.drain(..) {
            let (Letter::Message(key, ..) | Letter::Disconnect(key, _)) = letter;
            let Some(link) = links.iter_mut().find(|link| link.worker() == key.worker) else {
                continue;
            };
            match letter {
                // A full queue ends the session, which the link counts.
                Letter::Message(key, channel, bytes) => drop(link.send(key, channel, bytes)),
                Letter::Disconnect(key, reason) => link.disconnect(key, reason),
            }
        }
    }
}
