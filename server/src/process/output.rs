//! What the process prints on standard output: its banner, the help, and the result of a replay.
//!
//! Guarantees that the banner never blocks the server, and that output which a command exists for ends the command
//! with an error if it cannot be written. A closed pipe is no error: its reader has seen enough.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use bevy_app::AppExit;

use super::line_writer::{LineWriter, unlocked};
use super::stderr_log::write_line;

/// Limit on the time for which the start of the server waits until its banner is written.
const BANNER_WAIT: Duration = Duration::from_millis(100);

/// Shows the banner. If standard output does not take it, the server runs all the same.
pub(super) fn show_banner(banner: &str) {
    // Without a thread there is no banner; the server has other threads to fail by.
    if let Ok(lines) = LineWriter::start("banner", unlocked(io::stdout())) {
        lines.push(banner.as_bytes());
        lines.flush(BANNER_WAIT);
    }
}

/// Writes the output of a command by `write`. Returns `done`, or an error if it cannot be written.
pub(super) fn print(done: AppExit, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> AppExit {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => done,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => done,
        Err(error) => {
            write_line(&format!("error: cannot write to standard output: {error}"));
            AppExit::error()
        }
    }
}
