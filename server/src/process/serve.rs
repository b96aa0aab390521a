//! A game's whole `main`: configured as `throng-server` is, logged, served until it is told to stop.

use std::io::{self, IsTerminal};

use bevy_app::Plugins;
use tracing_subscriber::EnvFilter;

use super::{Server, ServerError};
use crate::config::{Config, ConfigError};

/// Serves a game of your own, with the flags, environment variables and files of `throng-server`, until ctrl-c or
/// SIGTERM. For `--help`, and for flags that it does not know, it prints what there is and ends the process.
///
/// ```no_run
/// use bevy_app::App;
/// use throng_server::process::{ServerError, serve};
///
/// fn game(app: &mut App) {
///     // components, systems
/// }
///
/// fn main() -> Result<(), ServerError> {
///     serve(game)
/// }
/// ```
///
/// # Errors
/// See [`ServerError`]. [`Server::start_with`] is for programs that do more than this.
pub fn serve<M: 'static>(game: impl Plugins<M> + Clone + Send + 'static) -> Result<(), ServerError> {
    let config = match Config::from_process() {
        Err(ConfigError::Usage(usage)) => usage.exit(),
        config => config?,
    };
    log_to_stderr(&config.log)?;
    let server = Server::start_with(&config, game)?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    tracing::info!("players join at {scheme}://{}; ctrl-c stops", server.http());
    server.stop_on_signal()?;
    server.run();
    Ok(())
}

/// Logs to standard error what `filter` lets pass. A program that logs already goes on as it does.
///
/// # Errors
/// [`ServerError::Log`].
pub fn log_to_stderr(filter: &str) -> Result<(), ServerError> {
    let terminal = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Fails where there is a logger already.
    let _ = tracing_subscriber::fmt()
        .compact()
        .with_writer(io::stderr)
        .with_ansi(terminal)
        .with_target(false)
        .with_env_filter(EnvFilter::try_new(filter).map_err(ServerError::Log)?)
        .try_init();
    Ok(())
}
