//! Skirmish without a window: a real client on a real server, flown by a script.
//!
//! Owns the script's language ([`Script`]), the run, and the [`Report`]. Uses the library as the game does: the same
//! connection, prediction and interpolation. Refuses to draw and to decide anything by itself.

mod report;
mod run;
mod script;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

pub use report::{Outcome, Report};
pub use run::run;
pub use script::{Command, Comparison, Figure, Script, ScriptError, Step};

/// What to fly, and where.
#[derive(Debug, Clone)]
pub struct HeadlessOptions {
    /// The server's HTTP address: `HOST:PORT` or a URL.
    pub server: String,
    /// The player's name.
    pub name: String,
    /// The script.
    pub script: PathBuf,
    /// Where to write the report as JSON; `-` is the standard output.
    pub json: Option<PathBuf>,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadlessError {
    /// The script cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The script is not one.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// There is no connection, and there will be none.
    #[error("{0}")]
    Disconnected(String),
    /// The report cannot be written.
    #[error("the report: {0}")]
    Report(io::Error),
}

impl HeadlessError {
    /// The program's exit code: 2 for what the user can mend in flags or script, 3 for what the network did.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. } | Self::Script(_) | Self::Report(_) => ExitCode::from(2),
            Self::Disconnected(_) => ExitCode::from(3),
        }
    }
}
