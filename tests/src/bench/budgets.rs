//! Budgets and the measured figures beside them: the first table of the document.

use std::fmt::Write;

use super::document::MeasuredRow;
use super::results::{Run, cpu, over_floor};

/// The side of the limit on which a figure meets its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtMost,
    AtLeast,
}

/// A limit for one figure of a row.
struct BenchBudget {
    what: &'static str,
    /// Name of the row that is measured.
    row: &'static str,
    figure: fn(&Run) -> f64,
    bound: Bound,
    limit: f64,
    unit: &'static str,
    /// The same figure of the compared systems, if it was measured.
    peers: &'static str,
}

const fn at_most(
    what: &'static str,
    row: &'static str,
    figure: fn(&Run) -> f64,
    limit: f64,
    unit: &'static str,
    peers: &'static str,
) -> BenchBudget {
    BenchBudget {
        what,
        row,
        figure,
        bound: Bound::AtMost,
        limit,
        unit,
        peers,
    }
}

const fn at_least(
    what: &'static str,
    row: &'static str,
    figure: fn(&Run) -> f64,
    limit: f64,
    unit: &'static str,
) -> BenchBudget {
    BenchBudget {
        what,
        row,
        figure,
        bound: Bound::AtLeast,
        limit,
        unit,
        peers: "",
    }
}

const CROWD_1000: &str = "crowd-60-workers1-1000";
const CROWD_5000: &str = "crowd-60-workers1-5000";
const HOTSPOT: &str = "hotspot-2000";

const BUDGETS: [BenchBudget; 22] = [
    at_most(
        "CPU per client-tick, 1,000 clients, 60 visible",
        CROWD_1000,
        cpu,
        7.0,
        "us",
        "51-134",
    ),
    at_most(
        "CPU per client-tick, 5,000 clients, 60 visible",
        CROWD_5000,
        cpu,
        8.0,
        "us",
        "",
    ),
    // These are the budgets above, divided by the floor program's cost on the machine for which they were set.
    at_most(
        "the same over the floor program's, 1,000 clients",
        CROWD_1000,
        over_floor,
        1.35,
        "x",
        "10-26",
    ),
    at_most(
        "the same over the floor program's, 5,000 clients",
        CROWD_5000,
        over_floor,
        1.4,
        "x",
        "",
    ),
    at_most(
        "bytes per visible update",
        CROWD_1000,
        |run| run.report.bytes_per_update,
        5.0,
        "B",
        "17-19",
    ),
    at_most(
        "the same at 150 ms each way",
        "latency-150",
        |run| run.report.bytes_per_update,
        5.0,
        "B",
        "",
    ),
    at_most(
        "1,000 clients x 10,000 moving x 100 visible, whole server",
        "entities-10000",
        |run| run.server_cores * 1e3 / run.report.tick_hz.max(1e-9),
        12.0,
        "ms a tick",
        "450+",
    ),
    at_least(
        "5,000 clients on one core: tick rate",
        CROWD_5000,
        |run| run.report.tick_hz,
        19.9,
        "Hz",
    ),
    at_most(
        "tick p99",
        CROWD_5000,
        |run| run.report.tick_ms_p99,
        10.0,
        "ms",
        "",
    ),
    at_most(
        "fan-out p99",
        CROWD_5000,
        |run| run.report.fanout_ms_p99,
        40.0,
        "ms",
        "",
    ),
    at_most(
        "clients lost",
        CROWD_5000,
        |run| run.report.clients_lost as f64,
        0.0,
        "",
        "",
    ),
    at_most(
        "snapshot age p99, 1,000 clients",
        CROWD_1000,
        |run| run.report.snapshot_age_ms_p99,
        20.0,
        "ms",
        "",
    ),
    at_most(
        "snapshot age p99, 5,000 clients",
        CROWD_5000,
        |run| run.report.snapshot_age_ms_p99,
        60.0,
        "ms",
        "",
    ),
    at_most(
        "input, socket to queue, p99",
        CROWD_1000,
        |run| run.report.input_queue_us_p99,
        1e3,
        "us",
        "",
    ),
    at_most(
        "100,000 at rest: tick p50",
        "static-100000",
        |run| run.report.tick_ms_p50,
        0.2,
        "ms",
        "",
    ),
    at_least(
        "2,000 in one view: entities held",
        HOTSPOT,
        |run| run.report.visible_mean,
        255.0,
        "",
    ),
    at_least(
        "updates per client",
        HOTSPOT,
        |run| run.report.updates_per_client_s,
        4_000.0,
        "/s",
    ),
    at_most(
        "bytes per client",
        HOTSPOT,
        |run| run.report.down_bytes_per_client_s,
        65_536.0,
        "/s",
        "",
    ),
    at_most(
        "oldest visible p99",
        HOTSPOT,
        |run| run.report.oldest_visible_ms_p99,
        250.0,
        "ms",
        "",
    ),
    at_most(
        "tick + fan-out p99",
        HOTSPOT,
        |run| run.report.tick_ms_p99 + run.report.fanout_ms_p99,
        50.0,
        "ms",
        "",
    ),
    at_most(
        "10,000 idle connections",
        "idle-10000",
        |run| run.server_cores * 100.0,
        2.0,
        "% of a core",
        "",
    ),
    at_most(
        "decode and value errors, 5,000 clients",
        CROWD_5000,
        |run| (run.report.decode_errors + run.report.value_errors) as f64,
        0.0,
        "",
        "",
    ),
];

