//! Sessions over real net workers and clients with lossy sockets, served by several simulations.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use bytes::Bytes;
use throng_client::connection::{ClientConfig, ClientCore};
use throng_client::mirror::MirrorObserver;
use throng_shared::netcode::{ConnectToken, Entropy, PROTOCOL_ID, ServerNetcodeConfig, TokenRequest};
use throng_shared::protocol::ids::{Channel, GlobalId, PlayerId};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::game::{
    Call, CallTo, Complaints, InputTally, Lossy, MessageTally, News, NewsTally, SendsNews, Walk, team_of,
};
use super::{CONFIG, TICK, chessboard};
use crate::boundary::claims::{PlayerName, SessionClaims};
use crate::boundary::directory::Directory;
use crate::boundary::link::{LinkConfig, link};
use crate::net::assign::WorkerLoad;
use crate::net::core::{WorkerCore, WorkerCoreConfig, WorkerShared};
use crate::net::places::Places;
use crate::net::stats::WorkerStats;
use crate::net::transmit::{DATAGRAM_BUFFER_BYTES, Transmit};
use crate::replication::ReplicationConfig;
use crate::runner::tick_once;
use crate::simulation::{Frames, Random, Seed, WorkerLinks};
use crate::simulations::{Exchange, Simulations, send_batch};

const WORKERS: u8 = 2;
const CLIENTS: usize = 12;
const STEPS: u32 = 10;
const UNIX_S: u64 = 1_800_000_000;
/// Part of all datagrams that is lost, in either direction.
const LOSS: f32 = 0.1;

struct IgnoredUpdates;

impl MirrorObserver for IgnoredUpdates {}

struct Outgoing {
    from: SocketAddr,
    buffer: [u8; DATAGRAM_BUFFER_BYTES],
    sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Transmit for Outgoing {
    fn begin(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        self.sent.push((self.from, to, self.buffer[range].to_vec()));
    }
}

struct Client {
    address: SocketAddr,
    core: ClientCore,
    messages_sent: u32,
    player: Option<PlayerId>,
    avatar: Option<GlobalId>,
    ticks_with_avatar: u32,
    /// News received, in order.
    news_received: u32,
    /// The ticks of the received calls, by audience and sending simulation, in order.
    calls: BTreeMap<(CallTo, u8), Vec<u32>>,
}

impl Client {
    /// Checks that every call to the client was received once, from the tick on in which the player joined,
    /// in whichever simulation the player was.
    fn check_calls(&self, seed: u64, simulations: u8, ticks: u32) {
        let team = CallTo::Team(team_of(self.player.unwrap()));
        let empty = Vec::new();
        let of = |to, from| self.calls.get(&(to, from)).unwrap_or(&empty);
        let first = of(CallTo::All, 0)[0];
        for from in 0..simulations {
            assert!(
                of(CallTo::All, from).iter().copied().eq(first..=ticks),
                "seed {seed}: {self:?}"
            );
            assert!(
                of(CallTo::InSight, from) == of(CallTo::InSight, 0),
                "seed {seed}: {self:?}"
            );
            let turns = (first..=ticks).filter(|&tick| CallTo::Team(1 + (tick % 2) as u8) == team);
            assert!(of(team, from).iter().copied().eq(turns), "seed {seed}: {self:?}");
        }
        let is_for_me = |to: CallTo| !matches!(to, CallTo::Team(_)) || to == team;
        assert!(
            self.calls.keys().all(|&(to, _)| is_for_me(to)),
            "seed {seed}: {self:?}"
        );
        // In every tick the one simulation that has the player sends to its own players.
        let own = (0..simulations).flat_map(|from| of(CallTo::Own, from).iter().copied());
        let mut own: Vec<u32> = own.collect();
        own.sort_unstable();
        assert!(own.into_iter().eq(first..=ticks), "seed {seed}: {self:?}");
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "player {:?} received the calls {:?}", self.player, self.calls)
    }
}

