//! Single player: the player's client runs in the server's own app. It takes the place of a net worker at the other end
//! of the simulation's link.

use std::iter;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bevy_app::{App, FixedFirst, FixedPostUpdate, Plugin};
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bevy_time::{Fixed, Time, TimePlugin};
use throng_client::world::{MirrorPlugin, NextInput, OutgoingMessages, Own};
use throng_server::boundary::claims::PlayerName;
use throng_server::boundary::link::{
    Audience, LeaveReason, LinkConfig, PeerKind, SessionKey, ToSimulation, ToWorker, WorkerLink, link,
};
use throng_server::input::ReceivePlugin;
use throng_server::runner::{TickTime, tick_length};
use throng_server::schedule::SchedulePlugin;
use throng_server::simulation::{Avatar, Frames, Player, Replicated, SimulationPlugin, Slots, WorkerLinks};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Channel, ChannelId, GlobalId, MessageId, SimulationId};
use throng_shared::protocol::registry::{Protocol, referenced};

/// The player's session, the only one.
const SESSION: SessionKey = SessionKey {
    worker: 0,
    session: SessionId {
        index: 0,
        generation: 1,
    },
};

/// Runs the simulation and its one player in the app of the game's client: no packets and no second copy of the
/// world.
///
/// Add it after the game's own plugins for server and client, instead of a connection. Client systems find the
/// server's entities themselves, with [`Own`] on the avatar and a [`GlobalId`] on each, but without `Mirrored`. All
/// entities are in view, whatever the view radius, the visibility and the room. Messages are delivered as they are
/// over the network, and `NextInput` becomes the input of the next tick.
///
/// ```
/// use bevy_app::{App, FixedMain, FixedUpdate};
/// use bevy_ecs::prelude::*;
/// use throng_client::world::Own;
/// use throng_local::SinglePlayerPlugin;
/// use throng_server::prelude::*;
///
/// fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
///     for joined in joined.read() {
///         let avatar = commands.spawn(Replicated::default()).id();
///         commands.entity(joined.entity).insert(Avatar(avatar));
///     }
/// }
///
/// let mut app = App::new();
/// app.add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate))
///     .add_plugins(SinglePlayerPlugin::default());
/// app.finish();
/// app.world_mut().run_schedule(FixedMain);
/// assert_eq!(app.world_mut().query::<&Own>().iter(app.world()).count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct SinglePlayerPlugin {
    /// The player's name, 32 bytes at most.
    pub name: String,
    /// Number of ticks per second.
    pub tick_rate_hz: NonZeroU32,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Default for SinglePlayerPlugin {
    fn default() -> Self {
        Self {
            name: "player".into(),
            tick_rate_hz: NonZeroU32::new(20).expect("20 is not 0"),
            seed: 0,
        }
    }
}

impl Plugin for SinglePlayerPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<TimePlugin>() {
            app.add_plugins(TimePlugin);
        }
        app.add_plugins((
            SchedulePlugin,
            ReceivePlugin,
            SimulationPlugin {
                seed: self.seed,
                ..SimulationPlugin::default()
            },
            MirrorPlugin,
        ));
        let length = tick_length(self.tick_rate_hz);
        app.insert_resource(Time::<Fixed>::from_duration(length));
        app.world_mut().resource_mut::<TickTime>().length = length;
        let name = PlayerName::new(&self.name).unwrap_or_else(|| panic!("{:?} is no valid name", self.name));
        let (simulation, mut worker) = link(
            SimulationId(0),
            SESSION.worker,
            &LinkConfig::default(),
            Arc::new(|| {}),
        );
        worker.announce(ToSimulation::Joined {
            key: SESSION,
            client_id: 0,
            number: 1,
            name,
            kind: PeerKind::Throng,
            at: Duration::ZERO,
        });
        app.insert_resource(WorkerLinks::new(vec![simulation]))
            .insert_resource(LocalSession {
                worker: Mutex::new(worker),
                has_ended: false,
            })
            .add_systems(FixedFirst, forward_client)
            .add_systems(
                FixedPostUpdate,
                (name_entities, mark_own, deliver_messages).chain(),
            );
    }
}

/// The session at the end of the link where a net worker would be.
#[derive(Resource)]
struct LocalSession {
    /// In a mutex because resources are shared between threads; exclusive access does not lock it.
    worker: Mutex<WorkerLink>,
    has_ended: bool,
}

