//! The driver's requests to the server while the bots play: its figures, and audits.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throng_server::observe::StatsReport;
use throng_shared::tick::Tick;

use super::{Bot, Driver};
use crate::swarm::requests::{RequestOutcome, ServerRequest};

/// Number of entities up to which the server encodes an audit log at no noticeable cost. The more entities above this
/// number, the less often the swarm requests a log, so that audits do not disturb the measurement.
const AUDIT_ENTITIES: u64 = 10_000;
/// Audited mirrors are this many ticks older than the newest one: by then every part has arrived.
const AUDIT_BEHIND: u32 = 2;

impl Driver {
    /// Requests the server's current figures and returns them. The bots continue meanwhile.
    ///
    /// # Errors
    /// If the server does not respond, or a turn fails.
    pub fn read_stats(&mut self) -> io::Result<Box<StatsReport>> {
        while self.requests.waiting() > 0 {
            self.turn()?;
        }
        (self.stats, self.problem) = (None, None);
        self.requests.send(ServerRequest::Stats);
        loop {
            self.turn()?;
            if let Some(stats) = self.stats.take() {
                return Ok(stats);
            }
            if let Some(problem) = self.problem.take() {
                return Err(io::Error::other(problem));
            }
        }
    }

    /// Requests the server's figures in intervals, and an audit of one tick after each response.
    pub(super) fn poll_requests(&mut self) {
        while let Some(outcome) = self.requests.next_outcome() {
            match outcome {
                RequestOutcome::Stats(stats) => {
                    self.fold_publish_times(&stats);
                    self.request_audit();
                    self.stats = Some(stats);
                }
                RequestOutcome::Audited(findings) => self.findings.add(findings.unwrap_or_default()),
                RequestOutcome::Failed(problem) => self.problem = Some(problem),
            }
        }
        let now = self.now();
        if self.requests.waiting() == 0 && now >= self.requested_at + self.request_every {
            self.requested_at = now;
            self.requests.send(ServerRequest::Stats);
        }
    }

    /// Records publish times, which the server measures since 1970. Both clocks are read again each time, as the
    /// system adjusts one of them.
    fn fold_publish_times(&mut self, stats: &StatsReport) {
        let since_1970 = since_1970();
        let origin_ns = (since_1970.as_nanos() as u64).wrapping_sub(self.now().as_nanos() as u64);
        for &(tick, at_us) in &stats.published {
            self.shared
                .arrivals
                .published(tick, (at_us * 1_000).wrapping_sub(origin_ns));
        }
    }

    /// Requests an audit of a tick that several bots have recorded, unless the last one is too recent.
    fn request_audit(&mut self) {
        let pause =
            self.request_every * self.findings.logged.div_ceil(AUDIT_ENTITIES).saturating_sub(1) as u32;
        if self.now() < self.audited_at + pause {
            return;
        }
        self.audited_at = self.now();
        let auditors = || self.bots.iter().flatten().filter_map(Bot::audit);
        let Some(newest) = auditors().filter_map(|log| log.newest()).max() else {
            return;
        };
        let tick: Tick = newest - AUDIT_BEHIND;
        let mirrors: Vec<_> = auditors()
            .map(|log| log.at(tick).to_vec())
            .filter(|mirror| !mirror.is_empty())
            .collect();
        if !mirrors.is_empty() {
            self.requests.send(ServerRequest::Audit { tick, mirrors });
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "publish times use this clock, which all processes of a machine share"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
