//! `throng-server`: reads the configuration, starts the server, waits for its end; `throng-server replay FILE`
//! runs a recording instead.
//!
//! Exit codes: 0 after a graceful stop, 1 when the server fails, 2 for a configuration that cannot work
//! (a bad value, a port in use, an unusable certificate), 130 when it is told twice to stop.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use throng_server::config::{Config, ConfigError};
use throng_server::process::{Server, ServerError, log_to_stderr, replay_file};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "replay") {
        return replay(&arguments.collect::<Vec<_>>());
    }
    let config = match Config::from_process() {
        Ok(config) => config,
        // Clap prints --help and its own refusals, with its exit codes 0 and 2.
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => return refuse(&error.into()),
    };
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

fn run(config: &Config) -> anyhow::Result<()> {
    log_to_stderr(&config.log)?;
    let server = Server::start(config)?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Nobody may be reading, such as behind a pipe that was closed: the server runs all the same.
    let _ = write!(io::stdout().lock(), "{}", server.banner(config, colour));
    server.stop_on_signal().context("cannot watch for ctrl-c")?;
    server.run();
    Ok(())
}

/// `throng-server replay FILE`: 0 when everything came out as recorded, 1 when not, 2 without a file.
fn replay(files: &[OsString]) -> ExitCode {
    let [file] = files else {
        let _ = writeln!(io::stderr().lock(), "usage: throng-server replay FILE");
        return ExitCode::from(2);
    };
    match replay_file(Path::new(file)) {
        Ok(summary) => {
            let _ = writeln!(io::stdout().lock(), "{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {}: {error:#}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// One line on standard error, and the exit code for it.
fn refuse(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
    let refused =
        error.is::<ConfigError>() || error.downcast_ref().is_some_and(ServerError::is_configuration);
    ExitCode::from(if refused { 2 } else { 1 })
}
