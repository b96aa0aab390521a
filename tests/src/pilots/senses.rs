//! What a mirror and the server's messages mean in Skirmish.
//!
//! One for all pilots of a process. Decodes only what a pilot asks about: most components and messages of a
//! crowd are nobody's business.

use std::any::type_name;
use std::sync::Arc;

use bevy_ecs::component::Component;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use skirmish_shared::components::{Asteroid, Cargo, Credits, Drone, Hull, Magazine, Missile, Ship, Station};
use skirmish_shared::messages::{ContentTable, Destroyed, Hit, StationReply};
use throng_client::mirror::ComponentBytes;
use throng_shared::protocol::codec;
use throng_shared::protocol::ids::{ComponentId, TeamId};
use throng_shared::protocol::registry::Protocol;

/// What a pilot was told that it does something about.
#[derive(Debug)]
pub enum PilotMessage {
    /// A row of the content.
    Content(ContentTable),
    /// Somebody was hit.
    Hit(Hit),
    /// A ship is gone: its own, or one that it destroyed.
    Destroyed(Destroyed),
    /// The station paid.
    Paid(u32),
}

/// Ids of what pilots look for.
#[derive(Debug, Clone)]
pub struct Senses {
    /// What they speak.
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
    /// The senses of pilots who speak `protocol`; `None` where it is not Skirmish's.
    #[must_use]
    pub fn new(protocol: &Arc<Protocol>) -> Option<Self> {
        Some(Self {
            ship: component::<Ship>(protocol)?,
            drone: component::<Drone>(protocol)?,
            asteroid: component::<Asteroid>(protocol)?,
            station: component::<Station>(protocol)?,
            missile: component::<Missile>(protocol)?,
            team: component::<TeamId>(protocol)?,
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

    /// What a message says, if it is for pilots.
    #[must_use]
    pub fn understand(&self, message: &Bytes) -> Option<PilotMessage> {
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

/// The value of a component, if it is among `components` and what it should be.
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
