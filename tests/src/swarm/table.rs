//! The report as a table for people: one screen with groups of aligned figures, and errors in red.

use throng_client::table::{Table, alarm, figure, grouped, ms};

use super::report::SwarmReport;

/// Returns the report as text. `title` names the run, such as the server's address and its scene.
#[must_use]
pub fn draw(report: &SwarmReport, title: &str, colours: bool) -> String {
    let mut table = Table::new(title, colours);
    clients(&mut table, report);
    server(&mut table, report);
    network(&mut table, report);
    world(&mut table, report);
    table.finish()
}

fn clients(table: &mut Table, report: &SwarmReport) {
    table.group();
    table.row(
        "clients",
        &[
            figure("connected", &grouped(report.clients_connected)),
            alarm("lost", report.clients_lost),
            figure("measured", &format!("{:.1} s", report.seconds)),
        ],
    );
    table.row(
        "mirrors",
        &[
            alarm("decode errors", report.decode_errors),
            alarm("value errors", report.value_errors),
        ],
    );
}

fn server(table: &mut Table, report: &SwarmReport) {
    table.group();
    table.row(
        "server CPU",
        &[
            figure(
                "per client-tick",
                &format!("{:.2} us", report.server_cpu_us_per_client_tick),
            ),
            figure("resident", &format!("{:.1} MiB", report.server_rss_mib)),
        ],
    );
    table.row(
        "tick",
        &[
            figure("rate", &format!("{:.2} Hz", report.tick_hz)),
            figure("p50", &ms(report.tick_ms_p50)),
            figure("p99", &ms(report.tick_ms_p99)),
        ],
    );
    table.row(
        "",
        &[
            figure("p99.9", &ms(report.tick_ms_p999)),
            figure("max", &ms(report.tick_ms_max)),
        ],
    );
    table.quantiles("fan-out", report.fanout_ms_p50, report.fanout_ms_p99);
    table.row(
        "input to queue",
        &[figure("p99", &format!("{:.0} us", report.input_queue_us_p99))],
    );
}

fn network(table: &mut Table, report: &SwarmReport) {
    table.group();
    table.traffic(
        "down, per client",
        report.down_bytes_per_client_s,
        report.down_datagrams_per_client_s,
    );
    table.traffic(
        "up, per client",
        report.up_bytes_per_client_s,
        report.up_datagrams_per_client_s,
    );
}

fn world(table: &mut Table, report: &SwarmReport) {
    table.group();
    table.seen(
        report.visible_mean,
        report.updates_per_client_s,
        report.bytes_per_update,
    );
    table.quantiles(
        "snapshot age",
        report.snapshot_age_ms_p50,
        report.snapshot_age_ms_p99,
    );
    table.row(
        "oldest visible",
        &[figure("p99", &ms(report.oldest_visible_ms_p99))],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_equally_wide_with_large_figures() {
        let large = SwarmReport {
            clients_connected: 5_000,
            seconds: 3_600.0,
            tick_hz: 20.0,
            tick_ms_max: 12_345.6,
            server_rss_mib: 1_234.5,
            down_bytes_per_client_s: 65_536.0,
            updates_per_client_s: 4_321.0,
            bytes_per_update: 4.66,
            ..SwarmReport::default()
        };
        for report in [SwarmReport::default(), large] {
            let drawn = draw(&report, "1,000 bots at 127.0.0.1:8080", false);
            for line in drawn.lines() {
                assert_eq!(line.chars().count(), 80, "{line}");
            }
        }
    }

    #[test]
    fn errors_are_red_unless_colours_are_disabled() {
        let report = SwarmReport {
            clients_lost: 3,
            ..SwarmReport::default()
        };
        let drawn = draw(&report, "run", true);
        assert!(drawn.contains("\x1b[1;31m3\x1b[0m"));
        assert!(!drawn.contains("\x1b[1;31m0"));
        assert!(!draw(&report, "run", false).contains('\x1b'));
    }
}