struct Wired {
    apps: Vec<App>,
    workers: Vec<(SocketAddr, WorkerCore)>,
    out: Outgoing,
    clients: Vec<Client>,
    protocol: Protocol,
    /// Datagrams in transit, by the time of their arrival and their number.
    in_transit: BTreeMap<(Duration, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    datagrams_sent: u64,
    chance: Random,
    now: Duration,
    tick: u32,
    seed: u64,
}

impl Wired {
    fn new(simulations: u8, seed: u64) -> Self {
        let mut entropy = Entropy::from_seed([seed as u8 + 1; 32]);
        let private_key = entropy.bytes();
        let mut apps: Vec<App> = Exchange::mesh(simulations)
            .into_iter()
            .map(|exchange| super::app(exchange, chessboard(simulations), CONFIG, seed).0)
            .collect();
        for app in &mut apps {
            app.insert_resource(Lossy(true)).insert_resource(SendsNews(true));
        }
        let protocol = apps[0].world().resource::<Protocol>().clone();
        let workers = workers(&mut apps, &protocol, private_key, &mut entropy);
        let clients = (0..CLIENTS)
            .map(|number| client(number, &workers, &private_key, &protocol, &mut entropy))
            .collect();
        Self {
            apps,
            out: Outgoing {
                from: workers[0].0,
                buffer: [0; DATAGRAM_BUFFER_BYTES],
                sent: Vec::new(),
            },
            workers,
            clients,
            protocol,
            in_transit: BTreeMap::new(),
            datagrams_sent: 0,
            chance: Seed(seed).of(GlobalId(u64::MAX - 1), Tick(0)),
            now: Duration::ZERO,
            tick: 0,
            seed,
        }
    }

    fn transmit(&mut self) {
        for datagram in self.out.sent.drain(..) {
            if self.chance.within(0.0, 1.0) >= LOSS {
                // 20 to 45 ms, so that datagrams are reordered.
                let delay = Duration::from_micros(20_000 + self.chance.bits() % 25_000);
                self.datagrams_sent += 1;
                self.in_transit
                    .insert((self.now + delay, self.datagrams_sent), datagram);
            }
        }
    }

    fn run_tick(&mut self, sends: bool) {
        self.tick += 1;
        for app in &mut self.apps {
            app.insert_resource(SendsNews(sends));
            send_batch(app.world_mut());
        }
        for app in &mut self.apps {
            tick_once(app, self.now);
        }
        for (address, core) in &mut self.workers {
            // Some workers are a tick or two behind.
            if !self.chance.bits().is_multiple_of(4) {
                self.out.from = *address;
                core.publish(self.now, &mut self.out);
            }
        }
        self.transmit();
        for client in &mut self.clients {
            if sends && client.player.is_some() && (self.tick + client.messages_sent).is_multiple_of(3) {
                let bytes = Bytes::copy_from_slice(&client.messages_sent.to_le_bytes());
                client.core.send_message(Channel::ReliableOrdered, bytes).unwrap();
                client.messages_sent += 1;
            }
        }
        for _ in 0..STEPS {
            self.step();
        }
        self.check_clients();
    }

    fn step(&mut self) {
        while let Some(first) = self
            .in_transit
            .first_entry()
            .filter(|first| first.key().0 <= self.now)
        {
            let (from, to, mut datagram) = first.remove();
            if let Some((address, core)) = self.workers.iter_mut().find(|(address, _)| *address == to) {
                self.out.from = *address;
                core.receive_datagram(self.now, from, &mut datagram, &mut self.out);
            } else if let Some(client) = self.clients.iter_mut().find(|client| client.address == to) {
                client
                    .core
                    .receive_datagram(self.now, &mut datagram, &mut IgnoredUpdates);
            }
        }
        for (address, core) in &mut self.workers {
            self.out.from = *address;
            core.update(self.now, &mut self.out);
        }
        let (protocol, sent) = (&self.protocol, &mut self.out.sent);
        for client in &mut self.clients {
            let (from, to) = (client.address, client.core.server_address());
            let mut pilot = |tick: Tick| {
                let turn = (tick.0 / 7 * 31 + u32::from(from.port())) as i8;
                protocol.encode_input(&Walk { tick: tick.0, turn }).unwrap()
            };
            client.core.update(self.now, &mut pilot, |datagram| {
                sent.push((from, to, datagram.to_vec()));
            });
        }
        self.transmit();
        self.now += TICK / STEPS;
    }

