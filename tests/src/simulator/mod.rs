//! The simulator: server, clients and lossy links in one thread, in virtual time, from one seed.
//!
//! Owns time, the network and all endpoints. Guarantees that a run follows from its [`SimulatorConfig`] and the calls:
//! it uses no clock, no socket and no thread. The server is the real one without its sockets, and the clients are the
//! real client cores. Every packet that a client decodes is checked against the frames (see [`audit`]). Whole mirrors
//! can be compared with a brute-force reading of the frames (see [`oracle`]).

pub mod arena;
pub mod audit;
pub mod client;
pub mod network;
pub mod oracle;
pub mod peer;
pub mod server;

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    num::NonZeroU32,
    rc::Rc,
    time::Duration,
};

use throng_client::connection::ClientConfig;
pub use throng_client::link;
use throng_server::replication::BYTES_PER_SECOND_MAX;
use throng_shared::{
    netcode::ConnectToken,
    protocol::{
        ids::{GlobalId, PlayerId},
        registry::Protocol,
    },
    tick::Tick,
};

use self::{
    arena::{ArenaConfig, Frozen},
    audit::FrameLog,
    client::SimClient,
    link::{Gate, LinkConditions},
    network::Network,
    oracle::Difference,
    server::SimServer,
};

/// Steps into which each tick is divided, so that datagrams arrive between ticks.
const STEPS_PER_TICK: u32 = 10;

/// The most datagrams that a mailbox keeps. Further ones are dropped.
const MAILBOX_MAX: usize = 4_096;

/// Configuration of a simulated run.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Seed of the game, the links, the keys and the clients' inputs.
    pub seed: u64,
    /// Number of ticks a second.
    pub tick_rate_hz: NonZeroU32,
    /// Number of net workers.
    pub workers: u8,
    /// The tick before the first one. A value near the wrap-around makes the run cross it.
    pub start: Tick,
    /// Size and rules of the game.
    pub arena: ArenaConfig,
    /// Initial conditions of every link.
    pub conditions: LinkConditions,
    /// The most bytes a second that the server sends to one client.
    pub bandwidth: u32,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            tick_rate_hz: NonZeroU32::new(20).expect("20 is not 0"),
            workers: 2,
            start: Tick(0),
            arena: ArenaConfig::default(),
            conditions: LinkConditions::PERFECT,
            bandwidth: BYTES_PER_SECOND_MAX,
        }
    }
}

/// Identifies a client of one simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientId(usize);

/// A server, its clients and the network between them.
pub struct Simulator {
    config: SimulatorConfig,
    protocol: Protocol,
    now: Duration,
    server: SimServer,
    network: Network,
    clients: Vec<SimClient>,
    /// Datagrams that reached the endpoints that a test controls.
    mailboxes: BTreeMap<SocketAddr, VecDeque<Vec<u8>>>,
    frames: FrameLog,
    /// The virtual time, for inputs that carry it.
    time: Rc<Cell<Duration>>,
    /// Tick numbers that the server's next tick skips.
    skips: u32,
    /// Datagrams that wait in the sockets of stopped workers.
    unread: Option<VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>>,
}

impl Simulator {
    /// Creates a server without clients, before its first tick.
    #[must_use]
    pub fn new(config: SimulatorConfig) -> Self {
        Self {
            protocol: config.arena.view.registry(),
            now: Duration::ZERO,
            server: SimServer::new(&config),
            network: Network::new(config.seed ^ 0x6e65_7477, config.conditions),
            clients: Vec::new(),
            mailboxes: BTreeMap::new(),
            frames: FrameLog::default(),
            time: Rc::default(),
            skips: 0,
            unread: None,
            config,
        }
    }

    /// Returns the virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the virtual time, which a client's generator of inputs can read.
    #[must_use]
    pub fn time(&self) -> Rc<Cell<Duration>> {
        Rc::clone(&self.time)
    }

    /// Returns the simulated server with its workers.
    pub fn server(&mut self) -> &mut SimServer {
        &mut self.server
    }

    /// Returns the network with all links.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Returns the frames of the last ticks.
    #[must_use]
    pub fn frames(&self) -> &FrameLog {
        &self.frames
    }

    /// Returns the protocol of the server and the clients.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Returns the time between two ticks.
    #[must_use]
    pub fn tick_length(&self) -> Duration {
        Duration::from_secs(1) / self.config.tick_rate_hz.get()
    }

