//! Joining and leaving a server: joins on request, tracks the connection's state, leaves.
//!
//! Owns [`GamePhase`], the state of the whole game (the connect screen or the game world), and [`LinkState`],
//! the state of the connection in words. Between sessions there is no [`Connection`].

use std::time::Duration;

use bevy::prelude::*;
use throng_client::connection::{ClientCore, ClientEvent};
use throng_client::player::{Client, ClientSettings, PlayerEvent};
use throng_client::schedule::ClientSystems;
use throng_client::world::{Connection, ConnectionEvent, MirrorPlugin, Own, poll_connection};
use throng_shared::protocol::registry::Protocol;

use super::settings_file::{SavedSettings, SettingsFile};
use crate::credential::CredentialChoice;

/// The phase of the game.
#[derive(States, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum GamePhase {
    /// The connect screen: choosing a server, or waiting for it.
    #[default]
    Connect,
    /// In the game world, also while the connection is being restored.
    Play,
}

/// The state of the connection.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub(crate) enum LinkState {
    /// There is no connection and none was requested.
    #[default]
    Idle,
    /// The last attempt failed for this reason, in words.
    Failed(String),
    /// A join request was sent to the server.
    Joining,
    /// A session is established.
    Up,
    /// The server does not reply, and another session is opened beside the present one.
    Silent,
    /// The connection was lost; the next attempt starts at a time since the start of the game.
    Waiting {
        /// The reason, in words for players.
        problem: String,
        /// Time of the next attempt.
        until: Duration,
    },
}

/// The player's requests to the connection.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkOrder {
    /// Join the server of the settings under the name there.
    Join,
    /// Leave the server and return to the connect screen.
    Leave,
}

/// Where the client's credential is kept.
#[derive(Resource, Clone, Debug)]
pub(crate) struct Credential(pub(crate) CredentialChoice);

pub(crate) struct SessionPlugin;

impl Plugin for SessionPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(MirrorPlugin)
            .init_state::<GamePhase>()
            .init_resource::<LinkState>()
            .add_message::<ConnectionEvent>()
            .add_message::<LinkOrder>()
            .add_systems(
                PreUpdate,
                (
                    handle_orders.before(ClientSystems::Receive),
                    poll_connection.in_set(ClientSystems::Receive),
                    (sync_connection, enter_world, log_first_input)
                        .chain()
                        .after(ClientSystems::Measure),
                ),
            )
            .add_systems(Last, leave_on_exit);
    }
}

/// Begins and ends sessions on request.
fn handle_orders(world: &mut World) {
    let orders: Vec<LinkOrder> = world.resource_mut::<Messages<LinkOrder>>().drain().collect();
    for order in orders {
        leave(world);
        if order == LinkOrder::Leave {
            world.insert_resource(LinkState::Idle);
            world
                .resource_mut::<NextState<GamePhase>>()
                .set(GamePhase::Connect);
            continue;
        }
        let settings = world.resource::<SavedSettings>().clone();
        world.resource::<SettingsFile>().save(&settings);
        let Credential(credential) = world.resource::<Credential>();
        let client_settings = ClientSettings {
            credential_file: credential.file(&settings.server, &settings.name),
            ..ClientSettings::new(&settings.server, &settings.name)
        };
        let client = Client::new(client_settings, world.resource::<Protocol>());
        world.insert_resource(Connection(client));
        world.insert_resource(LinkState::Joining);
    }
}

fn leave(world: &mut World) {
    // The next poll removes what the session leaves in the world.
    if let Some(mut connection) = world.remove_resource::<Connection>() {
        connection.0.disconnect();
    }
}

/// Updates [`LinkState`] from the events of the connection.
fn sync_connection(
    mut events: MessageReader<ConnectionEvent>,
    time: Res<Time>,
    mut link: ResMut<LinkState>,
    mut problem: Local<String>,
    mut next: ResMut<NextState<GamePhase>>,
    mut commands: Commands,
) {
    for ConnectionEvent(event) in events.read() {
        match event {
            PlayerEvent::Joined { server_version } => info!("joined a server of version {server_version}"),
            PlayerEvent::Session(ClientEvent::Silent) => {
                warn!("no reply from the server, reconnecting");
                *link = LinkState::Silent;
            }
            PlayerEvent::Session(ClientEvent::Recovered) => {
                info!("the server replies again");
                *link = LinkState::Up;
            }
            PlayerEvent::Session(ClientEvent::Ended(reason)) => {
                *problem = reason.to_string();
                // Unless the next event says otherwise, an attempt is under way.
                *link = LinkState::Joining;
            }
            PlayerEvent::JoinFailed(error) => *problem = error.to_string(),
            PlayerEvent::CredentialFailed(error) => warn!("{error}"),
            PlayerEvent::SocketFailed(error) => *problem = format!("the network failed: {error}"),
            PlayerEvent::Retrying { after } => {
                warn!("{} Trying again in {after:?}.", *problem);
                *link = LinkState::Waiting {
                    problem: problem.clone(),
                    until: time.elapsed() + *after,
                };
            }
            PlayerEvent::GivenUp => {
                *link = LinkState::Failed(std::mem::take(&mut problem));
                commands.remove_resource::<Connection>();
                next.set(GamePhase::Connect);
            }
            // Other events of a session, and events that the library may add.
            _ => {}
        }
    }
    let now = time.elapsed();
    if matches!(*link, LinkState::Waiting { until, .. } if until <= now) {
        *link = LinkState::Joining;
    }
}

/// Enters the game world when the player's ship is in it.
fn enter_world(
    arrived: Query<(), Added<Own>>,
    mut link: ResMut<LinkState>,
    phase: Res<State<GamePhase>>,
    mut next: ResMut<NextState<GamePhase>>,
) {
    if arrived.is_empty() {
        return;
    }
    link.set_if_neq(LinkState::Up);
    if *phase.get() == GamePhase::Connect {
        next.set(GamePhase::Play);
    }
}

/// Logs once that the server has applied an input to the player's ship: the player flies.
fn log_first_input(
    own: Query<(), With<Own>>,
    connection: Option<Res<Connection>>,
    time: Res<Time<Real>>,
    mut is_noted: Local<bool>,
) {
    let core = connection.as_ref().and_then(|connection| connection.0.core());
    let is_input_applied = core
        .and_then(ClientCore::owner)
        .is_some_and(|owner| owner.last_input.is_some());
    if !*is_noted && is_input_applied && !own.is_empty() {
        *is_noted = true;
        info!("flying, {:.1} s after the start", time.elapsed_secs());
    }
}

/// Disconnects on exit, so that the ship does not remain on the server.
fn leave_on_exit(mut exits: MessageReader<AppExit>, connection: Option<ResMut<Connection>>) {
    if exits.read().count() > 0
        && let Some(mut connection) = connection
    {
        connection.0.disconnect();
    }
}