impl LocalSession {
    fn worker(&mut self) -> &mut WorkerLink {
        self.worker.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session. The simulation processes this in the next tick.
    fn end(&mut self, reason: LeaveReason) {
        self.has_ended = true;
        let key = SESSION;
        self.worker().announce(ToSimulation::Left { key, reason });
    }
}

/// Sends the client's input and messages for the tick that is about to run. After the end of the session, messages
/// are dropped.
fn forward_client(
    mut session: ResMut<LocalSession>,
    mut messages: ResMut<OutgoingMessages>,
    next: Res<NextInput>,
    time: Res<TickTime>,
) {
    let messages = messages.take();
    if session.has_ended {
        return;
    }
    let worker = session.worker();
    worker.input(ToSimulation::Input {
        key: SESSION,
        tick: time.tick.next(),
        view: None,
        arrived_at: time.started_at,
        bytes: next.0,
    });
    for (channel, bytes) in messages {
        if !worker.message(SESSION, channel.id(), bytes) {
            tracing::warn!("a message for the server was dropped: the queue is full");
        }
    }
}

/// Adds the global id, by which a client's messages refer to an entity.
fn name_entities(
    fresh: Query<(Entity, &Replicated), (Added<Replicated>, Allow<Disabled>)>,
    mut commands: Commands,
) {
    for (entity, replicated) in &fresh {
        commands.entity(entity).insert(replicated.global());
    }
}

fn mark_own(
    players: Query<&Avatar, (With<Player>, Allow<Disabled>)>,
    own: Query<Entity, With<Own>>,
    globals: Query<&GlobalId>,
    mut commands: Commands,
) {
    let avatar = players.iter().next().map(|avatar| avatar.0);
    for former in own.iter().filter(|&former| Some(former) != avatar) {
        commands.entity(former).remove::<Own>();
    }
    if let Some(avatar) = avatar.filter(|&avatar| globals.contains(avatar) && !own.contains(avatar)) {
        commands.entity(avatar).insert(Own);
    }
}

/// Delivers the tick's messages to the client. Resources are skipped: the client already shares the world.
fn deliver_messages(world: &mut World) {
    let mut session = world.resource_mut::<LocalSession>();
    let worker = session.worker();
    while worker.frame().is_some() {}
    let messages: Vec<_> = iter::from_fn(|| worker.pop())
        .map(|(_, message)| message)
        .collect();
    world.resource_scope(|world, protocol: Mut<Protocol>| {
        for message in messages {
            if world.resource::<LocalSession>().has_ended {
                return;
            }
            match message {
                ToWorker::Message { channel, bytes, .. } => deliver(world, &protocol, channel, &bytes),
                ToWorker::Broadcast {
                    audience,
                    channel,
                    bytes,
                } if is_addressed(world, audience) => deliver(world, &protocol, channel, &bytes),
                ToWorker::Disconnect { reason, .. } => world.resource_mut::<LocalSession>().end(reason),
                ToWorker::DisconnectMany { audience, reason } if is_addressed(world, audience) => {
                    world.resource_mut::<LocalSession>().end(reason);
                }
                ToWorker::Broadcast { .. } | ToWorker::DisconnectMany { .. } => {}
            }
        }
    });
}

fn is_addressed(world: &World, audience: Audience) -> bool {
    let frame = world.resource::<Frames>().0.newest();
    let player = frame.and_then(|frame| frame.players.get(SESSION.worker, SESSION.session));
    player.is_some_and(|player| audience.includes(player))
}

fn deliver(world: &mut World, protocol: &Protocol, channel: ChannelId, bytes: &[u8]) {
    let Some(channel) = Channel::from_id(channel) else {
        return;
    };
    let carries = |id: MessageId| protocol.resources().iter().any(|resource| resource.id == id);
    if let Some((id, _)) = bytes.split_first_chunk()
        && carries(MessageId(u16::from_le_bytes(*id)))
    {
        return;
    }
    let find = |world: &World, entity| {
        let slots = world.resource::<Slots>();
        referenced(entity)
            .and_then(|global| slots.find(global))
            .unwrap_or(Entity::PLACEHOLDER)
    };
    if let Err(error) = protocol.deliver_from_server(world, channel, bytes, &find) {
        tracing::error!(%error, "a message of this server was not delivered");
    }
}
