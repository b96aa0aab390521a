//! Measured results as files, which later runs update one by one: `docs/benchmarks/NAME.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throng_server::observe::StatsReport;
use throng_server::schedule::ServerSystems;

use crate::swarm::report::SwarmReport;

/// The machine and the commit of a measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Processor, cores, kernel and compiler.
    pub machine: String,
    /// The commit, with a `+` if the work tree differed from it.
    pub commit: String,
    /// The date, such as `2026-11-30`.
    pub date: String,
    /// The processors on which the server and the swarm ran.
    pub placement: String,
}

/// CPU time of the server's threads with one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadShare {
    /// Name of the threads.
    pub name: String,
    /// Share of one core over the measured window. 1 is a full core.
    pub cores: f64,
}

/// Times of one phase of the tick, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Name of the phase.
    pub name: String,
    /// Median time.
    pub p50: f64,
    /// 99th percentile of the time.
    pub p99: f64,
    /// The longest time.
    pub max: f64,
}

/// The figures of one run of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Report of the swarm.
    pub report: SwarmReport,
    /// CPU time of the server's threads, the busiest first.
    pub threads: Vec<ThreadShare>,
    /// Times of the tick's phases, in the order in which they run.
    #[serde(default)]
    pub phases: Vec<PhaseTimes>,
    /// CPU time of all the server's threads over the window, in cores.
    pub server_cores: f64,
    /// Ticks that ended after the next one was due.
    pub overruns: u64,
    /// Migrations of entities between simulations.
    #[serde(default)]
    pub migrations: Migrations,
    /// CPU time per client-tick of the [floor program](super::floor) with as many clients and visible entities. It is
    /// run directly after this run and shows the machine's speed at that time.
    #[serde(default)]
    pub floor_us: Option<f64>,
}

/// Figures of entities that moved from one simulation to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Migrations {
    /// Migrations a second.
    pub per_s: f64,
    /// Median time of a migration in ms, from the removal from one simulation at the end of a tick to the spawn in the
    /// other before the next. The frames of these two ticks contain the entity in one simulation each.
    pub ms_p50: f64,
    /// 99th percentile of the time of a migration in ms.
    pub ms_p99: f64,
}

impl Migrations {
    /// Computes the figures between two readings.
    #[must_use]
    pub fn between(before: &StatsReport, after: &StatsReport) -> Self {
        let elapsed_us = after.uptime_us.saturating_sub(before.uptime_us).max(1) as f64;
        let arrived = |report: &StatsReport| report.simulation.get("immigrated").copied().unwrap_or(0);
        let times = after.migration.since(&before.migration);
        Self {
            per_s: arrived(after).saturating_sub(arrived(before)) as f64 * 1e6 / elapsed_us,
            ms_p50: times.quantile(0.5).as_secs_f64() * 1e3,
            ms_p99: times.quantile(0.99).as_secs_f64() * 1e3,
        }
    }
}

/// The results of all runs of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowResult {
    /// Name of the row.
    pub name: String,
    /// Machine and commit of the measurement.
    pub provenance: Provenance,
    /// Command line of the server.
    pub server: String,
    /// Command line of the swarm.
    pub swarm: String,
    /// Figures of each run.
    pub runs: Vec<Run>,
}

/// Minimum, median and maximum of a figure over several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Minimum of the runs.
    pub min: f64,
    /// Median of the runs: the lower one of two middle values.
    pub median: f64,
    /// Maximum of the runs.
    pub max: f64,
}

impl RowResult {
    /// Returns the spread of a figure over the runs, or `None` if there is no run.
    pub fn spread(&self, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        let mut values: Vec<f64> = self.runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(Spread {
            min: values[0],
            median: values[last / 2],
            max: values[last],
        })
    }

    /// Returns the run with the median CPU time per client-tick. Figures that belong together are taken from it.
    pub fn typical(&self) -> Option<&Run> {
        let median = self.spread(cpu)?.median;
        self.runs.iter().find(|run| cpu(run) == median)
    }

    /// Returns whether no run lost a client or decoded a wrong value.
    pub fn is_clean(&self) -> bool {
        self.runs.iter().all(|run| run.report.is_clean())
    }
}

/// Returns the CPU time per client-tick of a run, in microseconds.
pub fn cpu(run: &Run) -> f64 {
    run.report.server_cpu_us_per_client_tick
}

/// Returns the CPU time per client-tick of a run, divided by the floor program's, or NaN if that was not measured.
pub fn over_floor(run: &Run) -> f64 {
    run.floor_us.map_or(f64::NAN, |floor_us| cpu(run) / floor_us)
}

