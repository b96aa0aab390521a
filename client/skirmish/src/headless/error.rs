//! Why a run did not come to its end.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::script::ScriptError;

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadlessError {
    /// The script cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
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
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreadable { .. } | Self::Script(_) | Self::Report(_) => ExitCode::from(2),
            Self::Disconnected(_) => ExitCode::from(3),
        }
    }
}
