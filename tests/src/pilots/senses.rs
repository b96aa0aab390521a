//! Decodes Skirmish's components and messages for pilots.
//!
//! All pilots of a process share one [`Senses`]. It decodes only what a pilot uses, as most components and messages
//! of a crowd are of no use to it.

use std::any::type_name;
use std::sync::Arc;

use bevy_ecs::component::Component;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use skirmish_shared::components::{Asteroid, Cargo, Credits, Drone, Hull, Magazine, Missile, Ship, Station};
use skirmish_shared::messages::{ContentTable, Destroyed, Hit, StationReply};
use throng_client::mirror::ComponentBytes;
use throng_shared::protocol::codec;
use throng_shared::protocol::ids::{ComponentId, Team};
use throng_shared::protocol::registry::Protocol;

/// A message that pilots react to.
#[derive(Debug)]
pub enum PilotMessage {
    /// A row of the game's content.
    Content(ContentTable),
    /// A ship was hit.
    Hit(Hit),
    /// A ship was destroyed: the pilot's own ship, or a ship that the pilot destroyed.
    Destroyed(Destroyed),
    /// The station paid this many credits.
    Paid(u32),
}

/// Ids of the components and messages that pilots use.
#[derive(Debug, Clone)]
pub struct Senses {
    /// The protocol to which the ids belong.
    pub protocol: Arc<Protocol>,
    pub(super) ship: ComponentId,
    pub(super) drone: ComponentId,
    pub(super) asteroid: ComponentId,
    pub(super) station: ComponentId,
    pub(super) missile: ComponentId,
    pub(super) team: ComponentId,
    pub(super) hull: ComponentId,
    pub(super) cargo: ComponentId,
    pub(super) magazine: ComponentId,
    pub(super) credits: ComponentId,
    content: u16,
    hit: u16,
    destroyed: u16,
    reply: u16,
}

impl Senses {
    /// Finds the ids in `protocol`. Returns `None` if it is not Skirmish's.
    #[must_use]
    pub fn new(protocol: &Arc<Protocol>) -> Option<Self> {
        Some(Self {
            ship: component::<Ship>(protocol)?,
            drone: component::<Drone>(protocol)?,
            asteroid: component::<Asteroid>(protocol)?,
            station: component::<Station>(protocol)?,
            missile: component::<Missile>(protocol)?,
            team: component::<Team>(protocol)?,
            hull: component::<Hull>(protocol)?,
            cargo: component::<Cargo>(protocol)?,
            magazine: component::<Magazine>(protocol)?,
            credits: component::<Credits>(protocol)?,
            content: message::<ContentTable>(protocol)?,
            hit: message::<Hit>(protocol)?,
            destroyed: message::<Destroyed>(protocol)?,
            reply: message::<StationReply>(protocol)?,
            protocol: Arc::clone(protocol),
        })
    }

    /// Decodes a message from the server. Returns `None` if pilots do not react to it or it is invalid.
    #[must_use]
    pub fn decode(&self, message: &Bytes) -> Option<PilotMessage> {
        let (id, value) = message.split_first_chunk()?;
        let id = u16::from_le_bytes(*id);
        if id == self.content {
            Some(PilotMessage::Content(codec::decode_exact(value).ok()?))
        } else if id == self.hit {
            Some(PilotMessage::Hit(codec::decode_exact(value).ok()?))
        } else if id == self.destroyed {
            Some(PilotMessage::Destroyed(codec::decode_exact(value).ok()?))
        } else if id == self.reply {
            match codec::decode_exact(value).ok()? {
                StationReply::Sold(credits) => Some(PilotMessage::Paid(credits)),
                _ => None,
            }
        } else {
            None
        }
    }
}

/// Decodes a component's value. Returns `None` if it is not among `components` or is invalid.
pub(super) fn value<T: DeserializeOwned>(components: &[ComponentBytes], id: ComponentId) -> Option<T> {
    let found = components.iter().find(|component| component.id == id)?;
    codec::decode_exact(&found.bytes).ok()
}

fn component<T: Component>(protocol: &Protocol) -> Option<ComponentId> {
    Some(protocol.component_of::<T>()?.id)
}

fn message<T>(protocol: &Protocol) -> Option<u16> {
    let entry = protocol
        .messages()
        .iter()
        .find(|entry| entry.name == type_name::<T>())?;
    Some(entry.id.0)
}
