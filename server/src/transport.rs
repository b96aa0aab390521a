//! `ThrongRenetPlugin`: the net workers as a Bevy plugin.
//!
//! Several simulations of a process share the workers: one of them starts the transport, and each of the others has a
//! [`SimulationTransport`], through which it receives its links.
//!
//! Owns the order of the start: first the sockets, because these can fail and their errors name the remedy; then the
//! threads; then, when all plugins are built and the protocol is complete, the cores. Guarantees that when the app
//! is dropped, the workers have sent a goodbye to every client and have ended. Gameplay sees only messages, resources
//! and sets.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::Resource;
use throng_shared::netcode::{Entropy, KEY_BYTES, ServerNetcodeConfig, TOKENS_MAX, UsedTokens};
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::registry::Protocol;

use crate::boundary::directory::Directory;
use crate::boundary::link::{LinkConfig, SimulationLink, Wake, WorkerLink, link};
use crate::net::assign::WorkerLoad;
use crate::net::core::{WorkerCore, WorkerCoreConfig, WorkerShared};
use crate::net::places::Places;
use crate::net::socket::{self, IoKind, SocketError};
use crate::net::stats::WorkerStats;
use crate::net::wait::Waker;
use crate::net::worker::{Opened, Worker, WorkerParts, pin_thread};
use crate::observe::{ServerStats, WorkerReport};
use crate::replication::ReplicationConfig;
use crate::runner::{BetweenTicks, Clock, Pass, Shutdown};
use crate::simulation::{Routes, WorkerLinks};

/// Settings of the transport and its workers.
#[derive(Clone)]
pub(crate) struct TransportConfig {
    /// Address of the first worker; worker n listens on the port n above it. With port 0 the system chooses ports.
    pub udp: SocketAddr,
    /// Number of worker threads. With 0, one worker runs on the simulation's own thread, between ticks.
    pub workers: usize,
    /// Kind of socket I/O: batched or portable.
    pub io: IoKind,
    /// Whether all workers share one port. The kernel then chooses the worker by the client's address.
    pub udp_shared: bool,
    /// CPUs to which the workers are pinned, in turn. When empty, workers are not pinned.
    pub affinity: Vec<usize>,
    /// Capacities of the queues between workers and simulations.
    pub links: LinkConfig,
    /// Maximum number of sessions per worker.
    pub sessions_max: u32,
    /// Maximum number of entities owned by players, which sizes the directory.
    pub entities_max: usize,
    /// Settings of the snapshot stream, already validated.
    pub replication: ReplicationConfig,
    /// Seconds since 1970 at the clock's origin.
    pub unix_origin_s: u64,
}

/// Why the transport cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A socket could not be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A thread, or the means to wait for a socket, could not be created.
    #[error("cannot start a net worker: {0}")]
    Thread(#[from] io::Error),
}

/// Open sockets and waiting threads, which become a [`ThrongRenetPlugin`].
pub(crate) struct Transport {
    config: TransportConfig,
    addresses: Vec<SocketAddr>,
    slots: Vec<WorkerSlot>,
    workers: WorkerThreads,
}

/// One worker's socket and waker, and the channel that starts its thread. An inline worker has no such channel.
struct WorkerSlot {
    opened: Option<Opened>,
    waker: Waker,
    start: Option<Sender<WorkerStart>>,
}

/// The value that a waiting thread receives to start its worker.
struct WorkerStart {
    worker: Worker,
    /// Stops the server when the worker fails.
    shutdown: Shutdown,
}

/// The running threads of the net workers. When dropped, stops them and waits until they have sent their goodbyes
/// and ended.
#[derive(Resource, Default)]
struct WorkerThreads {
    stop: Arc<AtomicBool>,
    threads: Vec<(JoinHandle<()>, Waker)>,
}

impl Transport {
    /// Opens the sockets and starts the threads, which wait until the plugin is finished.
    ///
    /// # Errors
    /// [`TransportError`]; the sockets and threads opened before are then closed.
    pub(crate) fn open(config: TransportConfig) -> Result<Self, TransportError> {
        let mut transport = Self {
            addresses: Vec::new(),
            slots: Vec::new(),
            workers: WorkerThreads::default(),
            config,
        };
        for worker in 0..transport.config.workers.max(1) {
            transport.open_worker(worker as u8)?;
        }
        Ok(transport)
    }

