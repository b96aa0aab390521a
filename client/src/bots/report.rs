//! The figures of a run of bots, and their table. Figures that the swarm has, too, have its names.

use std::fmt;

use serde::Serialize;

use super::figures::BotFigures;
use super::quantiles::Quantiles;
use super::recipe::BotsSettings;
use crate::link::LinkConditions;
use crate::table::{Table, alarm, figure, grouped};

/// Most different problems that a report names.
const PROBLEMS_MAX: usize = 8;
/// Most different problems that are counted apart.
const REASONS_MAX: usize = 256;

/// The figures of a run of bots. `Display` prints them as a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BotsReport {
    /// The number of bots, the server's address and the line, in words.
    pub title: String,
    /// Bots that joined and were sent a snapshot.
    pub clients_connected: u64,
    /// Bots that could not join.
    pub clients_refused: u64,
    /// Sessions that ended before the bots left. A bot joins again when its session was lost.
    pub sessions_ended: u64,
    /// How often the server did not reply to a bot for 1.5 s.
    pub silences: u64,
    /// Why bots were refused and sessions ended: the eight most frequent reasons.
    pub problems: Vec<BotProblem>,
    /// Length of the measured window in seconds.
    pub seconds: f64,
    /// Server ticks per second of the window, by the newest snapshots.
    pub tick_hz: f64,
    /// UDP payload received.
    pub down_bytes_per_client_s: f64,
    /// UDP payload sent.
    pub up_bytes_per_client_s: f64,
    /// Datagrams received.
    pub down_datagrams_per_client_s: f64,
    /// Datagrams sent.
    pub up_datagrams_per_client_s: f64,
    /// Snapshot packets received and decoded.
    pub snapshots_per_client_s: f64,
    /// Share of the server's snapshot packets that did not arrive, 0 to 1.
    pub snapshots_lost: f64,
    /// Mean number of entities in a bot's world.
    pub visible_mean: f64,
    /// Entities whose values changed.
    pub updates_per_client_s: f64,
    /// All received bytes, divided by the updates.
    pub bytes_per_update: f64,
    /// Median of the smoothed round trip, which includes the simulation of one tick, over bots and time.
    pub round_trip_ms_p50: f64,
    /// 99th percentile of the same.
    pub round_trip_ms_p99: f64,
    /// Median of how far what a bot is shown is behind the server's tick that should have arrived.
    pub shown_delay_ms_p50: f64,
    /// 99th percentile of the same.
    pub shown_delay_ms_p99: f64,
    /// Predictions compared with the server's states; 0 if the bots predict nothing.
    pub predictions: u64,
    /// Of these, the ones that differed.
    pub corrections: u64,
    /// Snapshots, components and messages that could not be decoded, from the first connection on.
    pub decode_errors: u64,
    /// Updates of each bot's app per second: about the server's ticks while this program keeps up.
    pub frames_per_client_s: f64,
    /// Share of one core that the thread of all bots used; `None` where the system does not say.
    pub cpu_share: Option<f64>,
}

/// A reason for which bots were refused or sessions ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BotProblem {
    /// `refused` or `ended`.
    pub what: &'static str,
    /// The reason, in words.
    pub reason: String,
    /// How many bots or sessions it concerns.
    pub count: u64,
}

/// Adds a problem to those counted so far. Above [`REASONS_MAX`] reasons, further ones are counted as one.
pub(super) fn count_problem(problems: &mut Vec<BotProblem>, what: &'static str, reason: &str) {
    let is_known = |known: &BotProblem| known.what == what && known.reason == reason;
    let reason = match problems.len() >= REASONS_MAX && !problems.iter().any(is_known) {
        true => "other reasons",
        false => reason,
    };
    match problems
        .iter_mut()
        .find(|known| known.what == what && known.reason == reason)
    {
        Some(known) => known.count += 1,
        None => problems.push(BotProblem {
            what,
            reason: reason.to_owned(),
            count: 1,
        }),
    }
}

/// What a run measured, from which the report is computed.
#[derive(Debug, Default)]
pub(super) struct BotsMeasured {
    pub(super) connected: u64,
    pub(super) problems: Vec<BotProblem>,
    pub(super) seconds: f64,
    /// Sum of the bots' connected time in seconds: the divisor of all figures per client.
    pub(super) client_seconds: f64,
    pub(super) ticks: u64,
    /// Counts of all bots in the window.
    pub(super) window: BotFigures,
    /// Counts of all bots since the start.
    pub(super) total: BotFigures,
    pub(super) round_trip: Quantiles,
    pub(super) shown_delay: Quantiles,
    pub(super) cpu_seconds: Option<f64>,
}

