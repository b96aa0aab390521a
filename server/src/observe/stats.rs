//! The server's figures, written by the simulation and the net workers and read by the gateway.
//!
//! Owns: counters and histograms that only grow. Guarantees: writing is wait-free or one short
//! compare-and-swap, never a lock, never an allocation; reading disturbs nobody. Refuses rates and averages:
//! a reader takes two reports and divides.

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

/// Simulations of one process at most.
const SIMULATIONS_MAX: usize = 8;

/// What a net worker shows of itself. Implemented by the worker's own atomics.
pub trait WorkerReport: Send + Sync {
    /// Connected sessions now.
    fn clients(&self) -> u64;
    /// Name and value of every counter and gauge, always the same names in the same order.
    fn figures(&self) -> Vec<(&'static str, u64)>;
}

/// What the simulation shows of itself beside its times.
pub trait SimulationReport: Send + Sync {
    /// Name and value of every counter and gauge, always the same names in the same order.
    fn figures(&self) -> Vec<(&'static str, u64)>;
}

/// The figures of one server process. One `Arc` of it goes to every part.
pub struct ServerStats {
    /// Fixed ticks a second, from the configuration.
    tick_rate: u16,
    /// Number of the newest published tick.
    tick: AtomicU32,
    /// What publish times are since.
    origin: Instant,
    publish_times: PublishTimes,
    /// Ticks simulated.
    ticks: AtomicU64,
    /// Ticks that ended after the next one was due.
    overruns: AtomicU64,
    /// Ticks given up because the simulation was too far behind to catch up.
    skipped: AtomicU64,
    /// Receive to Publish.
    tick_time: Histogram,
    phases: [Histogram; ServerSystems::ORDER.len()],
    /// From a datagram's arrival at its worker to the simulation's taking the input from the queue.
    input_queue: Histogram,
    fan_out: FanOut,
    workers: OnceLock<Vec<Arc<dyn WorkerReport>>>,
    /// From an entity's leaving a simulation to its being another's.
    migration: Histogram,
    /// Figures of each simulation that are not times, such as entities or cells split.
    simulations: [OnceLock<Arc<dyn SimulationReport>>; SIMULATIONS_MAX],
}

impl ServerStats {
    /// For `workers` net workers (0: inline) and `tick_rate` ticks a second.
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

    /// `tick` was published just now, `elapsed` after its Receive began.
    pub fn tick_ended(&self, tick: u32, elapsed: Duration) {
        self.publish_times.record(tick, self.origin.elapsed());
        self.tick_time.record(elapsed);
        self.tick.store(tick, Relaxed);
        self.ticks.fetch_add(1, Relaxed);
    }

    /// A tick of a simulation other than the first took `elapsed`.
    pub fn peer_simulation_ticked(&self, elapsed: Duration) {
        self.tick_time.record(elapsed);
    }

    /// An entity came from another simulation, which let it go so long ago.
    pub fn migrated(&self, took: Duration) {
        self.migration.record(took);
    }

    /// One phase of one tick took `elapsed`.
    pub fn phase_ended(&self, phase: ServerSystems, elapsed: Duration) {
        self.phases[phase as usize].record(elapsed);
    }

    /// Totals since the start: ticks that ended after the next was due, and ticks given up because of it.
    pub fn set_overruns(&self, overruns: u64, skipped: u64) {
        self.overruns.store(overruns, Relaxed);
        self.skipped.store(skipped, Relaxed);
    }

    /// An input waited this long between its worker's socket and the simulation.
    pub fn input_waited(&self, waited: Duration) {
        self.input_queue.record(waited);
    }

    /// One worker sent its last datagram of `tick`, `elapsed` after Publish; see [`FanOut::record`].
    pub fn fanned_out(&self, tick: u32, elapsed: Duration) {
        self.fan_out.record(tick, elapsed);
    }

    /// Hands over the workers' figures, once, in the workers' order. Later calls are ignored.
    pub fn set_workers(&self, workers: Vec<Arc<dyn WorkerReport>>) {
        // The workers are started once per process; a second set would be of a second server.
        let _ = self.workers.set(workers);
    }

