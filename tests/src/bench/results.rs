//! What was measured, as files that later runs update one by one: `docs/benchmarks/NAME.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use throng_server::observe::StatsReport;
use throng_server::schedule::ServerSystems;

use crate::swarm::report::SwarmReport;

/// Where and from what a row was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Processor, cores, kernel, compiler.
    pub machine: String,
    /// The commit, with a `+` when the work tree differed from it.
    pub commit: String,
    /// The day, as `2026-11-30`.
    pub date: String,
    /// Which processors the server and the swarm were confined to, or that they were not.
    pub placement: String,
}

/// CPU time of the server's threads of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadShare {
    /// The threads' name.
    pub name: String,
    /// Share of one core over the measured window, 1 = a whole core.
    pub cores: f64,
}

/// Times of one phase of the tick, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// The phase.
    pub name: String,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One run of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The swarm's figures.
    pub report: SwarmReport,
    /// The server's threads, the busiest first.
    pub threads: Vec<ThreadShare>,
    /// The tick's phases, in the order in which they run.
    #[serde(default)]
    pub phases: Vec<PhaseTimes>,
    /// CPU of the whole server over the window, in cores.
    pub server_cores: f64,
    /// Ticks that ended after the next one was due.
    pub overruns: u64,
    /// What crossed borders between simulations.
    #[serde(default)]
    pub migrations: Migrations,
    /// CPU per client-tick of the [floor program](super::floor) with as many clients and as much in view, run
    /// right after: the machine's pace at that time.
    #[serde(default)]
    pub floor_us: Option<f64>,
}

/// Entities that went from one simulation to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Migrations {
    /// How many in a second.
    pub per_s: f64,
    /// From leaving one world at the end of a tick to being in the other before the next, median, in ms. The
    /// frames of the two ticks show it on either side: one tick, always.
    pub ms_p50: f64,
    /// The same, 99th percentile.
    pub ms_p99: f64,
}

impl Migrations {
    /// Between two readings.
    #[must_use]
    pub fn between(before: &StatsReport, after: &StatsReport) -> Self {
        let elapsed_us = after.uptime_us.saturating_sub(before.uptime_us).max(1) as f64;
        let came = |report: &StatsReport| report.simulation.get("immigrated").copied().unwrap_or(0);
        let times = after.migration.since(&before.migration);
        Self {
            per_s: came(after).saturating_sub(came(before)) as f64 * 1e6 / elapsed_us,
            ms_p50: times.quantile(0.5).as_secs_f64() * 1e3,
            ms_p99: times.quantile(0.99).as_secs_f64() * 1e3,
        }
    }
}

/// All runs of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowResult {
    /// The row's name.
    pub name: String,
    /// Where and from what.
    pub provenance: Provenance,
    /// The server's command line.
    pub server: String,
    /// The swarm's command line.
    pub swarm: String,
    /// One entry a run.
    pub runs: Vec<Run>,
}

/// Least, middle and greatest of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The median; the lower one of two middle values.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl RowResult {
    /// A figure over the runs; `None` without any run.
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

    /// The run with the median CPU per client-tick: figures that belong together are taken from it.
    pub fn typical(&self) -> Option<&Run> {
        let median = self.spread(cpu)?.median;
        self.runs.iter().find(|run| cpu(run) == median)
    }

    /// Whether every run lost nobody and decoded everything right.
    pub fn is_clean(&self) -> bool {
        self.runs.iter().all(|run| run.report.is_clean())
    }
}

/// CPU per client-tick of a run.
pub fn cpu(run: &Run) -> f64 {
    run.report.server_cpu_us_per_client_tick
}

/// CPU per client-tick of a run over that of the floor program beside it; NaN where that was not run.
pub fn over_floor(run: &Run) -> f64 {
    run.floor_us.map_or(f64::NAN, |floor_us| cpu(run) / floor_us)
}

/// The tick's phases between two readings.
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

/// What the server's threads did between two readings, threads of one name together, the busiest first.
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

/// Writes a row's results, replacing earlier ones.
pub fn save(folder: &Path, result: &RowResult) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = file_of(folder, &result.name);
    let mut json = serde_json::to_string_pretty(result)?;
    json.push('\n');
    fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a row's results; `None` when it was never measured.
pub fn load(folder: &Path, name: &str) -> Result<Option<RowResult>> {
    let path = file_of(folder, name);
    if !path.exists() {
        return Ok(None);
    }
    let json = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let result =
        serde_json::from_str(&json).with_context(|| format!("{} is not a result", path.display()))?;
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
    fn the_typical_run_is_the_median_one() {
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
    fn threads_of_one_name_are_added_and_new_ones_count_whole() {
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
    fn results_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let saved = result(&[5.123_456]);
        assert_eq!(load(folder.path(), "row").unwrap(), None);
        save(folder.path(), &saved).unwrap();
        assert_eq!(load(folder.path(), "row").unwrap(), Some(saved));
        fs::write(folder.path().join("row.json"), "{").unwrap();
        assert!(
            load(folder.path(), "row")
                .unwrap_err()
                .to_string()
                .contains("row.json")
        );
    }
}