impl BotsMeasured {
    pub(super) fn report(mut self, settings: &BotsSettings) -> BotsReport {
        let count_of = |what| -> u64 {
            let named = self.problems.iter().filter(|problem| problem.what == what);
            named.map(|problem| problem.count).sum()
        };
        let (clients_refused, sessions_ended) = (count_of("refused"), count_of("ended"));
        self.problems
            .sort_by_key(|problem| std::cmp::Reverse(problem.count));
        self.problems.truncate(PROBLEMS_MAX);
        let (window, total) = (&self.window, &self.total);
        let per_client_s = |count: u64| ratio(count as f64, self.client_seconds);
        BotsReport {
            title: title(settings),
            clients_connected: self.connected,
            clients_refused,
            sessions_ended,
            silences: total.silences,
            seconds: self.seconds,
            tick_hz: ratio(self.ticks as f64, self.seconds),
            down_bytes_per_client_s: per_client_s(window.down_bytes),
            up_bytes_per_client_s: per_client_s(window.up_bytes),
            down_datagrams_per_client_s: per_client_s(window.down_datagrams),
            up_datagrams_per_client_s: per_client_s(window.up_datagrams),
            snapshots_per_client_s: per_client_s(window.snapshots),
            snapshots_lost: ratio(
                window.expected.saturating_sub(window.snapshots) as f64,
                window.expected as f64,
            ),
            visible_mean: ratio(window.visible as f64, window.frames as f64),
            updates_per_client_s: per_client_s(window.updates),
            bytes_per_update: ratio(window.down_bytes as f64, window.updates as f64),
            round_trip_ms_p50: self.round_trip.at(0.5),
            round_trip_ms_p99: self.round_trip.at(0.99),
            shown_delay_ms_p50: self.shown_delay.at(0.5),
            shown_delay_ms_p99: self.shown_delay.at(0.99),
            predictions: window.compared,
            corrections: window.corrected,
            decode_errors: total.decode_errors,
            frames_per_client_s: per_client_s(window.frames),
            cpu_share: self.cpu_seconds.map(|used| ratio(used, self.seconds)),
            problems: self.problems,
        }
    }
}

/// Returns the quotient, or 0 if nothing was measured.
fn ratio(amount: f64, divisor: f64) -> f64 {
    if divisor > 0.0 { amount / divisor } else { 0.0 }
}

/// Part of the ticks in which a bot's app has to be updated.
const KEEPS_UP: f64 = 0.9;

fn title(settings: &BotsSettings) -> String {
    let BotsSettings {
        count, server, line, ..
    } = settings;
    let LinkConditions {
        loss,
        latency,
        jitter,
        ..
    } = line;
    let mut title = format!("{} bots at {server}", grouped(u64::from(*count)));
    if *loss > 0.0 {
        title += &format!(", {:.1} % loss", loss * 100.0);
    }
    if !(*latency + *jitter).is_zero() {
        let [latency, jitter] = [latency, jitter].map(|length| length.as_secs_f64() * 1e3);
        title += &format!(", {latency} ± {jitter} ms each way");
    }
    title
}

