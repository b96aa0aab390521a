//! Assembles `docs/benchmarks.md` and its charts from the results on disk. Equal results give equal files.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::budgets;
use super::chart::{Axis, Chart, ChartSeries, LineWeight, Scale};
use super::instructions::{self, InstructionCounts};
use super::peers;
use super::results::{RowResult, Run, Spread, cpu, over_floor};
use super::rows::{BenchRow, BenchSection, CROWD_VISIBLE, Workers};
use throng_client::table::grouped;

/// A row with its results.
pub type MeasuredRow<'a> = (&'a BenchRow, &'a RowResult);

const INTRODUCTION: &str = "\
# Benchmarks

Written by `cargo run --release -p throng-tests --bin bench`; the raw results are in
[`benchmarks/`](benchmarks). Every figure comes from real processes over real, encrypted UDP on loopback:
the server is the release binary, its clients are the [swarm](../tests/src/swarm/mod.rs), and every bot
decodes every snapshot. Cells show **min / median / max** of the runs.

- **CPU** is the server process's own CPU time, all threads and the kernel's work for them included, over
  ticks x clients.
- **x floor** is that over what the [floor program](../tests/src/bench/floor/mod.rs) needs for as many clients
  right after the run: batched datagrams, a cipher and a grid, nothing else. The machine's pace cancels out.
- **bytes per update** divides *all* UDP payload bytes received by the entities whose values changed.
- **tick** runs from Receive to Publish, **fan-out** from Publish to the last datagram of that tick.
- **snapshot age** runs from a tick's publishing to a bot's having read its snapshot from the socket; the
  swarm's own delays are part of it.
- **oldest** is the 99th percentile of the age of the oldest value in a mirror.
";

