//! A game's whole `main`: configured as `throng-server` is, logged, served until it is told to stop.

use std::io::{self, IsTerminal};

use bevy_app::{AppExit, Plugins};
use tracing_subscriber::EnvFilter;

use super::{Server, ServerError, replay_command, replay_game};
use crate::config::Config;

/// Serves a game of your own until ctrl-c or SIGTERM, with the flags, environment variables and files of
/// `throng-server` but for those of its scenes. With `replay FILE` it replays a recording of the game instead.
///
/// What goes wrong is said in a line on standard error. The exit code is 0, 1 when the server fails, 2 for a
/// configuration that cannot work. For `--help`, and for flags that it does not know, it prints what there is and
/// ends the process. [`Server::start_with`] is for programs that do more than this.
///
/// ```no_run
/// use bevy_app::{App, AppExit};
/// use throng_server::process::serve;
///
/// fn game(app: &mut App) {
///     // components, systems
/// }
///
/// fn main() -> AppExit {
///     serve(game)
/// }
/// ```
pub fn serve<M: 'static>(game: impl Plugins<M> + Clone + Send + 'static) -> AppExit {
    let replayed = replay_command(|file| replay_game(file, game.clone()));
    replayed.unwrap_or_else(|| match serve_as_configured(game) {
        Ok(()) => AppExit::Success,
        Err(error) => error.report(),
    })
}

fn serve_as_configured<M: 'static>(
    game: impl Plugins<M> + Clone + Send + 'static,
) -> Result<(), ServerError> {
    let config = Config::of_game_from_process()?;
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