    /// Returns the address on which each worker listens, in worker order.
    #[must_use]
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the plugin that serves the app's simulation on these sockets. `private_key` decrypts the connect tokens.
    /// `advertised` has the address that clients use for each worker, which the tokens must contain. `places` are those
    /// that the issuer of tokens reserves.
    #[must_use]
    pub(crate) fn into_plugin(
        self,
        private_key: [u8; KEY_BYTES],
        advertised: Vec<SocketAddr>,
        loads: Arc<[WorkerLoad]>,
        places: Arc<Places>,
        stats: Arc<ServerStats>,
        entropy: Entropy,
    ) -> ThrongRenetPlugin {
        ThrongRenetPlugin(Mutex::new(Some(TransportStart {
            transport: self,
            other_simulations: Vec::new(),
            private_key,
            advertised,
            loads,
            places,
            stats,
            entropy,
        })))
    }

    fn open_worker(&mut self, worker: u8) -> Result<(), TransportError> {
        let config = &self.config;
        // When the system chose the shared port, the other workers use the port of the first.
        let base = match self.addresses.first() {
            Some(first) if config.udp_shared => *first,
            _ => config.udp,
        };
        let address = socket::worker_address(base, worker, config.udp_shared)?;
        // The first socket takes the port for this server alone, and the sockets of the other workers join it.
        let is_first = self.addresses.is_empty();
        let socket = socket::open(address, config.udp_shared && !is_first)?;
        if config.udp_shared && is_first && config.workers > 1 {
            socket::admit_others(&socket, address)?;
        }
        self.addresses.push(socket.local_addr()?);
        let opened = Opened::new(socket, config.io)?;
        let waker = opened.waker.clone();
        let start = if config.workers == 0 {
            None
        } else {
            let cpu = (!config.affinity.is_empty())
                .then(|| config.affinity[usize::from(worker) % config.affinity.len()]);
            Some(self.workers.spawn(worker, cpu, &waker)?)
        };
        self.slots.push(WorkerSlot {
            opened: Some(opened),
            waker,
            start,
        });
        Ok(())
    }
}

impl WorkerThreads {
    /// Starts a thread that waits for its worker and then runs it.
    fn spawn(&mut self, index: u8, cpu: Option<usize>, waker: &Waker) -> io::Result<Sender<WorkerStart>> {
        let (start, worker): (_, Receiver<WorkerStart>) = channel();
        let stop = Arc::clone(&self.stop);
        let run = move || {
            pin(index, cpu);
            // The sender is dropped when there is no app to serve.
            let Ok(WorkerStart { worker, shutdown }) = worker.recv() else {
                return;
            };
            if catch_unwind(AssertUnwindSafe(|| worker.run(&stop))).is_err() {
                // Its clients are lost. A restart is better than a server that serves only a part of its players.
                shutdown.request();
                tracing::error!(worker = index, "a net worker panicked: the server stops");
            }
        };
        let thread = thread::Builder::new().name(format!("net-{index}")).spawn(run)?;
        self.threads.push((thread, waker.clone()));
        Ok(start)
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for (_, waker) in &self.threads {
            // A worker reads the flag in every turn, even when the wake-up fails.
            let _ = waker.wake();
        }
        for (thread, _) in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a net worker panicked");
            }
        }
    }
}

fn pin(worker: u8, cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    if let Err(error) = pin_thread(cpu) {
        tracing::warn!(worker, cpu, %error, "a net worker is not pinned: see --affinity");
    }
}

/// A worker on the simulation's own thread (`--workers 0`). It works between ticks and ends with the loop.
struct InlineWorker(Worker);

impl Pass for InlineWorker {
    fn until(&mut self, deadline: Duration, _clock: &Clock) {
        self.0.run_until(deadline);
    }
}

impl Drop for InlineWorker {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The links and routes that a simulation needs to be served by the shared workers.
type TransportHandover = (WorkerLinks, Routes);

/// Plugin that serves another simulation of the process with the same workers. Returned by
/// [`ThrongRenetPlugin::add_simulation`].
pub(crate) struct SimulationTransport(Mutex<Option<Receiver<TransportHandover>>>);

impl Plugin for SimulationTransport {
    fn build(&self, _app: &mut App) {}

    /// Waits for the links from the simulation that starts the transport. Does nothing when that simulation has ended.
    fn finish(&self, app: &mut App) {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((links, routes)) = receiver.and_then(|receiver| receiver.recv().ok()) {
            app.insert_resource(links).insert_resource(routes);
        }
    }
}

/// Plugin that serves the app's simulation on real sockets. Returned by [`Transport::into_plugin`].
pub(crate) struct ThrongRenetPlugin(Mutex<Option<TransportStart>>);

struct TransportStart {
    transport: Transport,
    /// Channels to the other simulations, in order, from the second on.
    other_simulations: Vec<Sender<TransportHandover>>,
    private_key: [u8; KEY_BYTES],
    advertised: Vec<SocketAddr>,
    loads: Arc<[WorkerLoad]>,
    places: Arc<Places>,
    stats: Arc<ServerStats>,
    entropy: Entropy,
}

impl ThrongRenetPlugin {
    /// Adds the next simulation of the process, from the second on, and returns the plugin for its app. The plugins of
    /// that app must be finished on another thread.
    #[must_use]
    pub(crate) fn add_simulation(&self) -> SimulationTransport {
        let (sender, receiver) = channel();
        if let Some(start) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            start.other_simulations.push(sender);
        }
        SimulationTransport(Mutex::new(Some(receiver)))
    }
}

