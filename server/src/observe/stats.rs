//! The server's statistics, written by the simulations and the net workers and read by the HTTP server.
//!
//! Owns counters and histograms that only grow. Guarantees that a write is wait-free or one short compare-and-swap,
//! without locks or allocations, and that a reader never delays a writer. Computes no rates and averages: a reader
//! takes two reports and divides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::fan_out::FanOut;
use super::histogram::{Histogram, HistogramSnapshot};
use super::process::{self, ThreadCpu};
use super::publish_times::PublishTimes;
use crate::schedule::ServerSystems;

/// Maximum number of simulations of one process.
const SIMULATIONS_MAX: usize = 8;

/// The statistics of a net worker. Implemented by the worker's own atomics.
pub(crate) trait WorkerReport: Send + Sync {
    /// Returns the number of connected sessions.
    fn clients(&self) -> u64;
    /// Returns the name and value of every counter and gauge, always the same names in the same order.
    fn figures(&self) -> Vec<(&'static str, u64)>;
}

/// The statistics of a simulation other than its times.
pub(crate) trait SimulationReport: Send + Sync {
    /// Returns the name and value of every counter and gauge, always the same names in the same order.
    fn figures(&self) -> Vec<(&'static str, u64)>;
}

/// The statistics of one server process, shared by `Arc` with all its parts.
pub struct ServerStats {
    /// Ticks per second, from the configuration.
    tick_rate: u16,
    /// Number of the newest published tick.
    tick: AtomicU32,
    /// Origin of the publish times.
    origin: Instant,
    publish_times: PublishTimes,
    /// Number of ticks simulated since the start.
    ticks: AtomicU64,
    /// Ticks that ended after the next one was due.
    overruns: AtomicU64,
    /// Tick numbers without a tick, because the simulation was too far behind.
    skipped: AtomicU64,
    /// Duration of a tick, from Receive to Publish.
    tick_time: Histogram,
    phases: [Histogram; ServerSystems::ORDER.len()],
    /// Wait of an input, from the arrival of its datagram at the worker to the simulation's queue.
    input_queue: Histogram,
    fan_out: FanOut,
    workers: OnceLock<Vec<Arc<dyn WorkerReport>>>,
    /// Time of a migration, from an entity's departure from one simulation to its arrival in another.
    migration: Histogram,
    /// Statistics of each simulation that are not times, such as entities or cells split.
    simulations: [OnceLock<Arc<dyn SimulationReport>>; SIMULATIONS_MAX],
}

impl ServerStats {
    /// Creates the statistics for `workers` net workers (0: inline) and `tick_rate` ticks per second.
    #[must_use]
    pub fn new(workers: usize, tick_rate: u16) -> Self {
        Self {
            tick_rate,
            tick: AtomicU32::new(0),
            origin: start_clock(),
            publish_times: PublishTimes::new(),
            ticks: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            tick_time: Histogram::new(),
            phases: std::array::from_fn(|_| Histogram::new()),
            input_queue: Histogram::new(),
            fan_out: FanOut::new(workers),
            workers: OnceLock::new(),
            migration: Histogram::new(),
            simulations: Default::default(),
        }
    }

    /// Records that `tick` was published now, `elapsed` after its Receive began.
    pub(crate) fn tick_ended(&self, tick: u32, elapsed: Duration) {
        self.publish_times.record(tick, self.origin.elapsed());
        self.tick_time.record(elapsed);
        self.tick.store(tick, Relaxed);
        self.ticks.fetch_add(1, Relaxed);
    }

    /// Records that a tick of a simulation other than the first took `elapsed`.
    pub(crate) fn peer_simulation_ticked(&self, elapsed: Duration) {
        self.tick_time.record(elapsed);
    }

    /// Records that an entity arrived from another simulation, which released it `took` ago.
    pub(crate) fn migrated(&self, took: Duration) {
        self.migration.record(took);
    }

    /// Records that one phase of one tick took `elapsed`.
    pub(crate) fn phase_ended(&self, phase: ServerSystems, elapsed: Duration) {
        self.phases[phase as usize].record(elapsed);
    }

