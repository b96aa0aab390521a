//! One line about the last seconds, for the log of a server that people watch.

use std::fmt::{self, Display};
use std::time::Duration;

use super::banner::Thousands;
use crate::observe::StatsReport;

/// What happened between two reports.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) earlier: &'a StatsReport,
    pub(super) later: &'a StatsReport,
}

impl Display for Summary<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { earlier, later } = self;
        let seconds = Duration::from_micros(later.uptime_us - earlier.uptime_us)
            .as_secs_f64()
            .max(1e-3);
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let tick = later.tick_time.since(&earlier.tick_time);
        let fan_out = later.fan_out.since(&earlier.fan_out);
        write!(
            out,
            "{} clients, {:.1} Hz, tick p99 {:.2} ms, fan-out p99 {:.2} ms, CPU {:.0} %, {} MiB",
            Thousands(later.clients),
            (later.ticks - earlier.ticks) as f64 / seconds,
            ms(tick.quantile(0.99)),
            ms(fan_out.quantile(0.99)),
            (later.cpu_us - earlier.cpu_us) as f64 / seconds / 1e4,
            later.resident_bytes >> 20,
        )?;
        match later.overruns - earlier.overruns {
            0 => Ok(()),
            1 => out.write_str(", 1 tick late"),
            late => write!(out, ", {} ticks late", Thousands(late)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::ServerStats;

    #[test]
    fn it_is_about_the_window() {
        let stats = ServerStats::new(1, 20);
        stats.tick_ended(1, Duration::from_secs(1));
        let earlier = StatsReport {
            cpu_us: 0,
            ..stats.report(Duration::from_secs(10))
        };
        for tick in 2..202 {
            stats.tick_ended(tick, Duration::from_millis(2));
            stats.fanned_out(tick, Duration::from_millis(5));
        }
        stats.set_overruns(2, 2);
        let later = stats.report(Duration::from_secs(20));
        let later = StatsReport {
            cpu_us: 5_000_000,
            clients: 1_234,
            resident_bytes: 100 << 20,
            ..later
        };
        let line = Summary {
            earlier: &earlier,
            later: &later,
        }
        .to_string();
        let expected =
            "1,234 clients, 20.0 Hz, tick p99 2.00 ms, fan-out p99 5.00 ms, CPU 50 %, 100 MiB, 2 ticks late";
        assert_eq!(line, expected);
    }
}
