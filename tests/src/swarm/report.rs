//! The figures of one swarm run: the JSON that other programs read, and the computation of every field.
//!
//! Bot figures are counted at the bots' sockets and mirrors. Server figures are differences of two readings of
//! `GET /v1/stats` at the ends of the measured window.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng_server::observe::{HistogramSnapshot, StatsReport};

/// The figures of one run. The names are a contract; see `docs/benchmarks.md` for how each is measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SwarmReport {
    /// Bots that were connected when the measured window began.
    pub clients_connected: u64,
    /// Bots that never connected, or whose connection ended before the swarm ended it.
    pub clients_lost: u64,
    /// Length of the measured window in seconds.
    pub seconds: f64,
    /// Server ticks per second of the window.
    pub tick_hz: f64,
    /// Median duration of a tick, from Receive to Publish.
    pub tick_ms_p50: f64,
    /// 99th percentile of the tick's duration.
    pub tick_ms_p99: f64,
    /// 99.9th percentile of the tick's duration.
    pub tick_ms_p999: f64,
    /// Duration of the longest tick.
    pub tick_ms_max: f64,
    /// Median time from Publish to the last datagram of that tick.
    pub fanout_ms_p50: f64,
    /// 99th percentile of the fan-out.
    pub fanout_ms_p99: f64,
    /// 99th percentile of an input's time from the socket to the simulation's queue, without the wait for the tick.
    pub input_queue_us_p99: f64,
    /// CPU time of all the server's threads, divided by ticks and clients.
    pub server_cpu_us_per_client_tick: f64,
    /// Resident memory of the server at the end of the window.
    pub server_rss_mib: f64,
    /// UDP payload received by the bots.
    pub down_bytes_per_client_s: f64,
    /// UDP payload sent by the bots.
    pub up_bytes_per_client_s: f64,
    /// Datagrams received by the bots.
    pub down_datagrams_per_client_s: f64,
    /// Datagrams sent by the bots.
    pub up_datagrams_per_client_s: f64,
    /// Mean number of entities in a mirror.
    pub visible_mean: f64,
    /// Decoded updates: entities whose values changed.
    pub updates_per_client_s: f64,
    /// All received bytes, divided by the updates.
    pub bytes_per_update: f64,
    /// Median time from the publishing of a tick until a bot has received its snapshot.
    pub snapshot_age_ms_p50: f64,
    /// 99th percentile of the snapshot age.
    pub snapshot_age_ms_p99: f64,
    /// 99th percentile, over bots and time, of the age of the oldest value among the visible entities.
    pub oldest_visible_ms_p99: f64,
    /// Snapshots that could not be decoded.
    pub decode_errors: u64,
    /// Fields of audited mirrors that differ from the server's log of the same tick.
    pub value_errors: u64,
}

/// Counters of all bots since the start. [`since`](Self::since) gives the counts of a window from the counters at its
/// two ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BotTotals {
    /// UDP payload received.
    pub down_bytes: u64,
    /// Datagrams received.
    pub down_datagrams: u64,
    /// UDP payload sent.
    pub up_bytes: u64,
    /// Datagrams sent.
    pub up_datagrams: u64,
    /// Snapshot packets decoded.
    pub snapshots: u64,
    /// Entities in the mirror, summed over decoded snapshots.
    pub visible: u64,
    /// Entities whose values changed.
    pub updates: u64,
    /// Snapshots that could not be decoded.
    pub decode_errors: u64,
}

impl BotTotals {
    /// Returns the counts since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            down_bytes: self.down_bytes - earlier.down_bytes,
            down_datagrams: self.down_datagrams - earlier.down_datagrams,
            up_bytes: self.up_bytes - earlier.up_bytes,
            up_datagrams: self.up_datagrams - earlier.up_datagrams,
            snapshots: self.snapshots - earlier.snapshots,
            visible: self.visible - earlier.visible,
            updates: self.updates - earlier.updates,
            decode_errors: self.decode_errors - earlier.decode_errors,
        }
    }
}

/// The values from which a report is computed.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Length of the bots' window.
    pub window: Duration,
    /// Bots that were connected when the window began.
    pub clients_connected: u64,
    /// Bots that never connected or were lost.
    pub clients_lost: u64,
    /// Sum of the bots' connected time in seconds: the divisor of all figures per client.
    pub client_seconds: f64,
    /// Counters of the bots in the window.
    pub bots: BotTotals,
    /// Snapshots since the first connection that could not be decoded. Errors outside the window count, too.
    pub decode_errors: u64,
    /// Wrong fields of audits since the first connection.
    pub value_errors: u64,
    /// Ages of the window's snapshots.
    pub snapshot_age: HistogramSnapshot,
    /// Ages of the oldest visible values.
    pub oldest_visible: HistogramSnapshot,
    /// The server's figures at the window's beginning.
    pub server_before: StatsReport,
    /// The server's figures at its end.
    pub server_after: StatsReport,
}