    /// Sets the totals since the start: ticks that ended after the next one was due, and tick numbers without a tick.
    pub(crate) fn set_overruns(&self, overruns: u64, skipped: u64) {
        self.overruns.store(overruns, Relaxed);
        self.skipped.store(skipped, Relaxed);
    }

    /// Records that an input took `waited` from its worker's socket to the simulation's queue.
    pub(crate) fn input_waited(&self, waited: Duration) {
        self.input_queue.record(waited);
    }

    /// Records that one worker sent its last datagram of `tick`, `elapsed` after Publish; see [`FanOut::record`].
    pub(crate) fn fanned_out(&self, tick: u32, elapsed: Duration) {
        self.fan_out.record(tick, elapsed);
    }

    /// Sets the workers' statistics, in the workers' order. Only the first call has an effect.
    pub(crate) fn set_workers(&self, workers: Vec<Arc<dyn WorkerReport>>) {
        // The workers are started once per process; a second set would belong to a second server.
        let _ = self.workers.set(workers);
    }

    /// Sets the statistics of one of up to eight simulations. Only the first call for each number has an effect.
    pub(crate) fn set_simulation(&self, number: u8, simulation: Arc<dyn SimulationReport>) {
        if let Some(report) = self.simulations.get(usize::from(number)) {
            let _ = report.set(simulation);
        }
    }

    /// Returns the number of the newest published tick.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick.load(Relaxed)
    }

    /// Returns the number of ticks simulated since the start.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    /// Returns the configured ticks per second.
    #[must_use]
    pub fn tick_rate(&self) -> u16 {
        self.tick_rate
    }

    /// Iterates over the number of connected sessions of each worker, in the workers' order. Empty before the workers
    /// have started.
    pub fn clients_per_worker(&self) -> impl Iterator<Item = u64> + '_ {
        self.workers
            .get()
            .into_iter()
            .flatten()
            .map(|worker| worker.clients())
    }

    /// Returns all statistics at once. Takes some tens of microseconds and opens files in `/proc`.
    #[must_use]
    pub fn report(&self, uptime: Duration) -> StatsReport {
        let named = |figures: Vec<(&'static str, u64)>| {
            figures
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        };
        let simulations: Vec<BTreeMap<_, _>> = self
            .simulations
            .iter()
            .filter_map(|simulation| Some(named(simulation.get()?.figures())))
            .collect();
        let workers = self.workers.get().map_or(&[][..], Vec::as_slice);
        StatsReport {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_us: u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX),
            tick: self.tick(),
            published: self.publish_times.since_1970(self.tick(), self.origin.elapsed()),
            tick_rate: self.tick_rate,
            ticks: self.ticks(),
            overruns: self.overruns.load(Relaxed),
            ticks_skipped: self.skipped.load(Relaxed),
            clients: self.clients_per_worker().sum(),
            tick_time: self.tick_time.snapshot(),
            phases: ServerSystems::ORDER
                .map(|phase| (phase.name(), self.phases[phase as usize].snapshot()))
                .into(),
            fan_out: self.fan_out.snapshot(),
            input_queue: self.input_queue.snapshot(),
            simulation: sum(&simulations),
            simulations,
            migration: self.migration.snapshot(),
            // Filled in by the HTTP server.
            http: BTreeMap::new(),
            workers: workers.iter().map(|worker| named(worker.figures())).collect(),
            cpu_us: process::process_cpu()
                .map_or(0, |cpu| u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX)),
            threads: process::thread_cpu(),
            resident_bytes: process::resident_bytes().unwrap_or(0),
        }
    }
}

/// Returns the sum of each named figure over all maps.
fn sum(figures: &[BTreeMap<String, u64>]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, value) in figures.iter().flatten() {
        *sums.entry(name.clone()).or_default() += value;
    }
    sums
}

#[expect(
    clippy::disallowed_methods,
    reason = "publish times are reported to other processes, never to the simulation"
)]
fn start_clock() -> Instant {
    Instant::now()
}

