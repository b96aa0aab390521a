//! The report of a headless run.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use bevy_ecs::prelude::*;
use serde::Serialize;
use throng_client::predict::PredictionErrors;
use throng_client::stats::NetStats;
use throng_client::world::ClientClock;

/// The outcome of a script that ran to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScriptOutcome {
    pub(crate) report: FlightReport,
}

impl ScriptOutcome {
    /// Returns 0 when every expectation was met, 1 otherwise.
    #[must_use]
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.report.unmet.is_empty()))
    }
}

/// Measurements of a run. Times count from the start; network statistics cover the last twelve seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct FlightReport {
    pub(crate) server: String,
    pub(crate) server_version: String,
    /// Time until the server issued a session, in milliseconds.
    pub(crate) joined_ms: Option<f32>,
    /// Time until the pilot had a ship, in milliseconds.
    pub(crate) flying_ms: Option<f32>,
    /// Duration of the whole run, in seconds.
    pub(crate) seconds: f32,
    /// Number of times that the connection was lost, or that the server did not reply.
    pub(crate) losses: u32,
    /// Mean and greatest round trip, in milliseconds.
    pub(crate) ping_ms: (f32, f32),
    /// Snapshot packets lost, in percent.
    pub(crate) loss_percent: f32,
    /// Mean deviation of the arrival times of snapshots, in milliseconds.
    pub(crate) jitter_ms: f32,
    /// Mean and greatest interpolation delay, in milliseconds.
    pub(crate) interpolation_delay_ms: (f32, f32),
    /// Number of states of the own ship that were compared with their predictions, and how many of them
    /// differed.
    pub(crate) predictions: (u64, u64),
    /// Distance of the own ship from its prediction, in units: median, 99th percentile and greatest of the last
    /// 1,024.
    pub(crate) prediction_error: (f32, f32, f32),
    /// Mean and greatest number of entities in view.
    pub(crate) entities: (f32, f32),
    /// Bytes received and sent per second.
    pub(crate) bytes_s: (f32, f32),
    /// Chat messages and the server's notices to the pilot, as players read them: the newest 100 lines.
    pub(crate) chat: Vec<String>,
    /// Number of expectations that were met.
    pub(crate) met: u32,
    /// Expectations that were not met, as `FILE:LINE: expected ...`, with the actual value.
    pub(crate) unmet: Vec<String>,
}

impl FlightReport {
    /// Copies the statistics from the world.
    pub(super) fn measure(&mut self, world: &World) {
        let stats = world.resource::<NetStats>();
        let both = |series: &throng_client::stats::Series| (series.mean(), series.max());
        self.seconds = world.resource::<ClientClock>().now().as_secs_f32();
        self.ping_ms = both(&stats.ping_ms);
        self.loss_percent = stats.loss.mean() * 100.0;
        self.jitter_ms = stats.jitter_ms.mean();
        self.interpolation_delay_ms = both(&stats.interpolation_delay_ms);
        self.entities = both(&stats.entities);
        self.bytes_s = (stats.bytes_in_s.mean(), stats.bytes_out_s.mean());
        let errors = world.resource::<PredictionErrors>();
        self.predictions = (errors.compared(), errors.corrected());
        let quantile = |rank| errors.quantile(rank).unwrap_or_default();
        self.prediction_error = (quantile(0.5), quantile(0.99), quantile(1.0));
    }
}

/// Converts a duration to milliseconds.
pub(super) fn ms(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}

impl fmt::Display for FlightReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = |time: Option<f32>| time.map_or_else(|| "never".to_owned(), |ms| format!("{ms:.0} ms"));
        let Self {
            server,
            server_version,
            seconds,
            ..
        } = self;
        writeln!(f, "{server}, version {server_version}, {seconds:.1} s")?;
        let (joined, flying) = (since(self.joined_ms), since(self.flying_ms));
        writeln!(f, "joined after          {joined}")?;
        writeln!(f, "flying after          {flying}")?;
        writeln!(f, "connection lost       {} times", self.losses)?;
        let (mean, max) = self.ping_ms;
        writeln!(f, "ping                  {mean:.1} ms, at most {max:.1}")?;
        writeln!(
            f,
            "loss, jitter          {:.1} %, {:.1} ms",
            self.loss_percent, self.jitter_ms
        )?;
        let (mean, max) = self.interpolation_delay_ms;
        writeln!(f, "interpolation delay   {mean:.0} ms, at most {max:.0}")?;
        let (compared, corrected) = self.predictions;
        writeln!(
            f,
            "predictions           {compared} compared, {corrected} corrected"
        )?;
        let (p50, p99, max) = self.prediction_error;
        writeln!(
            f,
            "prediction error      p50 {p50:.3}, p99 {p99:.3}, at most {max:.3} units"
        )?;
        let (mean, max) = self.entities;
        writeln!(f, "entities in view      {mean:.0}, at most {max:.0}")?;
        let (into, out) = self.bytes_s;
        writeln!(f, "bytes a second        {into:.0} in, {out:.0} out")?;
        for line in &self.chat {
            writeln!(f, "chat                  {line}")?;
        }
        writeln!(
            f,
            "expectations          {} met, {} not",
            self.met,
            self.unmet.len()
        )?;
        for unmet in &self.unmet {
            writeln!(f, "  {unmet}")?;
        }
        Ok(())
    }
}
