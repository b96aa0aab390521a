//! The mirror in a Bevy `World`: entities are spawned, changed and despawned with what the player sees.
//!
//! [`WorldMirror`] receives the changes of each snapshot and spawns, writes or despawns just those, so that
//! change detection shows systems exactly what is new. [`MirrorPlugin`] has what every client world needs,
//! whatever drives it: a socket, memory, or the server itself in single player. [`ClientWorldPlugin`] drives it
//! by a [`Client`] once a frame. Poses are written as the server last sent them; interpolation and prediction
//! are built on top. Undecodable values are skipped and counted: a server of another build must not end the
//! game.

mod absent;
mod arrivals;
mod clock;
mod connection;
mod failures;
mod held;
mod inputs;
mod messages;
mod mirror;
mod references;
mod resources;
mod session;
mod tally;
#[cfg(test)]
mod tests;

use bevy_app::{App, Last, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use throng_shared::failures::set_missing_error_handler;
use throng_shared::protocol::registry::Protocol;

use crate::link::Traffic;
use crate::player::{Client, ClientSettings, ConnectionStatus};
use crate::schedule::{self, ClientSystems};

pub use arrivals::RecentPackets;
pub use clock::ClientClock;
use clock::begin_frame;
use connection::leave_on_exit;
pub use connection::{Connection, ConnectionEvent, poll_connection};
use held::HeldMessages;
pub use inputs::{InputHistory, NextInput};
pub use messages::{OutgoingMessages, TellError, TellServer};
pub(crate) use mirror::rests;
pub use mirror::{Mirrored, Own, WorldMirror};
use resources::ResourceReferences;
use session::SessionNotes;
pub use session::{receive_datagram, update_session};
pub(crate) use tally::ConnectionTally;

/// Adds the parts of a client world that do not depend on what drives it.
///
/// A system, command or observer that fails is logged, and the client goes on: for example a command for an entity that
/// has left the view. A program with an error handler of its own calls `App::set_error_handler` before the app runs.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
pub struct MirrorPlugin;

impl Plugin for MirrorPlugin {
    fn build(&self, app: &mut App) {
        let neutral = app.world_mut().get_resource_or_init::<Protocol>().neutral_input();
        app.insert_resource(NextInput(neutral))
            .insert_resource(InputHistory::new(neutral))
            .init_resource::<WorldMirror>()
            .init_resource::<OutgoingMessages>()
            .init_resource::<HeldMessages>()
            .init_resource::<ResourceReferences>()
            .init_resource::<ClientClock>()
            .init_resource::<RecentPackets>()
            .init_resource::<SessionNotes>()
            .init_resource::<Traffic>()
            // Without a connection the message type still exists, so that its readers run.
            .add_message::<ConnectionEvent>();
        schedule::configure(app);
        let begin = begin_frame.after(poll_connection);
        app.add_systems(PreUpdate, begin.in_set(ClientSystems::Receive));
    }

    fn finish(&self, app: &mut App) {
        set_missing_error_handler(app, failures::log_error);
    }
}

/// Drives the [`Connection`] whenever there is one, and mirrors its entities into the app's world, in
/// `PreUpdate`: for games that connect and leave while they run. [`ConnectionStatus`] shows its state.
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
///     commands.remove_resource::<Connection>(); // Dropping it notifies the server.
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

/// Connects one player and mirrors its entities into the app's world, in `PreUpdate`.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
pub struct ClientWorldPlugin {
    /// The server, the player's name and the reconnection backoff.
    pub settings: ClientSettings,
}

impl Plugin for ClientWorldPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(ClientPlugin);
        let protocol = app.world().resource::<Protocol>().clone();
        app.insert_resource(Connection(Client::new(self.settings.clone(), &protocol)));
    }
}
