//! A server and its clients in memory, connected by simulated links.

mod joining;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bevy_app::{App, Plugins};
use bevy_ecs::prelude::*;
use throng_client::connection::{ClientConfig, ClientCore, EndReason};
use throng_client::link::{Gate, Link, LinkConditions};
use throng_client::mirror::Mirror;
use throng_client::world::{receive_datagram, update_session};
use throng_shared::netcode::{Entropy, ServerNetcodeConfig};
use throng_shared::protocol::ids::{PlayerId, SimulationId};
use throng_shared::protocol::registry::Protocol;

use throng_server::boundary::link::{LinkConfig, link};
use throng_server::input::ReceivePlugin;
use throng_server::internals::{
    Collected, Directory, Places, WorkerCore, WorkerCoreConfig, WorkerLoad, WorkerShared, WorkerStats,
};
use throng_server::replication::ReplicationConfig;
use throng_server::runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_late, tick_length};
use throng_server::schedule::SchedulePlugin;
use throng_server::simulation::{Player, SimulationPlugin, WorkerLinks};

/// Address of the server, as its clients see it. No socket is opened for it.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 5_000);
/// Time of the virtual clock's zero, in seconds since 1970.
const UNIX_S: u64 = 1_800_000_000;
/// Limit on the number of players; joining panics above it.
const PLAYERS_MAX: usize = 1_024;
/// Minimum number of steps per tick. Clients send and receive in each step.
const STEPS_PER_TICK: u32 = 5;

/// The settings of a [`LocalGame`]. Its course follows from them, its plugins and the calls.
#[derive(Clone, Copy, Debug)]
pub struct LocalConfig {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Number of ticks per second.
    pub tick_rate_hz: NonZeroU32,
    /// Settings of replication, such as the budget and the number of entities of a client. Its tick rate is
    /// replaced by [`Self::tick_rate_hz`].
    pub replication: ReplicationConfig,
    /// Number of updates of every client's app per tick.
    pub frames_per_tick: NonZeroU32,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            tick_rate_hz: NonZeroU32::new(20).expect("20 is not 0"),
            replication: ReplicationConfig::default(),
            frames_per_tick: NonZeroU32::MIN,
        }
    }
}

/// Handle of a client of a [`LocalGame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalPlayer(usize);

/// A server and its clients in one thread and in virtual time, for a game's tests.
///
/// ```
/// use bevy_app::{App, FixedUpdate};
/// use bevy_ecs::prelude::*;
/// use throng_client::world::Own;
/// use throng_local::LocalGame;
/// use throng_server::prelude::*;
///
/// fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
///     for joined in joined.read() {
///         let avatar = commands.spawn((Replicated::default(), Owner(joined.player.id))).id();
///         commands.entity(joined.entity).insert((Avatar(avatar), Viewer { radius: 50.0 }));
///     }
/// }
/// fn drift(mut positions: Query<&mut Position>) {
///     positions.iter_mut().for_each(|mut position| position.0.x += 1.0);
/// }
///
/// let mut game = LocalGame::new(|app: &mut App| {
///     app.add_systems(FixedUpdate, (welcome, drift).chain().in_set(ServerSystems::Simulate));
/// });
/// let ada = game.join("Ada", |_: &mut App| {});
/// game.run(10);
/// let mut own = game.world(ada).query_filtered::<&Position, With<Own>>();
/// assert!(own.single(game.world(ada)).unwrap().0.x >= 10.0);
/// ```
pub struct LocalGame {
    server: App,
    core: WorkerCore,
    outgoing: Collected,
    clients: Vec<LocalClient>,
    clock: Arc<AtomicU64>,
    now: Duration,
    tick_length: Duration,
    seed: u64,
    frames_per_tick: u32,
    private_key: [u8; 32],
    entropy: Entropy,
    sessions_issued: u64,
    skips: u32,
}

/// A client: its app with the mirrored world, and the session that fills it.
pub struct LocalClient {
    app: App,
    config: ClientConfig,
    core: ClientCore,
    name: String,
    client_id: u64,
    address: SocketAddr,
    down: Link,
    up: Link,
}