impl Measured {
    /// Computes the report of this run.
    #[must_use]
    pub fn report(&self) -> SwarmReport {
        let (before, after) = (&self.server_before, &self.server_after);
        let server_seconds = after.uptime_us.saturating_sub(before.uptime_us) as f64 / 1e6;
        let ticks = after.ticks.saturating_sub(before.ticks) as f64;
        let tick = after.tick_time.since(&before.tick_time);
        let fan_out = after.fan_out.since(&before.fan_out);
        let input_queue = after.input_queue.since(&before.input_queue);
        let clients_mean = over(self.client_seconds, self.window.as_secs_f64());
        let cpu_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
        let per_client_s = |count: u64| over(count as f64, self.client_seconds);
        let report = SwarmReport {
            clients_connected: self.clients_connected,
            clients_lost: self.clients_lost,
            seconds: self.window.as_secs_f64(),
            tick_hz: over(ticks, server_seconds),
            tick_ms_p50: milliseconds(tick.quantile(0.5)),
            tick_ms_p99: milliseconds(tick.quantile(0.99)),
            tick_ms_p999: milliseconds(tick.quantile(0.999)),
            tick_ms_max: milliseconds(tick.max()),
            fanout_ms_p50: milliseconds(fan_out.quantile(0.5)),
            fanout_ms_p99: milliseconds(fan_out.quantile(0.99)),
            input_queue_us_p99: milliseconds(input_queue.quantile(0.99)) * 1e3,
            server_cpu_us_per_client_tick: over(cpu_us, ticks * clients_mean),
            server_rss_mib: after.resident_bytes as f64 / f64::from(1 << 20),
            down_bytes_per_client_s: per_client_s(self.bots.down_bytes),
            up_bytes_per_client_s: per_client_s(self.bots.up_bytes),
            down_datagrams_per_client_s: per_client_s(self.bots.down_datagrams),
            up_datagrams_per_client_s: per_client_s(self.bots.up_datagrams),
            visible_mean: over(self.bots.visible as f64, self.bots.snapshots as f64),
            updates_per_client_s: per_client_s(self.bots.updates),
            bytes_per_update: over(self.bots.down_bytes as f64, self.bots.updates as f64),
            snapshot_age_ms_p50: milliseconds(self.snapshot_age.quantile(0.5)),
            snapshot_age_ms_p99: milliseconds(self.snapshot_age.quantile(0.99)),
            oldest_visible_ms_p99: milliseconds(self.oldest_visible.quantile(0.99)),
            decode_errors: self.decode_errors,
            value_errors: self.value_errors,
        };
        report.rounded()
    }
}

impl SwarmReport {
    /// Rounds the figures to a ten-thousandth: further digits are rounding errors of the computation.
    fn rounded(mut self) -> Self {
        for figure in [
            &mut self.seconds,
            &mut self.tick_hz,
            &mut self.tick_ms_p50,
            &mut self.tick_ms_p99,
            &mut self.tick_ms_p999,
            &mut self.tick_ms_max,
            &mut self.fanout_ms_p50,
            &mut self.fanout_ms_p99,
            &mut self.input_queue_us_p99,
            &mut self.server_cpu_us_per_client_tick,
            &mut self.server_rss_mib,
            &mut self.down_bytes_per_client_s,
            &mut self.up_bytes_per_client_s,
            &mut self.down_datagrams_per_client_s,
            &mut self.up_datagrams_per_client_s,
            &mut self.visible_mean,
            &mut self.updates_per_client_s,
            &mut self.bytes_per_update,
            &mut self.snapshot_age_ms_p50,
            &mut self.snapshot_age_ms_p99,
            &mut self.oldest_visible_ms_p99,
        ] {
            *figure = (*figure * 1e4).round() / 1e4;
        }
        self
    }

    /// Returns whether no bot was lost and no value was wrong. The swarm's exit code follows from it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clients_lost == 0 && self.decode_errors == 0 && self.value_errors == 0
    }
}

