//! A line in the log about the last seconds, for the operators of a server.

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Thousands;
use crate::observe::{ServerStats, StatsReport};

/// Time between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(10);

/// Logs summaries on a thread until it is ended.
pub(super) struct SummaryLog {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl SummaryLog {
    /// Starts logging at level info while there are clients. `origin` is the origin of all times in the process.
    ///
    /// # Errors
    /// Returns the system's error if it provides no thread.
    pub(super) fn start(stats: Arc<ServerStats>, origin: Instant) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let log = move || {
            let mut earlier = stats.report(origin.elapsed());
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let later = stats.report(origin.elapsed());
                // An empty server logs nothing, except once after the last client has left.
                if earlier.clients > 0 || later.clients > 0 {
                    tracing::info!(
                        "{}",
                        Summary {
                            earlier: &earlier,
                            later: &later
                        }
                    );
                }
                earlier = later;
            }
        };
        let thread = thread::Builder::new().name("summary".to_owned()).spawn(log)?;
        Ok(Self { end, thread })
    }

    /// Ends the thread and waits for it.
    pub(super) fn end(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the summary thread panicked");
        }
    }
}

/// The difference between two reports.
#[derive(Debug)]
struct Summary<'a> {
    earlier: &'a StatsReport,
    later: &'a StatsReport,
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
            "{} client{}, {:.1} Hz, tick p99 {:.1} ms, fan-out p99 {:.1} ms, CPU {:.0} %, {} MiB",
            Thousands(later.clients),
            if later.clients == 1 { "" } else { "s" },
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
    fn summary_covers_only_the_time_between_two_reports() {
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
            "1,234 clients, 20.0 Hz, tick p99 2.0 ms, fan-out p99 5.0 ms, CPU 50 %, 100 MiB, 2 ticks late";
        assert_eq!(line, expected);
    }
}
