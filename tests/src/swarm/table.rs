//! The report as a table for people: one screen with groups of aligned figures, and errors in red.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use super::report::SwarmReport;

/// Number of columns inside the frame.
const WIDTH: usize = 78;
/// Number of columns for the label of a row.
const LABEL: usize = 18;

/// Returns whether escape sequences may be written: standard output is a terminal and `NO_COLOR` is not set.
#[must_use]
pub fn stdout_is_colourful() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns the report as text. `title` names the run, such as the server's address and its scene.
#[must_use]
pub fn draw(report: &SwarmReport, title: &str, colours: bool) -> String {
    let mut table = Table {
        text: String::new(),
        colours,
    };
    table.rule('╭', '╮');
    table.line(&[TableCell::Strong(title.to_owned())]);
    clients(&mut table, report);
    server(&mut table, report);
    network(&mut table, report);
    world(&mut table, report);
    table.rule('╰', '╯');
    table.text
}

fn clients(table: &mut Table, report: &SwarmReport) {
    table.rule('├', '┤');
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
    table.rule('├', '┤');
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
    table.row(
        "fan-out",
        &[
            figure("p50", &ms(report.fanout_ms_p50)),
            figure("p99", &ms(report.fanout_ms_p99)),
        ],
    );
    table.row(
        "input to queue",
        &[figure("p99", &format!("{:.0} us", report.input_queue_us_p99))],
    );
}

fn network(table: &mut Table, report: &SwarmReport) {
    table.rule('├', '┤');
    for (label, bytes, datagrams) in [
        (
            "down, per client",
            report.down_bytes_per_client_s,
            report.down_datagrams_per_client_s,
        ),
        (
            "up, per client",
            report.up_bytes_per_client_s,
            report.up_datagrams_per_client_s,
        ),
    ] {
        table.row(
            label,
            &[
                figure("bytes", &format!("{}/s", grouped(bytes.round() as u64))),
                figure("datagrams", &format!("{datagrams:.1}/s")),
            ],
        );
    }
}

fn world(table: &mut Table, report: &SwarmReport) {
    table.rule('├', '┤');
    table.row(
        "seen, per client",
        &[
            figure("entities", &format!("{:.1}", report.visible_mean)),
            figure(
                "updates",
                &format!("{}/s", grouped(report.updates_per_client_s.round() as u64)),
            ),
            figure("each", &format!("{:.2} B", report.bytes_per_update)),
        ],
    );
    table.row(
        "snapshot age",
        &[
            figure("p50", &ms(report.snapshot_age_ms_p50)),
            figure("p99", &ms(report.snapshot_age_ms_p99)),
        ],
    );
    table.row(
        "oldest visible",
        &[figure("p99", &ms(report.oldest_visible_ms_p99))],
    );
}

/// One piece of a line. Its width does not include escape sequences.
enum TableCell {
    Strong(String),
    Dim(String),
    Plain(String),
    Alarm(String),
}

impl TableCell {
    fn text(&self) -> &str {
        match self {
            Self::Strong(text) | Self::Dim(text) | Self::Plain(text) | Self::Alarm(text) => text,
        }
    }

    fn escape(&self) -> &'static str {
        match self {
            Self::Strong(_) => "\x1b[1m",
            Self::Dim(_) => "\x1b[2m",
            Self::Plain(_) => "",
            Self::Alarm(_) => "\x1b[1;31m",
        }
    }
}

struct Table {
    text: String,
    colours: bool,
}

impl Table {
    fn rule(&mut self, left: char, right: char) {
        self.text.push(left);
        self.text.extend(std::iter::repeat_n('─', WIDTH));
        self.text.push(right);
        self.text.push('\n');
    }

    /// Appends a row with a label and figures in columns of equal width.
    fn row(&mut self, label: &str, figures: &[[TableCell; 2]]) {
        let column = (WIDTH - 2 - LABEL) / 3;
        let mut cells = vec![TableCell::Dim(format!("{label:<LABEL$}"))];
        for [name, value] in figures {
            let used = name.text().chars().count() + 1 + value.text().chars().count();
            cells.push(TableCell::Dim(format!("{} ", name.text())));
            cells.push(match value {
                TableCell::Alarm(text) => TableCell::Alarm(text.clone()),
                other => TableCell::Plain(other.text().to_owned()),
            });
            cells.push(TableCell::Plain(" ".repeat(column.saturating_sub(used).max(1))));
        }
        self.line(&cells);
    }

    fn line(&mut self, cells: &[TableCell]) {
        let used: usize = cells.iter().map(|cell| cell.text().chars().count()).sum();
        self.text.push_str("│ ");
        for cell in cells {
            let escape = if self.colours { cell.escape() } else { "" };
            if escape.is_empty() {
                self.text.push_str(cell.text());
            } else {
                // Writing to a `String` cannot fail.
                let _ = write!(self.text, "{escape}{}\x1b[0m", cell.text());
            }
        }
        self.text
            .extend(std::iter::repeat_n(' ', (WIDTH - 1).saturating_sub(used)));
        self.text.push_str("│\n");
    }
}

fn figure(name: &str, value: &str) -> [TableCell; 2] {
    [
        TableCell::Dim(name.to_owned()),
        TableCell::Plain(value.to_owned()),
    ]
}

/// Returns a figure for a count that should be zero.
fn alarm(name: &str, count: u64) -> [TableCell; 2] {
    let value = grouped(count);
    [
        TableCell::Dim(name.to_owned()),
        if count == 0 {
            TableCell::Plain(value)
        } else {
            TableCell::Alarm(value)
        },
    ]
}

fn ms(value: f64) -> String {
    // About four significant digits at any size.
    match value {
        value if value < 1.0 => format!("{value:.3} ms"),
        value if value < 100.0 => format!("{value:.2} ms"),
        value => format!("{value:.0} ms"),
    }
}

/// Formats a number in groups of three digits, `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let shown: Vec<String> = [0, 12, 999, 1_000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567"]);
    }

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
                assert_eq!(line.chars().count(), WIDTH + 2, "{line}");
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
