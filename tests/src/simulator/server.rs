//! The simulated server: the real app and the real cores of the workers, without threads and sockets.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bevy_app::App;
use bevy_ecs::world::World;
use throng_server::{
    boundary::{
        claims::{PlayerName, SessionClaims},
        frame::Frame,
        link::{LinkConfig, link},
    },
    internals::{
        DATAGRAM_BUFFER_BYTES, Directory, Places, Routes, Transmit, WorkerCore, WorkerCoreConfig, WorkerLoad,
        WorkerShared, WorkerStats,
    },
    replication::ReplicationConfig,
    runner::{Clock, RunnerPlugin, Shutdown, finish_plugins, tick_late},
    simulation::{Frames, SimulationPlugin, WorkerLinks},
};
use throng_shared::{
    limits::DATAGRAM_BYTES_MAX,
    netcode::{ConnectToken, Entropy, PROTOCOL_ID, ServerNetcodeConfig, TokenRequest},
    protocol::{ids::SimulationId, registry::Protocol},
};

use super::{SimulatorConfig, arena::ArenaPlugin};
use crate::allocations::counted;

/// Virtual time 0, in seconds since 1970.
pub const UNIX_S: u64 = 1_800_000_000;

/// Port of the first worker.
const PORT: u16 = 5_000;

/// The most sessions of one worker.
const SESSIONS_MAX: usize = 256;

/// Number of datagrams for which memory is reserved at the start.
const SENT_RESERVED: usize = 1_024;

/// Seconds without a packet after which a session ends, in every token.
pub const TIMEOUT_S: i32 = 20;

/// Collects the datagrams that a worker sends. The memory is kept, because the workers' allocations are counted.
struct SentDatagrams {
    buffer: [u8; DATAGRAM_BUFFER_BYTES],
    from: SocketAddr,
    /// Sender, receiver and end in `bytes` of each datagram. It begins at the end of the previous one.
    sent: Vec<(SocketAddr, SocketAddr, usize)>,
    bytes: Vec<u8>,
}

impl Transmit for SentDatagrams {
    fn begin(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn commit(&mut self, to: SocketAddr, range: Range<usize>) {
        self.bytes.extend_from_slice(&self.buffer[range]);
        self.sent.push((self.from, to, self.bytes.len()));
    }
}

/// The server's app and workers, with the datagrams that they have sent.
pub struct SimServer {
    app: App,
    clock: Arc<AtomicU64>,
    workers: Vec<(SocketAddr, WorkerCore)>,
    stats: Vec<Arc<WorkerStats>>,
    outgoing: SentDatagrams,
    private_key: [u8; 32],
    entropy: Entropy,
    sessions_issued: u64,
    allocations: u64,
}

impl SimServer {
    /// Creates a server before its first tick.
    pub(super) fn new(config: &SimulatorConfig) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&config.seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(seed);
        let private_key = entropy.bytes();
        let clock = Arc::new(AtomicU64::new(0));
        let mut app = app(config, &clock);
        let protocol = Arc::new(app.world().resource::<Protocol>().clone());
        let replication = ReplicationConfig {
            tick_rate: config.tick_rate_hz.get() as u16,
            bytes_per_second: config.bandwidth,
            ..ReplicationConfig::default()
        };
        let loads: Arc<[WorkerLoad]> = (0..config.workers).map(|_| WorkerLoad::default()).collect();
        let directory = Arc::new(Directory::new(
            usize::from(config.workers),
            SESSIONS_MAX,
            SESSIONS_MAX,
        ));
        let places = Arc::new(Places::unlimited(usize::from(config.workers)));
        let mut simulation_links = Vec::new();
        let mut workers = Vec::new();
        let mut stats = Vec::new();
        for worker in 0..config.workers {
            let address = SocketAddr::from(([10, 1, 0, 1], PORT + u16::from(worker)));
            let (ours, theirs) = link(SimulationId(0), worker, &LinkConfig::default(), Arc::new(|| {}));
            simulation_links.push(ours);
            let netcode = ServerNetcodeConfig {
                sessions_max: SESSIONS_MAX as u32,
                ..ServerNetcodeConfig::new(private_key, vec![address])
            };
            let counters = vec![Arc::clone(theirs.counters())];
            stats.push(Arc::new(WorkerStats::new(worker, Arc::clone(&loads), counters)));
            let shared = WorkerShared {
                protocol: Arc::clone(&protocol),
                directory: Arc::clone(&directory),
                places: Arc::clone(&places),
                stats: Arc::clone(&stats[usize::from(worker)]),
            };
            let config = WorkerCoreConfig {
                worker,
                netcode,
                replication,
                unix_origin_s: UNIX_S,
            };
            workers.push((
                address,
                WorkerCore::new(config, &mut entropy, vec![theirs], shared),
            ));
        }
        app.insert_resource(WorkerLinks::new(simulation_links))
            .insert_resource(Routes(directory));
        Self {
            app,
            clock,
            workers,
            stats,
            outgoing: SentDatagrams {
                buffer: [0; DATAGRAM_BUFFER_BYTES],
                from: SocketAddr::from(([0; 4], 0)),
                sent: Vec::with_capacity(SENT_RESERVED),
                bytes: Vec::with_capacity(SENT_RESERVED * DATAGRAM_BYTES_MAX),
            },
            allocations: 0,
            private_key,
            entropy,
            sessions_issued: 0,
        }
    }

