//! Playing alone: the player in the server's own app, without a session.

use std::num::NonZeroU32;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use bevy_time::{Fixed, Time, TimePlugin};
use throng_client::world::{Mail, MirrorPlugin, NextInput, Own};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Channel, ChannelId, GlobalId, MessageId};
use throng_shared::protocol::registry::{Protocol, referenced};

use crate::boundary::claims::PlayerName;
use crate::boundary::link::{Audience, PeerKind, SessionKey, ToSimulation};
use crate::input::{Inbox, ReceivePlugin, drain_links};
use crate::runner::{TickTime, tick_length};
use crate::schedule::{SchedulePlugin, ServerSystems};
use crate::simulation::{
    Avatar, Frames, Letter, Outbox, Player, Players, Replicated, SimulationPlugin, Slots, hand_over, leave,
    tell_resources,
};

/// The session that is none: no worker has this index.
const ALONE: SessionKey = SessionKey {
    worker: u8::MAX,
    session: SessionId {
        index: 0,
        generation: 1,
    },
};

/// The simulation and its one player in the app of the game's client: no packets and no second copy of the
/// world.
///
/// Add it after the game's own plugins for server and client, in the place of what connects them. Client systems
/// find the server's entities themselves, with [`Own`] on the avatar and a [`GlobalId`] on each, but without
/// `Mirrored`; all is in view, whatever the view radius, the visibility and the room. Messages travel as they do
/// over the network, and `NextInput` becomes the input of the next tick.
///
/// ```
/// use bevy_app::{App, FixedUpdate};
/// use bevy_ecs::prelude::*;
/// use throng_client::world::Own;
/// use throng_server::local::SinglePlayerPlugin;
/// use throng_server::schedule::ServerSystems;
/// use throng_server::simulation::{Avatar, PlayerJoined, Replicated};
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
/// for _ in 0..2 {
///     app.world_mut().run_schedule(FixedUpdate);
/// }
/// assert_eq!(app.world_mut().query::<&Own>().iter(app.world()).count(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct SinglePlayerPlugin {
    /// The player's name.
    pub name: String,
    /// Ticks a second.
    pub tick_rate_hz: NonZeroU32,
    /// Seed of everything random.
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
        let name =
            PlayerName::new(&self.name).unwrap_or_else(|| panic!("{:?} is too long for a name", self.name));
        app.add_systems(
            FixedUpdate,
            (
                fill_inbox(name)
                    .before(drain_links)
                    .in_set(ServerSystems::Receive),
                (name_entities, mark_own, deliver_letters)
                    .chain()
                    .after(tell_resources)
                    .before(hand_over)
                    .in_set(ServerSystems::Publish),
            ),
        );
    }
}

/// Fills the inbox with the player's input and messages. Lets the player join in the first tick; once it has left,
/// it stays away.
fn fill_inbox(name: PlayerName) -> impl System<In = (), Out = ()> {
    let fill = move |mut inbox: ResMut<Inbox>,
                     next: Res<NextInput>,
                     mut mail: ResMut<Mail>,
                     players: Res<Players>,
                     frames: Res<Frames>,
                     time: Res<TickTime>| {
        let is_first = frames.0.newest().is_none();
        let key = ALONE;
        if is_first {
            inbox.push(ToSimulation::Joined {
                key,
                client_id: 0,
                name,
                kind: PeerKind::Throng,
                at: time.started_at,
            });
        }
        let messages = mail.take();
        if !is_first && players.get(key).is_none() {
            return;
        }
        inbox.push(ToSimulation::Input {
            key,
            tick: time.tick,
            view: None,
            arrived_at: time.started_at,
            bytes: next.0,
        });
        inbox.extend(messages.map(|(channel, bytes)| ToSimulation::Message {
            key,
            channel: channel.id(),
            bytes,
        }));
    };
    IntoSystem::into_system(fill)
}

/// Gives entities the name by which a client's messages refer to them.
fn name_entities(fresh: Query<(Entity, &Replicated), Added<Replicated>>, mut commands: Commands) {
    for (entity, replicated) in &fresh {
        commands.entity(entity).insert(replicated.global());
    }
}

fn mark_own(
    players: Query<&Avatar, With<Player>>,
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

/// Hands the server's messages to the client. Resources are there already: it is the same world.
fn deliver_letters(world: &mut World) {
    let letters: Vec<_> = world.resource_mut::<Outbox>().letters_mut().drain(..).collect();
    if world.resource::<Players>().get(ALONE).is_none() {
        return;
    }
    world.resource_scope(|world, protocol: Mut<Protocol>| {
        for letter in letters {
            match letter {
                Letter::Message(key, channel, bytes) if key == ALONE => {
                    deliver(world, &protocol, channel, &bytes);
                }
                Letter::Broadcast(audience, channel, bytes) if is_addressed(world, audience) => {
                    deliver(world, &protocol, channel, &bytes);
                }
                Letter::Disconnect(key, reason) => leave(world, key, reason),
                Letter::Message(..) | Letter::Broadcast(..) => {}
            }
        }
    });
}

fn is_addressed(world: &World, audience: Audience) -> bool {
    let frame = world.resource::<Frames>().0.newest();
    let player = frame.and_then(|frame| frame.players.get(ALONE.worker, ALONE.session));
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
        tracing::error!(%error, "a message of our own is not delivered");
    }
}
