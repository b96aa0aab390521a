//! The swarm: thousands of real clients in one thread, to load a server and to check what it tells them.

pub mod arrivals;
pub mod conditions;
pub mod progress;
pub mod report;
pub mod table;

use serde::{Deserialize, Serialize};
use throng_server::observe::StatsReport;

/// The server's two readings at the ends of the measured window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    /// At its beginning.
    pub before: StatsReport,
    /// At its end.
    pub after: StatsReport,
}