impl LocalGame {
    /// Creates a server with the game's plugins, before its first tick.
    pub fn new<M>(game: impl Plugins<M>) -> Self {
        Self::with_config(LocalConfig::default(), game)
    }

    /// Creates a server with the game's plugins and these settings.
    ///
    /// # Panics
    /// Panics if a plugin does, and if a setting is out of its range.
    pub fn with_config<M>(config: LocalConfig, game: impl Plugins<M>) -> Self {
        if let Err(error) = config.replication.validate() {
            panic!("{error}");
        }
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&config.seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(seed);
        let private_key = entropy.bytes();
        let clock = Arc::new(AtomicU64::new(0));
        let mut server = server_app(&config, &clock, game);
        let core = worker(&config, &mut server, private_key, &mut entropy);
        Self {
            server,
            core,
            outgoing: Collected::default(),
            clients: Vec::new(),
            clock,
            now: Duration::ZERO,
            tick_length: tick_length(config.tick_rate_hz),
            seed: config.seed,
            frames_per_tick: config.frames_per_tick.get(),
            private_key,
            entropy,
            sessions_issued: 0,
            skips: 0,
        }
    }

    /// Runs `ticks` ticks of the server and its clients. Every client's app is updated once a tick, after the
    /// tick's packets arrived, or as often as [`LocalConfig::frames_per_tick`] says.
    pub fn run(&mut self, ticks: u32) {
        self.run_with(ticks, |_| {});
    }

    /// Runs `ticks` ticks, and calls `after` each time the clients' apps were updated.
    pub fn run_with(&mut self, ticks: u32, mut after: impl FnMut(&mut Self)) {
        for _ in 0..ticks {
            self.clock.store(self.now.as_nanos() as u64, Relaxed);
            let skipped = std::mem::take(&mut self.skips);
            tick_late(&mut self.server, self.now, self.now, skipped);
            self.core.publish(self.now, &mut self.outgoing);
            self.run_clients(&mut after);
        }
    }

    /// Lets the time of `ticks` ticks pass without a tick of the server, as when its process is stopped or a system takes
    /// too long. Its next tick has as many [`skipped`](throng_server::runner::TickTime::skipped) numbers.
    pub fn stall(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.run_clients(&mut |_| {});
        }
        self.skips += ticks;
    }

    /// Returns the virtual time since the start of the server.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the world of the server's app.
    pub fn server(&mut self) -> &mut World {
        self.server.world_mut()
    }

    /// Returns a client for inspection.
    #[must_use]
    pub fn client(&self, player: LocalPlayer) -> &LocalClient {
        &self.clients[player.0]
    }

    /// Returns the world of a client's app.
    pub fn world(&mut self, player: LocalPlayer) -> &mut World {
        self.clients[player.0].app.world_mut()
    }

    /// Returns a client's player entity in the server's world, until the player leaves.
    pub fn player(&mut self, player: LocalPlayer) -> Option<Entity> {
        let id = self.clients[player.0].core.player()?;
        let world = self.server.world_mut();
        let mut players = world.query::<(Entity, &Player)>();
        let found = players.iter(world).find(|(_, player)| player.id == id);
        found.map(|(entity, _)| entity)
    }

    /// Disconnects a client by its own request.
    pub fn leave(&mut self, player: LocalPlayer) {
        let Self {
            clients,
            core,
            outgoing,
            now,
            ..
        } = self;
        let LocalClient {
            core: client,
            address,
            ..
        } = &mut clients[player.0];
        client.disconnect(|datagram| {
            core.receive_datagram(*now, *address, &mut datagram.to_vec(), outgoing);
        });
    }

    /// Blocks all datagrams from and to a client until it is called with `false`.
    pub fn cut_off(&mut self, player: LocalPlayer, is_cut_off: bool) {
        let gate = if is_cut_off { Gate::Closed } else { Gate::Open };
        let client = &mut self.clients[player.0];
        client.down.set_gate(self.now, gate);
        client.up.set_gate(self.now, gate);
    }

    /// Sets the conditions of a client's link, in both directions.
    pub fn set_line(&mut self, player: LocalPlayer, conditions: LinkConditions) {
        let client = &mut self.clients[player.0];
        client.down.set_conditions(conditions);
        client.up.set_conditions(conditions);
    }

    /// Lets the time of one tick pass for the clients and the links.
    fn run_clients(&mut self, after: &mut impl FnMut(&mut Self)) {
        let steps = STEPS_PER_TICK.div_ceil(self.frames_per_tick);
        for _ in 0..self.frames_per_tick {
            for _ in 0..steps {
                self.step();
                self.now += self.tick_length / (steps * self.frames_per_tick);
            }
            for client in &mut self.clients {
                client.app.update();
            }
            after(self);
        }
    }

    fn step(&mut self) {
        self.core.update(self.now, &mut self.outgoing);
        for (to, datagram) in self.outgoing.sent.drain(..) {
            if let Some(client) = self.clients.iter_mut().find(|client| client.address == to) {
                client.down.send(self.now, &datagram);
            }
        }
        for client in &mut self.clients {
            client.exchange(self.now);
            while let Some(mut datagram) = client.up.receive_datagram(self.now) {
                self.core
                    .receive_datagram(self.now, client.address, &mut datagram, &mut self.outgoing);
            }
        }
    }
}