impl BotsReport {
    /// Returns whether every bot joined and played to the end, and everything was decoded. This may hold for bots that are
    /// too slow: a test also asks [`keeps_up`](Self::keeps_up).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clients_refused + self.sessions_ended + self.silences + self.decode_errors == 0
    }

    /// Returns whether the bots' apps were updated about once per tick. Otherwise the program had too little time, and the
    /// figures are not those of players; the table says `too slow`.
    #[must_use]
    pub fn keeps_up(&self) -> bool {
        self.frames_per_client_s >= KEEPS_UP * self.tick_hz
    }

    /// Returns the figures as a table, with errors in red if it may have colours.
    #[must_use]
    pub fn table(&self, colours: bool) -> String {
        let mut table = Table::new(&self.title, colours);
        self.clients(&mut table);
        table.group();
        self.network(&mut table);
        table.group();
        self.seen(&mut table);
        table.group();
        let share = |share: f64| format!("{:.2} %", share * 100.0);
        let cpu = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), share);
        let bots = self.clients_connected.max(1) as f64;
        table.row(
            "this program",
            &[
                figure("CPU", &cpu(self.cpu_share)),
                figure("per bot", &cpu(self.cpu_share.map(|share| share / bots))),
                figure("frames", &format!("{:.1}/s", self.frames_per_client_s)),
            ],
        );
        if !self.keeps_up() {
            table.note(
                "too slow",
                "fewer frames than ticks: build with --release, or run fewer bots",
            );
        }
        table.finish()
    }

    fn clients(&self, table: &mut Table) {
        table.group();
        table.row(
            "clients",
            &[
                figure("connected", &grouped(self.clients_connected)),
                alarm("refused", self.clients_refused),
                alarm("ended", self.sessions_ended),
            ],
        );
        table.row(
            "",
            &[
                alarm("silent", self.silences),
                alarm("decode errors", self.decode_errors),
                figure("measured", &format!("{:.1} s", self.seconds)),
            ],
        );
        for BotProblem { what, reason, count } in &self.problems {
            table.note(&format!("{what} {}", grouped(*count)), reason);
        }
    }

    fn network(&self, table: &mut Table) {
        table.traffic(
            "down, per client",
            self.down_bytes_per_client_s,
            self.down_datagrams_per_client_s,
        );
        table.traffic(
            "up, per client",
            self.up_bytes_per_client_s,
            self.up_datagrams_per_client_s,
        );
        table.row(
            "snapshots",
            &[
                figure("received", &format!("{:.1}/s", self.snapshots_per_client_s)),
                figure("lost", &format!("{:.2} %", self.snapshots_lost * 100.0)),
                figure("tick", &format!("{:.2} Hz", self.tick_hz)),
            ],
        );
        table.quantiles("round trip", self.round_trip_ms_p50, self.round_trip_ms_p99);
    }

    fn seen(&self, table: &mut Table) {
        table.seen(
            self.visible_mean,
            self.updates_per_client_s,
            self.bytes_per_update,
        );
        table.quantiles("shown behind", self.shown_delay_ms_p50, self.shown_delay_ms_p99);
        if self.predictions > 0 {
            table.row(
                "predictions",
                &[
                    figure("compared", &grouped(self.predictions)),
                    figure("corrected", &grouped(self.corrections)),
                ],
            );
        }
    }
}

impl fmt::Display for BotsReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_figures_are_per_connected_client_and_second() {
        let window = BotFigures {
            down_bytes: 6_000,
            snapshots: 95,
            expected: 100,
            updates: 1_200,
            frames: 100,
            visible: 4_000,
            ..BotFigures::default()
        };
        let mut problems = Vec::new();
        for _ in 0..3 {
            count_problem(&mut problems, "refused", "the server is full");
        }
        count_problem(&mut problems, "ended", "the server stops");
        let measured = BotsMeasured {
            connected: 2,
            problems,
            seconds: 10.0,
            client_seconds: 15.0,
            ticks: 200,
            window,
            cpu_seconds: Some(0.5),
            ..BotsMeasured::default()
        };
        let settings = BotsSettings::new(5);
        let report = measured.report(&settings);
        assert_eq!((report.tick_hz, report.down_bytes_per_client_s), (20.0, 400.0));
        assert_eq!((report.snapshots_lost, report.bytes_per_update), (0.05, 5.0));
        assert_eq!((report.visible_mean, report.cpu_share), (40.0, Some(0.05)));
        assert_eq!((report.clients_refused, report.sessions_ended), (3, 1));
        assert!(!report.is_clean() && !report.keeps_up());
        let drawn = report.to_string();
        let shown = [
            "refused 3         the server is full",
            "CPU 5.00 %",
            "lost 5.00 %",
            "5 bots at",
            "too slow",
        ];
        assert!(shown.iter().all(|part| drawn.contains(part)), "{drawn}");
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{drawn}");
    }

    #[test]
    fn bots_figures_without_measurements_are_zero_and_not_infinite() {
        let settings = BotsSettings::new(1);
        let report = BotsMeasured::default().report(&settings);
        let title = report.title.clone();
        assert_eq!(
            report,
            BotsReport {
                title,
                ..BotsReport::default()
            }
        );
    }
}