/// Returns a ratio, or 0 if the denominator is 0, as JSON has no infinity.
fn over(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 {
        numerator / denominator
    } else {
        0.0
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_server::observe::Histogram;

    /// Returns two readings, 10 s and 200 ticks apart, with other figures before the window.
    fn readings() -> (StatsReport, StatsReport) {
        let ticks = Histogram::new();
        ticks.record(Duration::from_secs(5));
        let before = StatsReport {
            uptime_us: 3_000_000,
            ticks: 60,
            cpu_us: 500_000,
            tick_time: ticks.snapshot(),
            ..StatsReport::default()
        };
        for _ in 0..198 {
            ticks.record(Duration::from_millis(2));
        }
        ticks.record(Duration::from_millis(30));
        ticks.record(Duration::from_millis(40));
        let after = StatsReport {
            uptime_us: 13_000_000,
            ticks: 260,
            cpu_us: 1_500_000,
            resident_bytes: 64 << 20,
            tick_time: ticks.snapshot(),
            ..StatsReport::default()
        };
        (before, after)
    }

    #[test]
    fn figures_cover_the_measured_window_only() {
        let (server_before, server_after) = readings();
        let measured = Measured {
            window: Duration::from_secs(10),
            clients_connected: 100,
            client_seconds: 1_000.0,
            bots: BotTotals {
                down_bytes: 5_000_000,
                down_datagrams: 20_000,
                up_bytes: 600_000,
                up_datagrams: 20_000,
                snapshots: 20_000,
                visible: 1_200_000,
                updates: 1_000_000,
                decode_errors: 0,
            },
            server_before,
            server_after,
            ..Measured::default()
        };
        let report = measured.report();
        assert_eq!(report.tick_hz, 20.0);
        assert_eq!(
            report.server_cpu_us_per_client_tick, 50.0,
            "1 s over 200 ticks and 100 clients"
        );
        assert_eq!(report.server_rss_mib, 64.0);
        assert_eq!(report.down_bytes_per_client_s, 5_000.0);
        assert_eq!(report.up_datagrams_per_client_s, 20.0);
        assert_eq!(report.visible_mean, 60.0);
        assert_eq!(report.updates_per_client_s, 1_000.0);
        assert_eq!(report.bytes_per_update, 5.0);
        assert!((report.tick_ms_p50 - 2.0).abs() < 0.05, "{}", report.tick_ms_p50);
        assert!(
            (report.tick_ms_p99 - 2.0).abs() < 0.05,
            "198 of 200: {}",
            report.tick_ms_p99
        );
        assert!(
            (report.tick_ms_max - 40.0).abs() < 1.0,
            "not the 5 s before: {}",
            report.tick_ms_max
        );
        assert!(report.is_clean());
    }

    #[test]
    fn a_client_that_left_halfway_counts_half() {
        let (server_before, server_after) = readings();
        let measured = Measured {
            window: Duration::from_secs(10),
            clients_connected: 2,
            clients_lost: 1,
            client_seconds: 15.0,
            bots: BotTotals {
                down_bytes: 1_500,
                ..BotTotals::default()
            },
            server_before,
            server_after,
            ..Measured::default()
        };
        let report = measured.report();
        assert_eq!(report.down_bytes_per_client_s, 100.0);
        assert_eq!(
            report.server_cpu_us_per_client_tick, 3_333.333_3,
            "1 s over 200 ticks and 1.5 clients"
        );
        assert!(!report.is_clean());
    }

    #[test]
    fn figures_without_measurements_are_zero_and_not_infinite() {
        let report = Measured::default().report();
        assert_eq!(report, SwarmReport::default());
    }

    #[test]
    fn the_json_has_exactly_the_promised_fields() {
        let promised = "clients_connected clients_lost seconds tick_hz tick_ms_p50 tick_ms_p99 tick_ms_p999 \
            tick_ms_max fanout_ms_p50 fanout_ms_p99 input_queue_us_p99 server_cpu_us_per_client_tick \
            server_rss_mib down_bytes_per_client_s up_bytes_per_client_s down_datagrams_per_client_s \
            up_datagrams_per_client_s visible_mean updates_per_client_s bytes_per_update \
            snapshot_age_ms_p50 snapshot_age_ms_p99 oldest_visible_ms_p99 decode_errors value_errors";
        let json = serde_json::to_value(SwarmReport::default()).unwrap();
        let mut fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected: Vec<&str> = promised.split_whitespace().collect();
        fields.sort_unstable();
        expected.sort_unstable();
        assert_eq!(fields, expected);
    }
}
