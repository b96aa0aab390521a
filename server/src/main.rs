//! `throng-server`: reads the configuration, starts the server, waits for its end; `throng-server replay FILE`
//! runs a recording instead.
//!
//! Exit codes: 0 after a graceful stop, 1 when the server fails, 2 for a configuration that cannot work
//! (a bad value, a port in use, an unusable certificate), 130 when it is told twice to stop.

use std::io::{self, IsTerminal, Write};

use bevy_app::AppExit;
use throng_server::config::Config;
use throng_server::process::{Server, ServerError, log_to_stderr, replay_command, replay_file};

fn main() -> AppExit {
    if let Some(exit) = replay_command(replay_file) {
        return exit;
    }
    match run() {
        Ok(()) => AppExit::Success,
        Err(error) => error.report(),
    }
}

fn run() -> Result<(), ServerError> {
    let config = Config::from_process()?;
    log_to_stderr(&config.log)?;
    let server = Server::start(&config)?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Nobody may be reading, such as behind a pipe that was closed: the server runs all the same.
    let _ = write!(io::stdout().lock(), "{}", server.banner(&config, colour));
    server.stop_on_signal()?;
    server.run();
    Ok(())
}
