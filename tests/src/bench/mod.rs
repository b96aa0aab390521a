//! The benchmarks for `docs/benchmarks.md`: the rows, how each is measured, and the document.
//!
//! Each run starts a new server process and a new swarm process. A row's results replace only that row's file, and the
//! document is assembled from all files. A single row can therefore be measured again.

pub mod budgets;
pub mod chart;
pub mod content;
pub mod document;
pub mod flags;
#[cfg(target_os = "linux")]
pub mod floor;
pub mod instructions;
pub mod machine;
pub mod peers;
pub mod processes;
pub mod results;
pub mod rows;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::swarm::Readings;
use crate::swarm::report::SwarmReport;
use content::ChangingContent;
use flags::BenchFlags;
use processes::Placement;
use results::{Migrations, RowResult, Run};
use rows::BenchRow;

/// Measured seconds of the floor program after a run.
const FLOOR_SECONDS: u32 = 3;

/// Lists, measures or assembles the rows, as the command line requests.
///
/// # Errors
/// If a process fails, or a file cannot be read or written.
pub fn run(flags: &BenchFlags) -> Result<()> {
    let rows = rows::all();
    let names = rows.iter().map(|row| row.name.as_str());
    let names: Vec<&str> = names.chain([instructions::NAME]).collect();
    let wanted: Vec<&BenchRow> = rows.iter().filter(|row| flags.wants(&row.name, &names)).collect();
    let mut out = io::stdout();
    if flags.list {
        for row in wanted {
            writeln!(out, "{:<28} {}", row.name, row.title)?;
        }
        if flags.wants(instructions::NAME, &names) {
            writeln!(out, "{:<28} {}", instructions::NAME, instructions::TITLE)?;
        }
        return Ok(());
    }
    let folder = flags.docs.join("benchmarks");
    if !flags.assemble {
        let swarm = processes::build_swarm()?;
        let placement = Placement::choose(!flags.no_pinning);
        for (index, row) in wanted.iter().enumerate() {
            writeln!(
                out,
                "[{}/{}] {}: {}",
                index + 1,
                wanted.len(),
                row.name,
                row.title
            )?;
            let result = measure(row, flags, &swarm, placement)?;
            results::save(&folder, &row.name, &result)?;
            // The document is written after every row, so that an interrupted benchmark leaves one of all finished rows.
            write_document(&flags.docs, &rows)?;
        }
        if flags.wants(instructions::NAME, &names) {
            writeln!(out, "{}: {}", instructions::NAME, instructions::TITLE)?;
            results::save(&folder, instructions::NAME, &instructions::measure()?)?;
        }
    }
    write_document(&flags.docs, &rows)
}

/// Measures all runs of one row.
fn measure(row: &BenchRow, flags: &BenchFlags, swarm: &Path, placement: Placement) -> Result<RowResult> {
    let (runs, seconds) = flags.effort();
    let mut result = RowResult {
        name: row.name.clone(),
        provenance: machine::provenance(&placement.describe()),
        server: row.server.join(" "),
        swarm: swarm_arguments(row, seconds).join(" "),
        runs: Vec::new(),
    };
    for number in 1..=runs {
        let run = run_once(row, seconds, swarm, placement)
            .with_context(|| format!("{}, run {number}", row.name))?;
        writeln!(
            io::stdout(),
            "      run {number}: {:.2} us per client-tick, {:.2} Hz, {:.2} B per update, age p99 {:.1} ms, lost {}",
            results::cpu(&run),
            run.report.tick_hz,
            run.report.bytes_per_update,
            run.report.snapshot_age_ms_p99,
            run.report.clients_lost,
        )?;
        result.runs.push(run);
    }
    Ok(result)
}

fn swarm_arguments(row: &BenchRow, seconds: u32) -> Vec<String> {
    let mut arguments = vec![
        "--clients".to_owned(),
        row.clients.to_string(),
        "--seconds".to_owned(),
        seconds.to_string(),
    ];
    arguments.extend(row.swarm.iter().cloned());
    arguments
}

/// Measures one run with a new server and a new swarm.
fn run_once(row: &BenchRow, seconds: u32, swarm: &Path, placement: Placement) -> Result<Run> {
    let content = row.exchanges.then(ChangingContent::start).transpose()?;
    let mut flags = row.server.clone();
    if let Some(content) = &content {
        flags.extend(["--content".to_owned(), content.folder().display().to_string()]);
    }
    let server = placement.start_server(&flags)?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let (report_file, readings_file) = (
        folder.path().join("report.json"),
        folder.path().join("readings.json"),
    );
    let mut arguments = swarm_arguments(row, seconds);
    arguments.extend(["--server".to_owned(), server.http().to_string()]);
    arguments.extend(["--json".to_owned(), report_file.display().to_string()]);
    arguments.extend(["--readings".to_owned(), readings_file.display().to_string()]);
    placement.run_swarm(swarm, &arguments)?;
    let (status, log) = server.stop()?;
    ensure!(status.success(), "the server ended with {status}:\n{log}");

    let report: SwarmReport = read_json(&report_file)?;
    let readings: Readings = read_json(&readings_file)?;
    let elapsed_us = readings
        .after
        .uptime_us
        .saturating_sub(readings.before.uptime_us)
        .max(1);
    Ok(Run {
        report,
        threads: results::thread_shares(&readings.before, &readings.after),
        phases: results::phase_times(&readings.before, &readings.after),
        server_cores: readings.after.cpu_us.saturating_sub(readings.before.cpu_us) as f64 / elapsed_us as f64,
        migrations: Migrations::between(&readings.before, &readings.after),
        overruns: readings.after.overruns.saturating_sub(readings.before.overruns),
        floor_us: floor_beside(row)?,
    })
}

/// Measures the floor program's CPU time for as many clients as the row's, if the row is compared with it.
#[cfg(target_os = "linux")]
fn floor_beside(row: &BenchRow) -> Result<Option<f64>> {
    let Some(visible) = row.floor_visible else {
        return Ok(None);
    };
    let report = floor::measure(&floor::FloorFlags {
        clients: row.clients,
        visible,
        seconds: FLOOR_SECONDS,
        json: false,
    })?;
    Ok(Some(report.cpu_us_per_client_tick))
}

#[cfg(not(target_os = "linux"))]
fn floor_beside(_: &BenchRow) -> Result<Option<f64>> {
    Ok(None)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let json = fs::read_to_string(path).context("the swarm wrote no report")?;
    serde_json::from_str(&json).context("the swarm's report has another format")
}

fn write_document(docs: &Path, rows: &[BenchRow]) -> Result<()> {
    let folder = docs.join("benchmarks");
    let mut results = Vec::new();
    for row in rows {
        if let Some(result) = results::load(&folder, &row.name)? {
            results.push((row, result));
        }
    }
    let measured: Vec<document::MeasuredRow<'_>> =
        results.iter().map(|(row, result)| (*row, result)).collect();
    for (name, svg) in document::charts(&measured) {
        let path = folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let counts = results::load(&folder, instructions::NAME)?;
    let path = docs.join("benchmarks.md");
    fs::write(&path, document::assemble(&measured, counts.as_ref()))
        .with_context(|| format!("cannot write {}", path.display()))
}