    /// Checks what must hold for every client after every tick.
    fn check_clients(&mut self) {
        let (seed, tick) = (self.seed, self.tick);
        for (number, client) in self.clients.iter_mut().enumerate() {
            assert_eq!(
                client.core.ended(),
                None,
                "seed {seed}, tick {tick}: client {number}"
            );
            let Some(player) = client.core.player() else {
                continue;
            };
            assert_eq!(
                *client.player.get_or_insert(player),
                player,
                "seed {seed}, tick {tick}"
            );
            while let Some((channel, bytes)) = client.core.next_message() {
                let (_, message) = self.protocol.decode_message(channel, &bytes).unwrap();
                if let Some(&Call { from, tick, to }) = message.downcast_ref() {
                    client.calls.entry((to, from)).or_default().push(tick);
                    continue;
                }
                let number = message.downcast_ref::<News>().map(|message| message.0);
                assert_eq!(
                    number,
                    Some(client.news_received),
                    "seed {seed}, tick {tick}: news for {number:?}"
                );
                client.news_received += 1;
            }
            let own = client.core.mirror().and_then(throng_client::mirror::Mirror::own);
            if let Some(own) = own {
                let global = own.global;
                assert_eq!(
                    *client.avatar.get_or_insert(global),
                    global,
                    "seed {seed}, tick {tick}"
                );
                client.ticks_with_avatar += 1;
            }
        }
        for app in &mut self.apps {
            let complaints = &mut app.world_mut().resource_mut::<Complaints>().0;
            assert!(complaints.is_empty(), "seed {seed}, tick {tick}: {complaints:?}");
        }
        // Every entity is in exactly one frame.
        let mut all = BTreeMap::new();
        for app in &self.apps {
            let frame = app.world().resource::<Frames>().0.newest().unwrap();
            for (slot, _) in frame.rows() {
                let twice = all.insert(frame.identity(slot).global, frame.simulation);
                assert_eq!(twice, None, "seed {seed}, tick {tick}");
            }
        }
    }
}

fn workers(
    apps: &mut [App],
    protocol: &Protocol,
    private_key: [u8; 32],
    entropy: &mut Entropy,
) -> Vec<(SocketAddr, WorkerCore)> {
    let loads: Arc<[WorkerLoad]> = (0..WORKERS).map(|_| WorkerLoad::default()).collect();
    let directory = Arc::new(Directory::new(WORKERS.into(), 64, 64));
    let places = Arc::new(Places::unlimited(WORKERS.into()));
    let mut simulation_ends: Vec<Vec<_>> = apps.iter().map(|_| Vec::new()).collect();
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let address = SocketAddr::from(([10, 1, 0, 1], 5_000 + u16::from(worker)));
        let mut worker_ends = Vec::new();
        for (app, simulation_ends) in apps.iter().zip(&mut simulation_ends) {
            let simulation = app.world().resource::<Simulations>().me();
            let (ours, theirs) = link(simulation, worker, &LinkConfig::default(), Arc::new(|| {}));
            simulation_ends.push(ours);
            worker_ends.push(theirs);
        }
        let counters = worker_ends
            .iter()
            .map(|link| Arc::clone(link.counters()))
            .collect();
        let shared = WorkerShared {
            protocol: Arc::new(protocol.clone()),
            directory: Arc::clone(&directory),
            stats: Arc::new(WorkerStats::new(worker, Arc::clone(&loads), counters)),
            places: Arc::clone(&places),
        };
        let config = WorkerCoreConfig {
            worker,
            netcode: ServerNetcodeConfig {
                sessions_max: 64,
                ..ServerNetcodeConfig::new(private_key, vec![address])
            },
            replication: ReplicationConfig {
                tick_rate: 20,
                ..ReplicationConfig::default()
            },
            unix_origin_s: UNIX_S,
        };
        workers.push((address, WorkerCore::new(config, entropy, worker_ends, shared)));
    }
    for (app, simulation_ends) in apps.iter_mut().zip(simulation_ends) {
        app.insert_resource(WorkerLinks::new(simulation_ends));
    }
    workers
}