/// Returns the text of the document.
#[must_use]
pub fn assemble(measured: &[MeasuredRow<'_>], counts: Option<&InstructionCounts>) -> String {
    let mut text = INTRODUCTION.to_owned();
    provenance(&mut text, measured);
    text.push_str(&budgets::table(measured));
    text.push_str(
        "\n## The crowd\n\nEvery client owns one entity; all of them move and turn every tick, 20 Hz.\n",
    );
    for visible in CROWD_VISIBLE {
        let _ = write!(
            text,
            "\n![Server CPU per client-tick](benchmarks/cpu-{visible}.svg)\n\n\
             ![Bytes per update](benchmarks/bytes-{visible}.svg)\n"
        );
        for workers in Workers::ALL {
            crowd_table(&mut text, measured, visible, workers);
        }
    }
    peers_table(&mut text);
    if let Some(counts) = counts {
        text.push_str(&instructions::section(counts));
    }
    text.push_str("\n## One question each\n");
    for (row, result) in measured
        .iter()
        .filter(|(row, _)| row.section == BenchSection::Special)
    {
        special(&mut text, row, result);
    }
    text
}

/// Returns the file name and the SVG text of every chart.
#[must_use]
pub fn charts(measured: &[MeasuredRow<'_>]) -> Vec<(String, String)> {
    CROWD_VISIBLE
        .into_iter()
        .flat_map(|visible| {
            [
                (format!("cpu-{visible}.svg"), cpu_chart(measured, visible).svg()),
                (
                    format!("bytes-{visible}.svg"),
                    bytes_chart(measured, visible).svg(),
                ),
            ]
        })
        .collect()
}

fn provenance(text: &mut String, measured: &[MeasuredRow<'_>]) {
    let all: BTreeSet<String> = measured
        .iter()
        .map(|(_, result)| {
            let from = &result.provenance;
            format!(
                "{}; {}; commit {}, {}",
                from.machine, from.placement, from.commit, from.date
            )
        })
        .collect();
    text.push_str("\nMeasured on:\n");
    for line in &all {
        let _ = writeln!(text, "- {line}");
    }
    if all.len() > 1 {
        text.push_str(HOURS);
    }
}

/// A note for readers, if the rows were not all measured at the same time.
const HOURS: &str = "\nRows of different commits were measured at different hours, and the pace of a shared machine \
    changes between them. Compare a row with what the floor program needed beside it, where that was run, and with rows \
    of the same commit.\n";

fn in_crowd<'a>(
    measured: &'a [MeasuredRow<'a>],
    visible: u32,
    workers: Workers,
) -> impl Iterator<Item = &'a MeasuredRow<'a>> {
    measured
        .iter()
        .filter(move |(row, _)| row.section == BenchSection::Crowd { visible, workers })
}

fn crowd_table(text: &mut String, measured: &[MeasuredRow<'_>], visible: u32, workers: Workers) {
    if in_crowd(measured, visible, workers).next().is_none() {
        return;
    }
    let _ = write!(
        text,
        "\n### {visible} visible, {}\n\n\
         | clients | CPU us per client-tick | x floor | Hz | tick p99 ms | fan-out p99 ms | age p50 ms | age p99 ms \
         | bytes per update | bytes/client/s | seen | RSS MiB | threads, of a core |\n\
         |---:|---|---|---|---|---|---|---|---|---|---:|---:|---|\n",
        workers.title()
    );
    for (row, result) in in_crowd(measured, visible, workers) {
        let Some(run) = result.typical() else { continue };
        let _ = writeln!(
            text,
            "| {}{} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
            grouped(u64::from(row.clients)),
            trouble(result),
            cell(result, cpu, 2),
            cell(result, over_floor, 2),
            cell(result, |run| run.report.tick_hz, 2),
            cell(result, |run| run.report.tick_ms_p99, 2),
            cell(result, |run| run.report.fanout_ms_p99, 2),
            cell(result, |run| run.report.snapshot_age_ms_p50, 2),
            cell(result, |run| run.report.snapshot_age_ms_p99, 2),
            cell(result, |run| run.report.bytes_per_update, 2),
            cell(result, |run| run.report.down_bytes_per_client_s, 0),
            run.report.visible_mean,
            run.report.server_rss_mib,
            threads(run),
        );
    }
}

fn peers_table(text: &mut String) {
    text.push_str(
        "\n### The peers\n\nThe same workload with 50 visible, measured in November 2026 on a 2-core AMD EPYC \
         machine. Position and yaw only; Throng sends the velocity too.\n\n\
         | system | clients | CPU us per client-tick | Hz held | bytes per update |\n|---|---:|---:|---:|---:|\n",
    );
    for peer in peers::ALL {
        for point in peer.points {
            let bytes = point
                .bytes_per_update
                .map_or_else(String::new, |bytes| bytes.to_string());
            let clients = grouped(point.clients as u64);
            let _ = writeln!(
                text,
                "| {} | {clients} | {} | {} | {bytes} |",
                peer.name, point.cpu_us, point.hz
            );
        }
    }
}

fn special(text: &mut String, row: &BenchRow, result: &RowResult) {
    let Some(run) = result.typical() else { return };
    let _ = write!(
        text,
        "\n### {}{}\n\n`throng-server {}`\\\n`swarm {}`\n\n| figure | min / median / max |\n|---|---|\n",
        row.title,
        trouble(result),
        result.server,
        result.swarm
    );
    type Figure = (&'static str, fn(&Run) -> f64, usize);
    let figures: [Figure; 23] = [
        ("clients connected", |run| run.report.clients_connected as f64, 0),
        ("clients lost", |run| run.report.clients_lost as f64, 0),
        ("CPU, us per client-tick", cpu, 2),
        (
            "CPU, ms per tick, whole server",
            |run| run.server_cores * 1e3 / run.report.tick_hz.max(1e-9),
            2,
        ),
        ("CPU, cores", |run| run.server_cores, 3),
        ("tick rate, Hz", |run| run.report.tick_hz, 2),
        ("tick p50, ms", |run| run.report.tick_ms_p50, 3),
        ("tick p99, ms", |run| run.report.tick_ms_p99, 3),
        ("tick max, ms", |run| run.report.tick_ms_max, 3),
        ("fan-out p99, ms", |run| run.report.fanout_ms_p99, 2),
        ("input to queue p99, us", |run| run.report.input_queue_us_p99, 0),
        ("snapshot age p50, ms", |run| run.report.snapshot_age_ms_p50, 2),
        ("snapshot age p99, ms", |run| run.report.snapshot_age_ms_p99, 2),
        ("oldest p99, ms", |run| run.report.oldest_visible_ms_p99, 1),
        ("entities seen", |run| run.report.visible_mean, 1),
        (
            "updates per client and second",
            |run| run.report.updates_per_client_s,
            0,
        ),
        ("bytes per update", |run| run.report.bytes_per_update, 2),
        (
            "bytes per client and second, down",
            |run| run.report.down_bytes_per_client_s,
            0,
        ),
        (
            "decode and value errors",
            |run| (run.report.decode_errors + run.report.value_errors) as f64,
            0,
        ),
        ("RSS, MiB", |run| run.report.server_rss_mib, 1),
        ("migrations per second", |run| run.migrations.per_s, 0),
        ("migration p50, ms", |run| run.migrations.ms_p50, 3),
        ("migration p99, ms", |run| run.migrations.ms_p99, 3),
    ];
    let migrates = run.migrations.per_s > 0.0;
    let shown = |name: &str| migrates || !name.starts_with("migration");
    for (name, figure, digits) in figures.into_iter().filter(|(name, ..)| shown(name)) {
        let _ = writeln!(text, "| {name} | {} |", cell(result, figure, digits));
    }
    for phase in &run.phases {
        let _ = writeln!(
            text,
            "| {}, ms: p50 / p99 / max of a run | {:.3} / {:.3} / {:.3} |",
            phase.name, phase.p50, phase.p99, phase.max
        );
    }
    let _ = writeln!(text, "| threads, of a core | {} |", threads(run));
}

/// Formats min, median and max, or only one figure if min and max look the same.
fn cell(result: &RowResult, figure: impl Fn(&Run) -> f64, digits: usize) -> String {
    let Some(Spread { min, median, max }) = result.spread(figure) else {
        return "-".to_owned();
    };
    if median.is_nan() {
        return "-".to_owned();
    }
    let shown = [min, median, max].map(|value| format!("{value:.digits$}"));
    if shown[0] == shown[2] {
        return format!("**{}**", shown[1]);
    }
    format!("{} / **{}** / {}", shown[0], shown[1], shown[2])
}

fn threads(run: &Run) -> String {
    let busy = run.threads.iter().filter(|thread| thread.cores >= 0.005);
    let shown: Vec<String> = busy
        .map(|thread| format!("{} {:.0} %", thread.name, thread.cores * 100.0))
        .collect();
    shown.join(", ")
}

/// Returns a mark for rows with lost clients or errors, whose figures are not valid.
fn trouble(result: &RowResult) -> String {
    if result.is_clean() {
        return String::new();
    }
    let worst = |figure: fn(&Run) -> u64| result.runs.iter().map(figure).max().unwrap_or(0);
    format!(
        " (lost {}, decode errors {}, value errors {})",
        worst(|run| run.report.clients_lost),
        worst(|run| run.report.decode_errors),
        worst(|run| run.report.value_errors)
    )
}

fn crowd_series(measured: &[MeasuredRow<'_>], visible: u32, figure: fn(&Run) -> f64) -> Vec<ChartSeries> {
    Workers::ALL
        .into_iter()
        .map(|workers| ChartSeries {
            label: format!("Throng, {}", workers.title()),
            points: in_crowd(measured, visible, workers)
                .filter_map(|(row, result)| Some((f64::from(row.clients), result.spread(figure)?.median)))
                .collect(),
            weight: LineWeight::Subject,
        })
        .collect()
}

fn peer_series(figure: fn(&peers::PeerPoint) -> Option<f64>) -> impl Iterator<Item = ChartSeries> {
    peers::ALL.into_iter().map(move |peer| ChartSeries {
        label: peer.name.to_owned(),
        points: peer
            .points
            .iter()
            .filter_map(|point| Some((point.clients, figure(point)?)))
            .collect(),
        weight: if peer == peers::FLOOR {
            LineWeight::Bound
        } else {
            LineWeight::Peer
        },
    })
}

fn cpu_chart(measured: &[MeasuredRow<'_>], visible: u32) -> Chart {
    let mut series = crowd_series(measured, visible, cpu);
    series.extend(peer_series(|point| Some(point.cpu_us)));
    Chart {
        title: "Server CPU per client and tick".to_owned(),
        subtitle: format!(
            "crowd at 20 Hz, {visible} visible (peers: 50), all threads and the kernel; lower is better"
        ),
        x: Axis {
            label: "clients".to_owned(),
            scale: Scale::Logarithmic,
        },
        y: Axis {
            label: "microseconds".to_owned(),
            scale: Scale::Logarithmic,
        },
        series,
    }
}

fn bytes_chart(measured: &[MeasuredRow<'_>], visible: u32) -> Chart {
    let mut series = crowd_series(measured, visible, |run| run.report.bytes_per_update);
    series.extend(peer_series(|point| point.bytes_per_update));
    Chart {
        title: "Bytes per visible update".to_owned(),
        subtitle: format!(
            "all UDP payload over entities updated, {visible} visible (peers: 50); lower is better"
        ),
        x: Axis {
            label: "clients".to_owned(),
            scale: Scale::Logarithmic,
        },
        y: Axis {
            label: "bytes".to_owned(),
            scale: Scale::Linear,
        },
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::Provenance;
    use super::super::rows;
    use super::*;
    use crate::swarm::report::SwarmReport;

    fn result(row: &BenchRow, cpus: &[f64], lost: u64) -> RowResult {
        let run = |cpu_us| Run {
            report: SwarmReport {
                server_cpu_us_per_client_tick: cpu_us,
                clients_lost: lost,
                ..SwarmReport::default()
            },
            threads: Vec::new(),
            phases: Vec::new(),
            server_cores: 0.25,
            overruns: 0,
            migrations: crate::bench::results::Migrations::default(),
            floor_us: None,
        };
        RowResult {
            name: row.name.clone(),
            provenance: Provenance {
                commit: "abc1234".to_owned(),
                ..Provenance::default()
            },
            server: "--scene crowd".to_owned(),
            swarm: "--clients 10".to_owned(),
            runs: cpus.iter().map(|cpu_us| run(*cpu_us)).collect(),
        }
    }

    #[test]
    fn the_document_shows_measured_rows_only() {
        let rows = rows::all();
        let crowd = result(&rows[0], &[6.0, 5.5, 7.25], 0);
        let special = rows.last().unwrap();
        let lossy = result(special, &[9.0], 2);
        let text = assemble(&[(&rows[0], &crowd), (special, &lossy)], None);
        assert!(text.contains("| 10 | 5.50 / **6.00** / 7.25 |"), "{text}");
        assert!(
            text.contains(&format!("### {} (lost 2,", special.title)),
            "{text}"
        );
        assert!(text.contains("commit abc1234"));
        assert!(!text.contains("2 workers\n"), "no empty tables");
    }

    #[test]
    fn charts_show_throng_and_the_compared_systems() {
        let rows = rows::all();
        let crowd = result(&rows[0], &[6.0], 0);
        let charts = charts(&[(&rows[0], &crowd)]);
        assert_eq!(charts.len(), 2 * CROWD_VISIBLE.len());
        let (name, svg) = &charts[0];
        assert_eq!(name, "cpu-50.svg");
        for label in [
            "Throng, inline",
            "bevy_replicon 0.44",
            "lightyear 0.30",
            "floor program",
        ] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(
            !svg.contains("Throng, 2 workers"),
            "a line without measurements is not drawn"
        );
    }
}