impl LocalClient {
    /// Returns the world of the client's app.
    #[must_use]
    pub fn world(&self) -> &World {
        self.app.world()
    }

    /// Returns the client's player id; `None` before it is welcomed.
    #[must_use]
    pub fn player(&self) -> Option<PlayerId> {
        self.core.player()
    }

    /// Returns the identity with which the client joins, each time.
    #[must_use]
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Returns the decoded state of the client's view; `None` before it is welcomed.
    #[must_use]
    pub fn mirror(&self) -> Option<&Mirror> {
        self.core.mirror()
    }

    /// Returns why the session ended; `None` while it lasts.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.core.ended()
    }

    /// Receives the datagrams that arrived, and sends those that are due.
    fn exchange(&mut self, now: Duration) {
        let Self {
            app, core, down, up, ..
        } = self;
        while let Some(mut datagram) = down.receive_datagram(now) {
            receive_datagram(app.world_mut(), core, now, &mut datagram);
        }
        update_session(app.world_mut(), core, now, |datagram| up.send(now, datagram));
    }
}

fn server_app<M>(config: &LocalConfig, clock: &Arc<AtomicU64>, game: impl Plugins<M>) -> App {
    let clock = Arc::clone(clock);
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        RunnerPlugin {
            tick_rate_hz: config.tick_rate_hz,
            clock: Clock::new(move || Duration::from_nanos(clock.load(Relaxed))),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
        SimulationPlugin {
            seed: config.seed,
            ..SimulationPlugin::default()
        },
    ))
    .add_plugins(game);
    finish_plugins(&mut app);
    app
}

/// Returns the only worker, linked to the server's app.
fn worker(config: &LocalConfig, app: &mut App, private_key: [u8; 32], entropy: &mut Entropy) -> WorkerCore {
    let protocol = Arc::new(app.world().resource::<Protocol>().clone());
    let loads: Arc<[WorkerLoad]> = Arc::new([WorkerLoad::default()]);
    let (ours, theirs) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    let counters = vec![Arc::clone(theirs.counters())];
    app.insert_resource(WorkerLinks::new(vec![ours]));
    let netcode = ServerNetcodeConfig {
        sessions_max: PLAYERS_MAX as u32,
        ..ServerNetcodeConfig::new(private_key, vec![SERVER])
    };
    let shared = WorkerShared {
        protocol,
        directory: Arc::new(Directory::new(1, PLAYERS_MAX, PLAYERS_MAX)),
        places: Arc::new(Places::unlimited(1)),
        stats: Arc::new(WorkerStats::new(0, loads, counters)),
    };
    let worker = WorkerCoreConfig {
        worker: 0,
        netcode,
        replication: ReplicationConfig {
            tick_rate: u16::try_from(config.tick_rate_hz.get()).unwrap_or(u16::MAX),
            ..config.replication
        },
        unix_origin_s: UNIX_S,
    };
    WorkerCore::new(worker, entropy, vec![theirs], shared)
}