    /// Returns the unique address of endpoint `number`.
    #[must_use]
    pub fn address(number: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 40_000))
    }

    /// Adds a client with a new identity, which connects by itself.
    pub fn connect(&mut self) -> ClientId {
        let client_id = self.clients.len() as u64 + 1;
        self.connect_as(client_id, ClientConfig::new(&self.protocol))
    }

    /// Adds a client with this identity and configuration. An identity that is used again takes its session over.
    pub fn connect_as(&mut self, client_id: u64, config: ClientConfig) -> ClientId {
        let token = self.server.issue_token(self.now, client_id);
        self.connect_with(&token, config)
    }

    /// Adds a client that uses this token.
    pub fn connect_with(&mut self, token: &ConnectToken, config: ClientConfig) -> ClientId {
        let number = self.clients.len();
        let seed = self.config.seed ^ (number as u64) << 32;
        self.clients.push(SimClient::new(
            self.now,
            Self::address(number),
            token,
            config,
            &self.protocol,
            seed,
        ));
        ClientId(number)
    }

    /// Returns a client by its id.
    #[must_use]
    pub fn client(&self, id: ClientId) -> &SimClient {
        &self.clients[id.0]
    }

    /// Returns a client by its id.
    pub fn client_mut(&mut self, id: ClientId) -> &mut SimClient {
        &mut self.clients[id.0]
    }

    /// Returns all clients, including those whose session has ended.
    #[must_use]
    pub fn clients(&self) -> &[SimClient] {
        &self.clients
    }

    /// Disconnects a client from the server. It stays in the list, with an ended session.
    pub fn disconnect(&mut self, id: ClientId) {
        let Self {
            clients,
            network,
            now,
            ..
        } = self;
        let client = &mut clients[id.0];
        let (from, to) = (client.address(), client.server_address());
        client
            .core_mut()
            .disconnect(|datagram| network.send(*now, from, to, datagram));
    }

    /// Stops the server gracefully and delivers its last datagrams.
    pub fn shutdown(&mut self) {
        self.server.shutdown(self.now);
        self.send_all();
        for _ in 0..40 {
            self.step();
            self.now += self.tick_length() / STEPS_PER_TICK;
        }
    }

    /// Opens, closes or holds a client's link in both directions.
    pub fn set_gate(&mut self, id: ClientId, gate: Gate) {
        self.network
            .set_gate(self.now, self.clients[id.0].address(), gate);
    }

    /// Stops or starts all changes that happen by themselves in the game.
    pub fn freeze(&mut self, frozen: bool) {
        self.server.world().insert_resource(Frozen(frozen));
    }

    /// Keeps datagrams to `address` from now on, for [`Simulator::take_datagram`].
    pub fn open_mailbox(&mut self, address: SocketAddr) {
        self.mailboxes.entry(address).or_default();
    }

    /// Removes and returns the oldest datagram in a mailbox.
    pub fn take_datagram(&mut self, address: SocketAddr) -> Option<Vec<u8>> {
        self.mailboxes.get_mut(&address)?.pop_front()
    }

    /// Sends any bytes from any address over the links.
    pub fn send_raw(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.network.send(self.now, from, to, datagram);
    }

    /// Delivers any bytes from any address at once, without the links, like an attacker on the path. The links' random
    /// decisions stay the same.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        self.deliver(from, to, datagram);
        self.send_all();
    }

    /// Runs this many ticks of the server.
    pub fn run(&mut self, ticks: u32) {
        self.run_with(ticks, |_| {});
    }

    /// Runs this many ticks, and calls `after` at the end of each, just before the next one.
    pub fn run_with(&mut self, ticks: u32, mut after: impl FnMut(&mut Self)) {
        let step = self.tick_length() / STEPS_PER_TICK;
        for _ in 0..ticks {
            self.server.tick(self.now, std::mem::take(&mut self.skips));
            self.frames.push(self.server.newest_frame());
            for _ in 0..STEPS_PER_TICK {
                self.step();
                self.now += step;
            }
            after(self);
        }
    }

    /// Runs this many tick lengths without a tick, as during a system that sleeps. After it the tick number follows the
    /// clock. With `stops_workers` the sockets are not read meanwhile, as in a stopped process.
    pub fn stall(&mut self, ticks: u32, stops_workers: bool) {
        self.unread = stops_workers.then(VecDeque::new);
        let step = self.tick_length() / STEPS_PER_TICK;
        for _ in 0..ticks * STEPS_PER_TICK {
            self.step();
            self.now += step;
        }
        for (from, to, datagram) in self.unread.take().into_iter().flatten() {
            self.deliver(from, to, datagram);
        }
        self.skips += ticks;
    }

    /// Runs `ticks` ticks of a server of which each takes `lengths` tick lengths, and calls `after` at the end of each.
    pub fn run_slowly(&mut self, ticks: u32, lengths: u32, mut after: impl FnMut(&mut Self)) {
        for _ in 0..ticks {
            self.run(1);
            self.stall(lengths - 1, false);
            after(self);
        }
    }

    /// Runs until every client plays or has disconnected itself, at most `ticks` ticks. Returns whether they do.
    pub fn run_until_playing(&mut self, ticks: u32) -> bool {
        let all_play = |clients: &[SimClient]| {
            clients
                .iter()
                .all(|client| client.is_playing() || client.has_left())
        };
        for _ in 0..ticks {
            if all_play(&self.clients) {
                return true;
            }
            self.run(1);
        }
        all_play(&self.clients)
    }

    /// Delivers the datagrams that are due, and updates the server and the clients.
    fn step(&mut self) {
        self.time.set(self.now);
        let mut arrived = Vec::new();
        self.network
            .deliver(self.now, |from, to, datagram| arrived.push((from, to, datagram)));
        for (from, to, datagram) in arrived {
            self.deliver(from, to, datagram);
        }
        if self.unread.is_none() {
            self.server.update(self.now);
        }
        self.send_all();
        let Self {
            network,
            clients,
            frames,
            protocol,
            now,
            ..
        } = self;
        for client in clients {
            let (from, to) = (client.address(), client.server_address());
            client.update(*now, frames, protocol, |datagram| {
                network.send(*now, from, to, datagram);
            });
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        let Self {
            server,
            clients,
            mailboxes,
            unread,
            frames,
            protocol,
            now,
            ..
        } = self;
        if server.has_worker(to) {
            if let Some(unread) = unread {
                if unread.len() < MAILBOX_MAX {
                    unread.push_back((from, to, datagram));
                }
                return;
            }
            server.receive(*now, from, to, datagram);
        } else if let Some(mailbox) = mailboxes.get_mut(&to) {
            if mailbox.len() < MAILBOX_MAX {
                mailbox.push_back(datagram);
            }
        } else if let Some(client) = clients.iter_mut().find(|client| client.address() == to)
            && client.server_address() == from
        {
            client.receive(*now, datagram, frames, protocol);
        }
    }

    fn send_all(&mut self) {
        let Self {
            server, network, now, ..
        } = self;
        server.take_sent(|from, to, datagram| network.send(*now, from, to, datagram));
    }

    /// Returns the first difference between a client's mirror and the newest frame; see [`oracle::compare`].
    #[must_use]
    pub fn difference(&self, id: ClientId) -> Option<Difference> {
        let client = self.client(id);
        let player = client.player().expect("the client plays");
        oracle::compare(client.mirror(), self.frames.newest(), player, &self.protocol)
    }

    /// Asserts that no client decoded a wrong value, and that every mirror equals the newest frame.
    ///
    /// Call it when the game has been at rest long enough for all updates to arrive.
    ///
    /// # Panics
    /// With the seed and the first difference, if there is one.
    pub fn assert_mirrors_match(&self) {
        self.assert_sound();
        for number in (0..self.clients.len()).filter(|&number| self.clients[number].is_playing()) {
            if let Some(difference) = self.difference(ClientId(number)) {
                panic!("seed {}: client {number}: {difference}", self.config.seed);
            }
        }
    }

    /// Asserts that no client decoded a wrong value, and that no worker panicked.
    ///
    /// # Panics
    /// With the seed and the complaints, if there are any.
    pub fn assert_sound(&self) {
        assert_eq!(
            self.server.faults(),
            0,
            "seed {}: a panic ended a session",
            self.config.seed
        );
        for (number, client) in self.clients.iter().enumerate() {
            let complaints = client.complaints().join("\n  ");
            assert!(
                complaints.is_empty(),
                "seed {}: client {number}:\n  {complaints}",
                self.config.seed
            );
            let undecodable = client.tally().undecodable;
            let events: Vec<_> = client.events().collect();
            assert_eq!(
                undecodable, 0,
                "seed {}: client {number}: {events:?}",
                self.config.seed
            );
        }
    }

    /// Returns the player's avatar in the newest frame.
    #[must_use]
    pub fn avatar(&self, player: PlayerId) -> Option<GlobalId> {
        let frame = self.frames.newest();
        let slot = oracle::player_row(frame, player)?.entity?;
        frame.row(slot)?;
        Some(frame.identity(slot).global)
    }
}
