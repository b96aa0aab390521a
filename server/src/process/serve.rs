//! A program's whole `main`: reads the settings, logs, and serves until it is stopped, or replays a recording.

use std::any::type_name;
use std::io::{self, IsTerminal};

use bevy_app::{AppExit, Plugins};
use tracing_subscriber::filter::Targets;

use super::error::ServerError;
use super::game::{Game, NoSettings};
use super::output::show_banner;
use super::replay::{replay_command, replay_with};
use super::server::Server;
use super::stderr_log;

/// Serves a game without settings of its own until ctrl-c, SIGTERM or SIGHUP, with the server's flags, environment
/// variables and file. With `replay FILE` it replays a recording of the game instead. For a game with settings use
/// [`serve_game`].
///
/// Errors are printed as a line on standard error. The exit code is 0 after a graceful stop, 1 when the server fails or
/// has not stopped ten seconds after the signal, 2 for a configuration that cannot work (a bad value, a port in use, an
/// unusable certificate), and 130 after a second signal to stop. For `--help` and unknown flags it prints the usage.
/// Programs that need more control use [`Server::start`].
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
    run(|_: &NoSettings| game.clone())
}

/// Serves a game with settings of its own, or replays a recording of it, like [`serve`].
pub fn serve_game<G: Game>() -> AppExit {
    run(G::clone)
}

fn run<G: Game, M: 'static, P>(plugins: impl Fn(&G) -> P) -> AppExit
where
    P: Plugins<M> + Clone + Send + 'static,
{
    let replayed = replay_command(|file| replay_with(file, &plugins));
    replayed.unwrap_or_else(|| match serve_as_configured(plugins) {
        Ok(()) => AppExit::Success,
        Err(error) => error.report(),
    })
}

fn serve_as_configured<G: Game, M: 'static, P>(plugins: impl Fn(&G) -> P) -> Result<(), ServerError>
where
    P: Plugins<M> + Clone + Send + 'static,
{
    let mut settings = G::settings_from(std::env::args_os(), std::env::vars_os())?;
    settings.server.audit |= settings.game.opens_audit();
    log_to_stderr(&settings.server.log)?;
    let server = Server::start(&settings, plugins(&settings.game))?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let game = [type_name::<G>(), type_name::<P>()];
    // Said whatever the filter allows.
    for sentence in server.unmatched_log_targets(&settings.server.log, &game) {
        stderr_log::write_line(&format!("warning: {sentence}"));
    }
    server.stop_on_signal()?;
    show_banner(&server.banner(&settings, colour).to_string());
    server.run();
    Ok(())
}

/// Logs to standard error what `filter` allows, on a thread of its own: no other thread waits for standard error, and
/// lines that it does not take are dropped and counted. The messages of panics go the same way, by a panic hook. If the
/// program already has a logger, that one and its panic hook stay.
///
/// # Errors
/// Returns [`ServerError::Log`] for an invalid filter, and [`ServerError::Thread`] if the system provides no thread.
pub fn log_to_stderr(filter: &str) -> Result<(), ServerError> {
    let filter: Targets = filter.parse().map_err(ServerError::Log)?;
    Ok(stderr_log::start(filter)?)
}
