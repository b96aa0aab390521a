//! How a program describes its game.

use std::ffi::OsString;
use std::net::SocketAddr;

use bevy_app::{App, Plugin};
use clap::Args;

use crate::config::{ConfigError, ServerSettings, Settings};

/// A game with settings of its own: the plugin of its server, with the settings as fields.
/// [`serve_game`](super::serve_game) is its whole `main`.
///
/// Each field is a flag, an environment variable and a key of the file, like the server's own settings. A recording
/// contains the values, except paths, and `replay FILE` builds the game from them: a path is an `Option` or has a
/// default.
///
/// ```no_run
/// use bevy_app::{App, AppExit, Plugin};
/// use throng_server::config::number;
/// use throng_server::process::{Game, serve_game};
///
/// #[derive(clap::Args, Clone)]
/// struct Dungeon {
///     /// Monsters at the start
///     #[arg(long, value_name = "N", default_value = "100", value_parser = number::<u32>(0..=5_000))]
///     monsters: u32,
///     /// Whether players can hurt each other
///     #[arg(long)]
///     duels: bool,
/// }
///
/// impl Plugin for Dungeon {
///     fn build(&self, app: &mut App) {
///         // components, systems
///     }
/// }
///
/// impl Game for Dungeon {
///     const NAME: &'static str = "dungeon";
///     const ABOUT: &'static str = "A dungeon for thousands of players.";
///
///     fn describe(&self) -> String {
///         format!("dungeon: {} monsters", self.monsters)
///     }
/// }
///
/// fn main() -> AppExit {
///     serve_game::<Dungeon>()
/// }
/// ```
pub trait Game: Args + Plugin + Clone {
    /// Name of the program, used in `--help` and recordings.
    const NAME: &'static str;
    /// What the game is, as the first line of `--help`.
    const ABOUT: &'static str;

    /// Returns the description of the world in the start banner.
    fn describe(&self) -> String;

    /// Returns whether `GET /v1/audit` shows all entities even without `--audit`.
    fn opens_audit(&self) -> bool {
        false
    }

    /// Returns rows of the start banner beyond those of every server, each a label of up to nine letters and a
    /// text. `http` is the address of the HTTP API.
    fn banner_rows(&self, _server: &ServerSettings, _http: SocketAddr) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Reads the program's settings from these arguments (the program's name first) and environment variables.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] for unknown or invalid settings.
    fn settings_from(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Settings<Self>, ConfigError> {
        Settings::read((Self::NAME, Self::ABOUT), arguments, variables)
    }
}

/// The settings of a game that has none of its own.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct NoSettings {}

impl Plugin for NoSettings {
    fn build(&self, _: &mut App) {}
}

impl Game for NoSettings {
    const NAME: &'static str = "Throng";
    const ABOUT: &'static str = "A game on Throng, served to thousands of players.";

    fn describe(&self) -> String {
        "a game of its own".to_owned()
    }
}