/// Returns the times of the tick's phases between two readings.
#[must_use]
pub fn phase_times(before: &StatsReport, after: &StatsReport) -> Vec<PhaseTimes> {
    let ms = |time: Duration| (time.as_secs_f64() * 1e7).round() / 1e4;
    let measured = ServerSystems::ORDER.into_iter().filter_map(|phase| {
        let name = phase.name();
        let earlier = before.phases.get(&name).cloned().unwrap_or_default();
        let times = after.phases.get(&name)?.since(&earlier);
        Some(PhaseTimes {
            name,
            p50: ms(times.quantile(0.5)),
            p99: ms(times.quantile(0.99)),
            max: ms(times.max()),
        })
    });
    measured.collect()
}

/// Returns the CPU time of the server's threads between two readings, the busiest first. Threads with the same name are
/// added.
#[must_use]
pub fn thread_shares(before: &StatsReport, after: &StatsReport) -> Vec<ThreadShare> {
    let elapsed_us = after.uptime_us.saturating_sub(before.uptime_us).max(1) as f64;
    let mut shares: Vec<ThreadShare> = Vec::new();
    for thread in &after.threads {
        let earlier = before
            .threads
            .iter()
            .find(|other| other.thread_id == thread.thread_id);
        let used_us = thread
            .cpu_us
            .saturating_sub(earlier.map_or(0, |other| other.cpu_us));
        let cores = used_us as f64 / elapsed_us;
        match shares.iter_mut().find(|share| share.name == thread.name) {
            Some(share) => share.cores += cores,
            None => shares.push(ThreadShare {
                name: thread.name.clone(),
                cores,
            }),
        }
    }
    shares.sort_by(|a, b| b.cores.total_cmp(&a.cores));
    shares
}

/// Writes what was measured under `name`, and replaces earlier results.
///
/// # Errors
/// If the file cannot be written.
pub fn save(folder: &Path, name: &str, result: &impl Serialize) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = file_of(folder, name);
    let mut json = serde_json::to_string_pretty(result)?;
    json.push('\n');
    // An earlier result is replaced by a whole one or not at all.
    let part = path.with_extension("json.part");
    fs::write(&part, json)
        .and_then(|()| fs::rename(&part, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what was stored under `name`. Returns `None` if it was never measured.
///
/// # Errors
/// If the file cannot be read, or contains something else.
pub fn load<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>> {
    let path = file_of(folder, name);
    if !path.exists() {
        return Ok(None);
    }
    let json = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let result = serde_json::from_str(&json)
        .with_context(|| format!("{} does not contain a result", path.display()))?;
    Ok(Some(result))
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_server::observe::ThreadCpu;

    fn run(cpu_us: f64) -> Run {
        let report = SwarmReport {
            server_cpu_us_per_client_tick: cpu_us,
            ..SwarmReport::default()
        };
        Run {
            report,
            threads: Vec::new(),
            phases: Vec::new(),
            server_cores: 0.0,
            overruns: 0,
            migrations: Migrations::default(),
            floor_us: None,
        }
    }

    fn result(cpus: &[f64]) -> RowResult {
        RowResult {
            name: "row".to_owned(),
            provenance: Provenance::default(),
            server: String::new(),
            swarm: String::new(),
            runs: cpus.iter().copied().map(run).collect(),
        }
    }

    #[test]
    fn the_typical_run_has_the_median_cpu_time() {
        let three = result(&[7.0, 5.0, 6.0]);
        assert_eq!(
            three.spread(cpu),
            Some(Spread {
                min: 5.0,
                median: 6.0,
                max: 7.0
            })
        );
        assert_eq!(three.typical().map(cpu), Some(6.0));
        assert_eq!(result(&[7.0, 5.0]).spread(cpu).unwrap().median, 5.0);
        assert_eq!(result(&[]).spread(cpu), None);
    }

    #[test]
    fn threads_of_one_name_are_added_and_new_ones_count_in_full() {
        let thread = |name: &str, thread_id, cpu_us| ThreadCpu {
            name: name.to_owned(),
            thread_id,
            cpu_us,
        };
        let before = StatsReport {
            uptime_us: 1_000_000,
            threads: vec![thread("net", 1, 500_000), thread("sim", 3, 0)],
            ..StatsReport::default()
        };
        let after = StatsReport {
            uptime_us: 3_000_000,
            threads: vec![
                thread("net", 1, 1_000_000),
                thread("net", 2, 500_000),
                thread("sim", 3, 1_500_000),
            ],
            ..StatsReport::default()
        };
        let shares = thread_shares(&before, &after);
        let seen: Vec<(&str, f64)> = shares
            .iter()
            .map(|share| (share.name.as_str(), share.cores))
            .collect();
        assert_eq!(seen, [("sim", 0.75), ("net", 0.5)]);
    }

    #[test]
    fn results_are_read_back_equal_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let saved = result(&[5.123_456]);
        let load = || load::<RowResult>(folder.path(), "row");
        assert_eq!(load().unwrap(), None);
        save(folder.path(), &saved.name, &saved).unwrap();
        assert_eq!(load().unwrap(), Some(saved));
        fs::write(folder.path().join("row.json"), "{").unwrap();
        assert!(load().unwrap_err().to_string().contains("row.json"));
    }
}