    /// Returns the ECS world of the app.
    pub fn world(&mut self) -> &mut World {
        self.app.world_mut()
    }

    /// Issues a token for this client at the next worker in turn. Each token is for a newer session than the last.
    pub fn issue_token(&mut self, now: Duration, client_id: u64) -> ConnectToken {
        self.sessions_issued += 1;
        let address = self.workers[self.sessions_issued as usize % self.workers.len()].0;
        self.issue_token_with(now, client_id, self.sessions_issued, address, self.private_key)
    }

    /// Issues a token with these values, which may be invalid.
    pub fn issue_token_with(
        &mut self,
        now: Duration,
        client_id: u64,
        session_number: u64,
        address: SocketAddr,
        private_key: [u8; 32],
    ) -> ConnectToken {
        let name = PlayerName::new(&format!("player {client_id}")).expect("a short name");
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses: &[address],
            expire_s: 30,
            timeout_s: TIMEOUT_S,
            user_data: &SessionClaims { session_number, name }.to_user_data(),
            private_key: &private_key,
        };
        ConnectToken::generate(UNIX_S + now.as_secs(), &request, &mut self.entropy)
            .expect("one address is a token")
    }

    /// Returns the addresses of all workers, in order.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.workers.iter().map(|(address, _)| *address)
    }

    pub(super) fn has_worker(&self, address: SocketAddr) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// Returns the allocations of the workers' cores so far. It is 0 unless the program counts them (see
    /// [`allocations`](crate::allocations)).
    #[must_use]
    pub fn worker_allocations(&self) -> u64 {
        self.allocations
    }

    /// Returns the number of sessions that a panic in a worker ended. This is always a defect.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.stats
            .iter()
            .map(|stats| stats.core.sessions_faulted.get())
            .sum()
    }

    /// Runs one tick after skipping `skipped` tick numbers. The workers send its frame.
    pub(super) fn tick(&mut self, now: Duration, skipped: u32) {
        self.clock.store(now.as_nanos() as u64, Relaxed);
        tick_late(&mut self.app, now, now, skipped);
        self.each_worker(|core, outgoing| {
            core.publish(now, outgoing);
        });
    }

    /// Returns the frame of the last tick.
    pub(super) fn newest_frame(&self) -> Arc<Frame> {
        let frames = &self.app.world().resource::<Frames>().0;
        Arc::clone(frames.newest().expect("a tick publishes a frame"))
    }

    pub(super) fn receive(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, mut datagram: Vec<u8>) {
        let worker = self.workers.iter_mut().find(|(address, _)| *address == to);
        let Some((address, core)) = worker else { return };
        self.outgoing.from = *address;
        let (_, allocations) =
            counted(|| core.receive_datagram(now, from, &mut datagram, &mut self.outgoing));
        self.allocations += allocations;
    }

    /// Updates the workers to `now`.
    pub(super) fn update(&mut self, now: Duration) {
        self.each_worker(|core, outgoing| core.update(now, outgoing));
    }

    /// Disconnects every client, as a server does when it stops.
    pub(super) fn shutdown(&mut self, now: Duration) {
        self.each_worker(|core, outgoing| core.shutdown(now, outgoing));
    }

    /// Calls `take` with (from, to, datagram) for each datagram sent since the last call.
    pub(super) fn take_sent(&mut self, mut take: impl FnMut(SocketAddr, SocketAddr, &[u8])) {
        let mut start = 0;
        for (from, to, end) in self.outgoing.sent.drain(..) {
            take(from, to, &self.outgoing.bytes[start..end]);
            start = end;
        }
        self.outgoing.bytes.clear();
    }

    fn each_worker(&mut self, mut work: impl FnMut(&mut WorkerCore, &mut SentDatagrams)) {
        for (address, core) in &mut self.workers {
            self.outgoing.from = *address;
            let ((), allocations) = counted(|| work(core, &mut self.outgoing));
            self.allocations += allocations;
        }
    }
}

fn app(config: &SimulatorConfig, clock: &Arc<AtomicU64>) -> App {
    let clock = Arc::clone(clock);
    let mut app = App::new();
    app.add_plugins((
        RunnerPlugin {
            tick_rate_hz: config.tick_rate_hz,
            clock: Clock::new(move || Duration::from_nanos(clock.load(Relaxed))),
            shutdown: Shutdown::default(),
        },
        SimulationPlugin {
            simulation: SimulationId(0),
            seed: config.seed,
            threads: 1,
            start: config.start,
        },
        ArenaPlugin {
            config: config.arena,
            seed: config.seed,
        },
    ));
    finish_plugins(&mut app);
    app
}