    /// Hands over the figures of one of up to eight simulations, once. Later calls are ignored.
    pub fn set_simulation(&self, number: u8, simulation: Arc<dyn SimulationReport>) {
        if let Some(place) = self.simulations.get(usize::from(number)) {
            let _ = place.set(simulation);
        }
    }

    /// Number of the newest published tick.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick.load(Relaxed)
    }

    /// Ticks simulated since the start.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    /// Fixed ticks a second.
    #[must_use]
    pub fn tick_rate(&self) -> u16 {
        self.tick_rate
    }

    /// Connected sessions of each worker, in the workers' order; empty before the workers are up.
    pub fn clients_per_worker(&self) -> impl Iterator<Item = u64> + '_ {
        self.workers
            .get()
            .into_iter()
            .flatten()
            .map(|worker| worker.clients())
    }

    /// Everything at once. Costs some tens of microseconds and opens files in `/proc`.
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
            // Filled in by the gateway, which alone knows.
            gateway: BTreeMap::new(),
            workers: workers.iter().map(|worker| named(worker.figures())).collect(),
            cpu_us: process::process_cpu()
                .map_or(0, |cpu| u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX)),
            threads: process::thread_cpu(),
            resident_bytes: process::resident_bytes().unwrap_or(0),
        }
    }
}

/// What all have together, by name.
fn sum(figures: &[BTreeMap<String, u64>]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, value) in figures.iter().flatten() {
        *sums.entry(name.clone()).or_default() += value;
    }
    sums
}

#[expect(
    clippy::disallowed_methods,
    reason = "publish times are told to other processes, never to the simulation"
)]
fn start_clock() -> Instant {
    Instant::now()
}

/// The body of `GET /v1/stats`. Everything but the gauges only grows: subtract two reports for a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReport {
    /// The crate's version.
    pub server_version: String,
    /// Microseconds since the server's start.
    pub uptime_us: u64,
    /// The newest published tick.
    pub tick: u32,
    /// The newest ticks and when each was published, microseconds since 1970 on this machine's clock.
    #[serde(default)]
    pub published: Vec<(u32, u64)>,
    /// Ticks a second that the server aims at.
    pub tick_rate: u16,
    /// Ticks simulated.
    pub ticks: u64,
    /// Ticks that ended after the next one was due.
    pub overruns: u64,
    /// Ticks given up because of that.
    pub ticks_skipped: u64,
    /// Connected sessions now, all workers.
    pub clients: u64,
    /// Receive to Publish.
    pub tick_time: HistogramSnapshot,
    /// The tick's phases by name: those of [`ServerSystems`], in lower case.
    pub phases: BTreeMap<String, HistogramSnapshot>,
    /// Publish to the last datagram of the tick, slowest worker.
    pub fan_out: HistogramSnapshot,
    /// Socket to simulation, one value per datagram whose arrival was noted; batched I/O notes a sample.
    pub input_queue: HistogramSnapshot,
    /// The counters and gauges of all simulations together, by name.
    pub simulation: BTreeMap<String, u64>,
    /// Each simulation's own, in their order.
    #[serde(default)]
    pub simulations: Vec<BTreeMap<String, u64>>,
    /// From an entity's leaving a simulation, at the end of a tick, to its being another's, before the next.
    #[serde(default)]
    pub migration: HistogramSnapshot,
    /// Answers of the HTTP API: `tokens_issued`, and requests that were refused, by the code of the refusal.
    #[serde(default)]
    pub gateway: BTreeMap<String, u64>,
    /// Each worker's counters and gauges by name.
    pub workers: Vec<BTreeMap<String, u64>>,
    /// CPU time of the whole process, user and system, microseconds; 0 where the system does not tell.
    pub cpu_us: u64,
    /// CPU time of each live thread.
    pub threads: Vec<ThreadCpu>,
    /// Resident memory; 0 where the system does not tell.
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
    fn a_report_holds_what_was_recorded_and_survives_json() {
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