/// Returns the table, which shows medians of the runs.
#[must_use]
pub fn table(measured: &[MeasuredRow<'_>]) -> String {
    let mut text = "\n## Budgets\n\nMedians of the runs; every row stands below with its spread.\n\n\
                    | what | row | budget | measured | | bevy_replicon, lightyear |\n|---|---|---:|---:|---|---|\n"
        .to_owned();
    for budget in &BUDGETS {
        let result = measured.iter().find(|(row, _)| row.name == budget.row);
        let Some(spread) = result.and_then(|(_, result)| result.spread(budget.figure)) else {
            continue;
        };
        // A budget without a measurement is omitted.
        if spread.median.is_nan() {
            continue;
        }
        let (sign, is_met) = match budget.bound {
            Bound::AtMost => ("<=", spread.median <= budget.limit),
            Bound::AtLeast => (">=", spread.median >= budget.limit),
        };
        let mark = if is_met { "met" } else { "**missed**" };
        let (limit, shown) = (short(budget.limit), short(spread.median));
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {} | `{}` | {sign} {limit} {} | **{shown}** | {mark} | {} |",
            budget.what, budget.row, budget.unit, budget.peers
        );
    }
    text
}

/// Formats a value with about three digits, without trailing zeros.
fn short(value: f64) -> String {
    if value >= 1_000.0 {
        return throng_client::table::grouped(value.round() as u64);
    }
    let digits = if value >= 100.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::{Provenance, RowResult};
    use super::super::rows;
    use super::*;
    use crate::swarm::report::SwarmReport;

    #[test]
    fn every_budget_names_a_row() {
        let rows = rows::all();
        for budget in &BUDGETS {
            assert!(rows.iter().any(|row| row.name == budget.row), "{}", budget.row);
        }
    }

    #[test]
    fn a_budget_beyond_its_limit_is_marked_as_missed() {
        let rows = rows::all();
        let row = rows.iter().find(|row| row.name == HOTSPOT).unwrap();
        let report = SwarmReport {
            visible_mean: 255.0,
            updates_per_client_s: 3_999.4,
            ..SwarmReport::default()
        };
        let run = Run {
            report,
            threads: Vec::new(),
            phases: Vec::new(),
            server_cores: 0.5,
            overruns: 0,
            migrations: crate::bench::results::Migrations::default(),
            floor_us: None,
        };
        let result = RowResult {
            name: row.name.clone(),
            provenance: Provenance::default(),
            server: String::new(),
            swarm: String::new(),
            runs: vec![run],
        };
        let text = table(&[(row, &result)]);
        assert!(
            text.contains("entities held | `hotspot-2000` | >= 255  | **255** | met |"),
            "{text}"
        );
        assert!(text.contains(">= 4,000 /s | **3,999** | **missed** |"), "{text}");
        assert!(
            !text.contains(CROWD_1000),
            "a budget without a measurement is omitted"
        );
    }

    #[test]
    fn figures_have_about_three_digits() {
        assert_eq!(
            [0.0, 0.117, 2.704, 45.0, 123.45, 4_000.2].map(short),
            ["0", "0.117", "2.7", "45", "123.5", "4,000"]
        );
    }
}
