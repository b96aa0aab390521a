//! How a run is going, while it goes: a bar on a terminal, a line every few seconds elsewhere.
//!
//! Everything goes to standard error, so that standard output holds the report alone.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows one phase of a run after the other.
pub struct Progress {
    bar: Option<ProgressBar>,
    phase: &'static str,
    length: u64,
    last_line: Option<Duration>,
    complete: bool,
}

impl Progress {
    /// Shows `phase` from 0 to `length`.
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

    /// `done` of the length is done at `now` (since the start of the run); `note` says what else is of
    /// interest, such as how many failed.
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