fn client(
    number: usize,
    workers: &[(SocketAddr, WorkerCore)],
    private_key: &[u8; 32],
    protocol: &Protocol,
    entropy: &mut Entropy,
) -> Client {
    let name = PlayerName::new(&format!("player {number}")).unwrap();
    let claims = SessionClaims {
        session_number: 1,
        name,
    };
    let request = TokenRequest {
        protocol_id: PROTOCOL_ID,
        client_id: number as u64 + 1,
        addresses: &[workers[number % workers.len()].0],
        expire_s: 30,
        timeout_s: 20,
        user_data: &claims.to_user_data(),
        private_key,
    };
    let token = ConnectToken::generate(UNIX_S, &request, entropy).unwrap();
    Client {
        address: SocketAddr::from(([10, 0, 0, 1], 40_000 + number as u16)),
        core: ClientCore::new(Duration::ZERO, &token, ClientConfig::new(protocol)),
        messages_sent: 0,
        player: None,
        avatar: None,
        ticks_with_avatar: 0,
        news_received: 0,
        calls: BTreeMap::new(),
    }
}

/// Runs a game to its end, checks it, and returns the part of the avatars' ticks with a repeated input,
/// because the tick's own input was late or lost.
fn share_repeated(simulations: u8, seed: u64) -> f64 {
    let mut wired = Wired::new(simulations, seed);
    let ticks = 300;
    (0..ticks).for_each(|_| wired.run_tick(true));
    // Runs until all datagrams in transit are received.
    (0..60).for_each(|_| wired.run_tick(false));
    let (mut messages, mut news, mut inputs, mut repeated) = (0, 0, 0, 0);
    let (mut players_came, mut came) = (0, 0);
    for app in &mut wired.apps {
        let world = app.world_mut();
        messages += world
            .query::<&MessageTally>()
            .iter(world)
            .map(|tally| tally.0)
            .sum::<u32>();
        news += world
            .query::<&NewsTally>()
            .iter(world)
            .map(|tally| tally.0)
            .sum::<u32>();
        for tally in world.query::<&InputTally>().iter(world) {
            inputs += tally.inputs;
            repeated += tally.repeated;
        }
        let counters = world.resource::<Simulations>().counters();
        players_came += counters.players_came;
        came += counters.immigrated;
    }
    let expected: u32 = wired.clients.iter().map(|client| client.messages_sent).sum();
    assert_eq!(messages, expected, "seed {seed}: messages");
    assert!(expected > 500, "seed {seed}: {expected} messages");
    let news_received: u32 = wired.clients.iter().map(|client| client.news_received).sum();
    assert_eq!(news_received, news, "seed {seed}: news");
    assert!(news > 2_000, "seed {seed}: {news} news");
    if simulations > 1 {
        let a_second = came * 20 / (ticks + 60);
        assert!(
            a_second > 1_000,
            "seed {seed}: only {a_second} migrations a second"
        );
        assert!(players_came > 500, "seed {seed}: {players_came} moves of players");
    }
    for (number, client) in wired.clients.iter().enumerate() {
        client.check_calls(seed, simulations, ticks as u32);
        let with = client.ticks_with_avatar;
        assert!(
            u64::from(with) > ticks * 9 / 10,
            "seed {seed}: client {number} had itself in {with} ticks"
        );
    }
    repeated as f64 / inputs as f64
}

#[test]
fn sessions_lose_nothing_across_simulations_at_ten_percent_packet_loss() {
    // The part of late inputs at this loss, with a single simulation.
    let alone = share_repeated(1, 1);
    for round in 0..throng_seeds::count(4, 1) {
        let (seed, simulations) = (u64::from(round / 2), [4, 2][round as usize % 2]);
        let share = share_repeated(simulations, seed);
        assert!(
            share < 0.1 && share <= alone + 0.02,
            "seed {seed}: {share} late, {alone} alone"
        );
    }
}
