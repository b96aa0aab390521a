//! The mirror in a Bevy `World`: entities come, change and go with what the player sees.
//!
//! [`WorldMirror`] is the bridge: it hears what each snapshot changed and spawns, writes or despawns just
//! that, so that change detection tells systems exactly what is new. [`MirrorPlugin`] holds what every client
//! world needs, whatever drives it: a socket, memory, or the server itself in single player.
//! [`ClientWorldPlugin`] drives it by a [`Client`] once a frame. Poses are written as the server last sent
//! them; interpolation and prediction are built on top. What does not decode is skipped and counted: a server
//! of another build must not end the game.

mod arrivals;
mod messages;
mod mirror;
mod references;
mod session;
#[cfg(test)]
mod tests;

use bevy_app::{App, AppExit, Last, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use throng_shared::protocol::input::{InputBytes, PlayerInput};
use throng_shared::protocol::registry::{Protocol, RegistryError};

use crate::connection::ClientEvent;
use crate::line::Traffic;
use crate::player::{Client, ClientSettings, PlayerEvent};
use crate::schedule::{self, ClientSystems};

pub use crate::status::ConnectionStatus;
pub use arrivals::Arrivals;
pub use messages::{Mail, TellServer, exchange_messages};
pub use mirror::{Mirrored, Own, Tap, WorldMirror};
pub use session::{
    ClientClock, InputHistory, SessionNotes, follow_session, receive_datagram, update_session,
};
use session::{begin_frame, tell_view};

/// The input that is sent for every tick until it is replaced. Neutral to begin with.
#[derive(Resource, Debug, Clone, Copy, Default)]
pub struct NextInput(pub InputBytes);

impl NextInput {
    /// Replaces the input.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # use throng_client::world::NextInput;
    /// # use throng_shared::protocol::input::PlayerInput;
    /// # use throng_shared::protocol::registry::Protocol;
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Stick(i8);
    /// # impl PlayerInput for Stick {}
    /// fn steer(protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
    ///     next.set(&protocol, &Stick(1))?;
    ///     Ok(())
    /// }
    /// # bevy_ecs::system::assert_is_system::<(), (), _>(steer);
    /// ```
    ///
    /// # Errors
    /// When it is not of the registered type, or does not fit an input.
    pub fn set<I: PlayerInput>(&mut self, protocol: &Protocol, input: &I) -> Result<(), RegistryError> {
        self.0 = protocol.encode_input(input)?;
        Ok(())
    }
}

/// What happened on the connection, as a message for systems.
#[derive(Message, Debug)]
pub struct ConnectionEvent(pub PlayerEvent);

impl ConnectionEvent {
    /// Whether there will be no further attempt: the server refuses this client.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.0, PlayerEvent::GivenUp)
    }

    /// The event as a line for people; none of what goes on all the time.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        match &self.0 {
            PlayerEvent::Joined { server_version } => {
                Some(format!("joined a server of version {server_version}"))
            }
            PlayerEvent::Session(ClientEvent::Ended(reason)) => Some(reason.to_string()),
            PlayerEvent::Session(_) => None,
            PlayerEvent::JoinFailed(error) => Some(error.to_string()),
            PlayerEvent::SocketFailed(error) => Some(format!("the network failed: {error}")),
            PlayerEvent::Retrying { after } => Some(format!("trying again in {:.1} s", after.as_secs_f32())),
            PlayerEvent::GivenUp => Some("given up".to_owned()),
        }
    }
}

/// The connection; absent while the player is not on any server.
#[derive(Resource)]
pub struct Connection(pub Client);

/// What a client world is made of, without anything that drives it.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
pub struct MirrorPlugin;

