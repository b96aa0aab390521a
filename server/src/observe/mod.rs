//! The server's statistics: times, counters, CPU time and memory.
//!
//! The threads that do the work write all statistics without locks. The HTTP server reads them and serves them as
//! `GET /v1/stats`.

mod fan_out;
mod histogram;
mod process;
mod publish_times;
mod refused_versions;
mod stats;
mod status;

pub use self::histogram::{Histogram, HistogramSnapshot};
pub use process::ThreadCpu;
pub(crate) use refused_versions::RefusedVersions;
pub use stats::{ServerStats, StatsReport};
pub(crate) use stats::{SimulationReport, WorkerReport};
pub(crate) use status::{ServerStatus, StatusReceiver, StatusSender, advance_status, status_channel};
