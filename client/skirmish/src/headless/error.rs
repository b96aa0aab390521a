//! Errors that end a headless run early.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::script::ScriptError;

/// The reason why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadlessError {
    /// The script cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// The script has an invalid line.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The connection failed, and no further attempt will be made.
    #[error("{0}")]
    Disconnected(String),
    /// The report cannot be written.
    #[error("the report: {0}")]
    Report(io::Error),
}

impl HeadlessError {
    /// Returns the program's exit code: 2 for errors in flags or script, which the user can fix, 3 for network
    /// failures.
    #[must_use]
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. } | Self::Script(_) | Self::Report(_) => ExitCode::from(2),
            Self::Disconnected(_) => ExitCode::from(3),
        }
    }
}