/// The body of `GET /v1/stats` for the machine's own user and the operator. All figures except gauges only grow, so the
/// difference of two reports is the window between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReport {
    /// Version of the server's crate.
    pub server_version: String,
    /// Microseconds since the server's start.
    pub uptime_us: u64,
    /// Number of the newest published tick.
    pub tick: u32,
    /// The newest ticks, each with its publish time in microseconds since 1970 on this machine's clock.
    #[serde(default)]
    pub published: Vec<(u32, u64)>,
    /// Ticks per second, from the configuration.
    pub tick_rate: u16,
    /// Ticks simulated since the start.
    pub ticks: u64,
    /// Ticks that ended after the next one was due.
    pub overruns: u64,
    /// Tick numbers without a tick, because the server was late.
    pub ticks_skipped: u64,
    /// Connected sessions of all workers.
    pub clients: u64,
    /// Durations of ticks, from Receive to Publish.
    pub tick_time: HistogramSnapshot,
    /// Durations of the tick's phases by name: the phases of [`ServerSystems`], in lower case.
    pub phases: BTreeMap<String, HistogramSnapshot>,
    /// Times from Publish to the last datagram of the slowest worker, one value per tick.
    pub fan_out: HistogramSnapshot,
    /// Waits from the socket to the simulation's queue, one value per input datagram whose arrival was recorded.
    /// Batched I/O records a sample.
    pub input_queue: HistogramSnapshot,
    /// Sums of the counters and gauges of all simulations, by name.
    pub simulation: BTreeMap<String, u64>,
    /// Counters and gauges of each simulation by name, in the simulations' order.
    #[serde(default)]
    pub simulations: Vec<BTreeMap<String, u64>>,
    /// Times of migrations, from an entity's departure at the end of a tick to its arrival in another simulation before
    /// the next.
    #[serde(default)]
    pub migration: HistogramSnapshot,
    /// Responses of the HTTP API: `tokens_issued`, the number of refused requests by the code of the refusal, and the
    /// connections that the server ended.
    #[serde(default)]
    pub http: BTreeMap<String, u64>,
    /// Counters and gauges of each worker by name.
    pub workers: Vec<BTreeMap<String, u64>>,
    /// User and system CPU time of the whole process in microseconds; 0 when the system does not report it.
    pub cpu_us: u64,
    /// CPU time of each live thread, by thread id.
    pub threads: Vec<ThreadCpu>,
    /// Resident memory in bytes; 0 when the system does not report it.
    pub resident_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl WorkerReport for Fixed {
        fn clients(&self) -> u64 {
            self.0
        }
        fn figures(&self) -> Vec<(&'static str, u64)> {
            vec![("datagrams_in", self.0 * 10)]
        }
    }

    #[test]
    fn a_report_contains_the_recorded_figures_and_survives_json() {
        let stats = ServerStats::new(2, 20);
        stats.set_workers(vec![Arc::new(Fixed(3)), Arc::new(Fixed(4))]);
        stats.tick_ended(9, Duration::from_millis(2));
        stats.phase_ended(ServerSystems::Index, Duration::from_millis(1));
        stats.set_overruns(1, 2);
        stats.input_waited(Duration::from_micros(80));
        stats.fanned_out(9, Duration::from_millis(5));
        stats.fanned_out(9, Duration::from_millis(6));

        let report = stats.report(Duration::from_secs(1));
        assert_eq!((report.tick, report.tick_rate, report.ticks), (9, 20, 1));
        assert_eq!((report.overruns, report.ticks_skipped, report.clients), (1, 2, 7));
        assert_eq!(
            report.published.iter().map(|&(tick, _)| tick).collect::<Vec<_>>(),
            [9]
        );
        assert_eq!(report.tick_time.max(), Duration::from_millis(2));
        assert_eq!(report.phases["index"].count, 1);
        assert_eq!(report.phases["publish"].count, 0);
        assert_eq!(report.fan_out.max(), Duration::from_millis(6));
        assert_eq!(report.input_queue.count, 1);
        assert_eq!(report.workers[1]["datagrams_in"], 40);

        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<StatsReport>(&json).unwrap(), report);
    }
}