impl Plugin for MirrorPlugin {
    fn build(&self, app: &mut App) {
        let neutral = app.world_mut().get_resource_or_init::<Protocol>().neutral_input();
        app.insert_resource(NextInput(neutral))
            .insert_resource(InputHistory::new(neutral))
            .init_resource::<WorldMirror>()
            .init_resource::<Mail>()
            .init_resource::<ClientClock>()
            .init_resource::<Arrivals>()
            .init_resource::<SessionNotes>()
            .init_resource::<Traffic>()
            // Who is driven by something else than a connection hears of none.
            .add_message::<ConnectionEvent>();
        schedule::configure(app);
        let begin = begin_frame.after(poll_connection);
        app.add_systems(PreUpdate, begin.in_set(ClientSystems::Receive));
    }
}

/// Drives the [`Connection`] whenever there is one, and mirrors what it sees into the app's world, in `PreUpdate`:
/// for games that connect and leave while they run. [`ConnectionStatus`] says where it stands.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use throng_client::player::{Client, ClientSettings};
/// # use throng_client::world::Connection;
/// # use throng_shared::protocol::registry::Protocol;
/// fn connect(mut commands: Commands, protocol: Res<Protocol>) {
///     let client = Client::new(ClientSettings::new("localhost:8080", "Ada"), &protocol);
///     commands.insert_resource(Connection(client));
/// }
/// fn leave(mut commands: Commands) {
///     commands.remove_resource::<Connection>(); // It tells the server.
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(connect);
/// # bevy_ecs::system::assert_is_system::<(), (), _>(leave);
/// ```
pub struct ClientPlugin;

impl Plugin for ClientPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(MirrorPlugin)
            .init_resource::<ConnectionStatus>()
            .add_systems(PreUpdate, poll_connection.in_set(ClientSystems::Receive))
            .add_systems(Last, leave_on_exit);
    }
}

/// Connects one player and mirrors what it sees into the app's world, in `PreUpdate`.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
pub struct ClientWorldPlugin {
    /// Who plays where.
    pub settings: ClientSettings,
}

impl Plugin for ClientWorldPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(ClientPlugin);
        let protocol = app.world().resource::<Protocol>().clone();
        app.insert_resource(Connection(Client::new(self.settings.clone(), &protocol)));
    }
}

/// Polls the connection, if there is one, and applies what it brings.
pub fn poll_connection(world: &mut World) {
    if !world.contains_resource::<Connection>() {
        let had_session = world.resource::<ClientClock>().tick_length().is_some();
        if had_session {
            let now = world.resource::<ClientClock>().now();
            follow_session(world, None, now, &mut SessionNotes::default());
        }
        world.insert_resource(ConnectionStatus::Idle);
        return;
    }
    world.resource_scope(|world, mut connection: Mut<Connection>| {
        let client = &mut connection.0;
        let mut events = Vec::new();
        let mut notes = std::mem::take(&mut *world.resource_mut::<SessionNotes>());
        if let Some(core) = client.core_mut() {
            tell_view(world, core);
        }
        let input = world.resource::<NextInput>().0;
        let note = |tick| {
            notes.inputs.push((tick, input));
            input
        };
        world.resource_scope(|world, protocol: Mut<Protocol>| {
            world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
                client.poll(note, &mut mirror.observer(world, &protocol), &mut events);
            });
            if let Some(core) = client.core_mut() {
                exchange_messages(world, &protocol, core);
            }
        });
        // One a packet would drown the others; what a snapshot changed is in the world.
        events.retain(|event| match event {
            PlayerEvent::Session(ClientEvent::Snapshot(applied)) => {
                notes.snapshots.push(*applied);
                false
            }
            _ => true,
        });
        let now = client.now();
        follow_session(world, client.core_mut(), now, &mut notes);
        *world.resource_mut::<SessionNotes>() = notes;
        *world.resource_mut::<Traffic>() = client.traffic();
        world.insert_resource(client.status());
        world.write_message_batch(events.into_iter().map(ConnectionEvent));
    });
}

/// Tells the server when the program ends.
fn leave_on_exit(mut exits: MessageReader<AppExit>, connection: Option<ResMut<Connection>>) {
    if exits.read().next().is_some()
        && let Some(mut connection) = connection
    {
        connection.0.disconnect();
    }
}