impl Plugin for ThrongRenetPlugin {
    fn build(&self, _app: &mut App) {}

    /// Starts the workers here and not in `build`, because the protocol is complete only when all plugins are built.
    fn finish(&self, app: &mut App) {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(start) = start {
            start.begin(app);
        }
    }
}

impl TransportStart {
    fn begin(mut self, app: &mut App) {
        let config = self.transport.config.clone();
        let protocol = Arc::new(app.world().resource::<Protocol>().clone());
        let clock = app.world().resource::<Clock>().reader();
        let shutdown = app.world().resource::<Shutdown>().clone();
        let slots = std::mem::take(&mut self.transport.slots);
        // A session that replaces another one has its own index before the old session's index is free.
        let sessions = config.sessions_max as usize + 1;
        let directory = Arc::new(Directory::new(slots.len(), sessions, config.entities_max));
        // One table for all workers: with a shared port, the kernel may pass a token to any of them.
        let tokens_max = TOKENS_MAX.saturating_mul(slots.len() as u32);
        let used_tokens = Arc::new(UsedTokens::new(tokens_max, &mut self.entropy));
        let mut simulation_links: Vec<Vec<SimulationLink>> = Vec::new();
        simulation_links.resize_with(self.other_simulations.len() + 1, Vec::new);
        let mut reports: Vec<Arc<dyn WorkerReport>> = Vec::new();
        for (worker, mut slot) in slots.into_iter().enumerate() {
            let worker = worker as u8;
            let waker = slot.waker.clone();
            let wake: Wake = Arc::new(move || {
                // The worker checks for frames in every turn, so a failed wake-up only delays it.
                let _ = waker.wake();
            });
            let mut links = Vec::new();
            for (simulation, ours) in (0..).map(SimulationId).zip(&mut simulation_links) {
                let (near, far) = link(simulation, worker, &config.links, Arc::clone(&wake));
                ours.push(near);
                links.push(far);
            }
            let counters = links.iter().map(|link| Arc::clone(link.counters())).collect();
            let stats = Arc::new(WorkerStats::new(worker, Arc::clone(&self.loads), counters));
            let shared = WorkerShared {
                protocol: Arc::clone(&protocol),
                directory: Arc::clone(&directory),
                stats: Arc::clone(&stats),
                places: Arc::clone(&self.places),
            };
            let core = self.core(worker, &config, &used_tokens, links, shared);
            reports.push(Arc::clone(&stats) as Arc<dyn WorkerReport>);
            let parts = WorkerParts {
                clock: Arc::clone(&clock),
                stats,
                server: Arc::clone(&self.stats),
            };
            if let Some(opened) = slot.opened.take() {
                let worker = Worker::new(core, opened, parts);
                match slot.start {
                    // Sending fails only when the thread has panicked, which was already reported.
                    Some(start) => drop(start.send(WorkerStart {
                        worker,
                        shutdown: shutdown.clone(),
                    })),
                    None => {
                        app.insert_resource(BetweenTicks(Mutex::new(Box::new(InlineWorker(worker)))));
                    }
                }
            }
        }
        self.stats.set_workers(reports);
        let routes = Routes(directory);
        let mut simulation_links = simulation_links.into_iter().map(WorkerLinks::new);
        let own = simulation_links.next().unwrap_or_default();
        for (simulation, links) in self.other_simulations.drain(..).zip(simulation_links) {
            // Sending fails only when that simulation has panicked, which was already reported.
            let _ = simulation.send((links, routes.clone()));
        }
        app.insert_resource(own)
            .insert_resource(routes)
            .insert_resource(std::mem::take(&mut self.transport.workers));
    }

    fn core(
        &mut self,
        worker: u8,
        config: &TransportConfig,
        used_tokens: &Arc<UsedTokens>,
        links: Vec<WorkerLink>,
        shared: WorkerShared,
    ) -> WorkerCore {
        let advertised = self.advertised[usize::from(worker)];
        let netcode = ServerNetcodeConfig {
            sessions_max: config.sessions_max,
            used_tokens: Some(Arc::clone(used_tokens)),
            ..ServerNetcodeConfig::new(self.private_key, vec![advertised])
        };
        let config = WorkerCoreConfig {
            worker,
            netcode,
            replication: config.replication,
            unix_origin_s: config.unix_origin_s,
        };
        WorkerCore::new(config, &mut self.entropy, links, shared)
    }
}
