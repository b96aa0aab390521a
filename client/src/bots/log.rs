//! The log of a program of bots that has no logger: warnings and errors on standard error.
//!
//! All bots have the same plugins and make the same mistakes, so each text is written for the first bot that logs it.
//! A program that wants more installs a logger of its own before its bots run.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Most different texts; later ones are not written.
const TEXTS_MAX: usize = 256;

/// Writes warnings and errors from now on, unless the program has a logger.
pub(super) fn start() {
    // An error means that there is a logger.
    let _ = tracing::subscriber::set_global_default(BotsLog::default());
}

/// A logger with the texts that it has written.
#[derive(Default)]
struct BotsLog {
    written: Mutex<BTreeSet<String>>,
}

/// The parts of an event.
#[derive(Default)]
struct BotsLogLine {
    text: String,
    fields: String,
}

impl BotsLog {
    /// Returns the line for an event, unless one with its text was written.
    fn line_of(&self, level: Level, line: BotsLogLine) -> Option<String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let BotsLogLine { text, fields } = line;
        let shown = format!("{level:>5} {text}{fields}\n");
        (written.len() < TEXTS_MAX && written.insert(text)).then_some(shown)
    }
}

impl Visit for BotsLogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl Subscriber for BotsLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = BotsLogLine::default();
        event.record(&mut line);
        if let Some(line) = self.line_of(*event.metadata().level(), line) {
            // A closed standard error cannot report its own failure.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_many_bots_is_written_for_the_first_and_the_number_of_texts_is_bounded() {
        let log = BotsLog::default();
        let write = |text: &str, bot: usize| {
            let (text, fields) = (text.to_owned(), format!(" bot={bot}"));
            log.line_of(Level::WARN, BotsLogLine { text, fields })
        };
        assert_eq!(write("mistake", 1).as_deref(), Some(" WARN mistake bot=1\n"));
        assert_eq!(write("mistake", 2), None);
        assert!(write("another", 2).is_some());
        let texts = (0..1_000).filter(|n| write(&n.to_string(), 1).is_some());
        assert_eq!(texts.count(), TEXTS_MAX - 2);
    }
}
