//! The connection resource, and the system that polls it over UDP.

use bevy_app::AppExit;
use bevy_ecs::prelude::*;
use throng_shared::protocol::registry::Protocol;

use super::clock::ClientClock;
use super::inputs::NextInput;
use super::messages::{OutgoingMessages, deliver_held, deliver_messages, exchange_messages};
use super::mirror::WorldMirror;
use super::session::{SessionNotes, end_session, send_view, sync_session};
use super::tally::ConnectionTally;
use crate::connection::ClientEvent;
use crate::link::Traffic;
use crate::player::{Client, ConnectionStatus, PlayerEvent};

/// An event of the connection, as a message for systems.
#[derive(Message, Debug)]
pub struct ConnectionEvent(pub PlayerEvent);

impl ConnectionEvent {
    /// Returns whether there will be no further attempt because the server refuses this client.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.0, PlayerEvent::GivenUp)
    }

    /// Returns the event as a line for players; `None` for events that occur all the time.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        match &self.0 {
            PlayerEvent::Joined { server_version } => {
                Some(format!("joined a server of version {server_version}"))
            }
            PlayerEvent::Session(ClientEvent::Ended(reason)) => Some(reason.to_string()),
            PlayerEvent::Session(ClientEvent::Silent) => {
                Some("no reply from the server, reconnecting".to_owned())
            }
            PlayerEvent::Session(ClientEvent::Recovered) => Some("the server replies again".to_owned()),
            PlayerEvent::Session(_) => None,
            PlayerEvent::JoinFailed(error) => Some(error.to_string()),
            PlayerEvent::CredentialFailed(error) => Some(error.to_string()),
            PlayerEvent::SocketFailed(error) => Some(format!("the network failed: {error}")),
            PlayerEvent::Retrying { after } => Some(format!("trying again in {:.1} s", after.as_secs_f32())),
            PlayerEvent::GivenUp => Some("given up".to_owned()),
        }
    }
}

/// The connection to a server. The resource does not exist while there is no connection.
#[derive(Resource)]
pub struct Connection(pub Client);

/// Polls the connection, if there is one, and applies its results to the world.
pub fn poll_connection(world: &mut World) {
    if !world.contains_resource::<Connection>() {
        world.resource_mut::<OutgoingMessages>().clear();
        let now = world.resource::<ClientClock>().now();
        let mut notes = std::mem::take(&mut *world.resource_mut::<SessionNotes>());
        sync_session(world, None, now, &mut notes);
        world.insert_resource(ConnectionStatus::Idle);
        return;
    }
    world.resource_scope(|world, mut connection: Mut<Connection>| {
        let client = &mut connection.0;
        let mut events = Vec::new();
        let mut notes = std::mem::take(&mut *world.resource_mut::<SessionNotes>());
        match client.core_mut() {
            Some(core) => send_view(world, core),
            // A session that begins now must not send what was sent before it.
            None => world.resource_mut::<OutgoingMessages>().clear(),
        }
        let input = world.resource::<NextInput>().0;
        let note = |tick| {
            notes.inputs.push((tick, input));
            input
        };
        let sessions = client.sessions();
        world.resource_scope(|world, protocol: Mut<Protocol>| {
            world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
                client.poll(note, &mut mirror.observer(world, &protocol), &mut events);
            });
            if client.sessions() != sessions || client.core().is_none() {
                // Those that wait arrived before the last ones.
                deliver_held(world, &protocol);
            }
            deliver_messages(world, &protocol, client.take_last_messages().into_iter());
        });
        let is_another_session = client.sessions() != sessions;
        if is_another_session {
            end_session(world);
        }
        let now = client.now();
        world.resource_scope(|world, protocol: Mut<Protocol>| match client.core_mut() {
            Some(core) => exchange_messages(world, &protocol, core, now),
            None => world.resource_mut::<OutgoingMessages>().clear(),
        });
        if let Some(mut tally) = world.get_resource_mut::<ConnectionTally>() {
            tally.note(&events);
        }
        // Snapshot events are left out: there is one a packet, and the world has the changes already.
        events.retain(|event| match event {
            PlayerEvent::Session(ClientEvent::Snapshot(applied)) => {
                notes.snapshots.push(*applied);
                false
            }
            _ => true,
        });
        if is_another_session {
            // They are those of the session before.
            notes.inputs.clear();
            notes.snapshots.clear();
        }
        let now = client.now();
        sync_session(world, client.core_mut(), now, &mut notes);
        *world.resource_mut::<SessionNotes>() = notes;
        *world.resource_mut::<Traffic>() = client.traffic();
        world.insert_resource(client.status());
        world.write_message_batch(events.into_iter().map(ConnectionEvent));
    });
}

/// Disconnects from the server when the program ends.
pub(super) fn leave_on_exit(mut exits: MessageReader<AppExit>, connection: Option<ResMut<Connection>>) {
    if exits.read().next().is_some()
        && let Some(mut connection) = connection
    {
        connection.0.disconnect();
    }
}
