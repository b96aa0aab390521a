//! A program of bots from its flags to its exit code.

use std::io::{self, Write};
use std::path::Path;

use bevy_app::{App, AppExit, TerminalCtrlCHandlerPlugin};

use super::builder::Bots;
use super::flags::{BotsFlags, HELP};
use super::log;
use super::report::BotsReport;
use super::run::run;
use crate::table::stdout_is_colourful;

impl Bots {
    /// Runs the bots as a program's whole `main`: reads its flags, which are the `words` after the program's name, prints
    /// the table, and returns the exit code. `--help` lists the flags; what a flag does not set stays as it is. Ctrl-c
    /// ends the measurement early, with the table. If the program has no logger, warnings and errors are written to standard
    /// error, each text for the first bot that logs it.
    ///
    /// The exit code is 0; 1 if a bot was refused, a session ended or the server did not reply for 1.5 s, or a value could
    /// not be decoded; 2 for wrong flags; and 3 if no bot joined.
    pub fn main(mut self, words: impl IntoIterator<Item = String>) -> AppExit {
        let flags = match BotsFlags::read(words, &mut self.recipe.settings) {
            Ok(flags) => flags,
            Err(problem) => return fail(2, &problem),
        };
        if flags.wants_help {
            print(HELP);
            return AppExit::Success;
        }
        log::start();
        let mut ctrl_c = App::new();
        ctrl_c.add_plugins(TerminalCtrlCHandlerPlugin);
        let mut should_stop = || {
            ctrl_c.update();
            ctrl_c.should_exit().is_some()
        };
        let report = match run(self.recipe, &mut |stage| eprintln!("{stage}"), &mut should_stop) {
            Ok(report) => report,
            Err(error) => return fail(3, &error.to_string()),
        };
        print(&report.table(stdout_is_colourful()));
        if let Some(Err(error)) = flags.json.map(|file| write_json(&file, &report)) {
            return fail(1, &error.to_string());
        }
        match report.is_clean() {
            true => AppExit::Success,
            false => AppExit::from_code(1),
        }
    }
}

fn fail(code: u8, problem: &str) -> AppExit {
    eprintln!("error: {problem}");
    AppExit::from_code(code)
}

/// Writes to standard output. A reader that is gone needs no text.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn write_json(file: &Path, report: &BotsReport) -> io::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    let named = |error| io::Error::other(format!("cannot write {}: {error}", file.display()));
    std::fs::write(file, json).map_err(named)
}
