//! The progress of a run: a bar on a terminal, or else a line every few seconds.
//!
//! All output goes to standard error, so that standard output holds only the report.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between lines if standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one phase of a run.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: &'static str,
    length: u64,
    last_line: Option<Duration>,
    complete: bool,
}

impl Progress {
    /// Starts a phase whose progress goes from 0 to `length`, in `unit`.
    #[must_use]
    pub fn start(phase: &'static str, length: u64, unit: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let template =
                format!("{{prefix:<10.bold}} {{bar:36.cyan/dim}} {{pos:>6}}/{{len}} {unit} {{msg:.dim}}");
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(length)
                .with_style(style.progress_chars("━╸─"))
                .with_prefix(phase)
        });
        Self {
            bar,
            phase,
            length,
            last_line: None,
            complete: false,
        }
    }

    /// Shows that `done` of the length is done at `now`, which is the time since the start of the run. `note` is shown
    /// beside it, such as the number of failures.
    pub fn show(&mut self, now: Duration, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(note.to_owned());
            return;
        }
        let due = self
            .last_line
            .is_none_or(|last| now.saturating_sub(last) >= LINE_EVERY);
        let completed = done >= self.length && !self.complete;
        if due || completed {
            self.last_line = Some(now);
            self.complete |= completed;
            // A closed standard error must not end the run.
            let _ = writeln!(io::stderr(), "{}: {done}/{} {note}", self.phase, self.length);
        }
    }

    /// Leaves the last state on the screen.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.abandon();
        }
    }
}
