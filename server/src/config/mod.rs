//! Settings: from flags, else environment variables, else a TOML file, else defaults.
//!
//! Owns the server's settings; a game's own are in a `clap::Args` of the game. Guarantees that every value is
//! usable as it is, and that every refusal names the setting, its value, what is accepted and the origin of the
//! value. Refuses unknown keys in all three sources, because a misspelled setting would otherwise be silently
//! ignored.

#[cfg(test)]
mod address_tests;
mod error;
mod layers;
mod parse;
mod settings;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches, ValueHint, value_parser};

pub use error::ConfigError;
pub use parse::{Advertise, number};
pub use settings::ServerSettings;

pub use crate::net::assign::AssignStrategy;
pub use crate::net::socket::IoKind;

use layers::{CONFIG_KEY, Layers, key_of};

/// The settings of a program: the server's and the game's.
#[derive(Clone, Debug)]
pub struct Settings<G> {
    /// The settings of the server.
    pub server: ServerSettings,
    /// The settings of the game.
    pub game: G,
    /// The game's settings as text, by key, for recordings.
    pub(crate) recorded: Vec<(String, String)>,
}

impl<G: Args> Settings<G> {
    /// Reads the settings of the program `name` from its arguments (its own name first), environment variables, and
    /// the file that they name. `about` is the first line of `--help`.
    ///
    /// # Errors
    /// Returns a [`ConfigError`]. `--help` and `--version` are returned as [`ConfigError::Usage`].
    pub fn read(
        (name, about): (&'static str, &'static str),
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::read(command::<G>(name, about), arguments, variables)?;
        let server = ServerSettings::from_arg_matches(&layers.matches).map_err(ConfigError::Usage)?;
        server
            .check()
            .map_err(|(key, reason)| ConfigError::Value(layers.quote(key), reason))?;
        let own = game_command::<G>(name);
        // A path is valid only on the machine that records.
        let recorded = own.get_arguments().filter(|arg| !is_path(arg)).filter_map(|arg| {
            let text = layers.text(arg.get_id().as_str())?;
            Some((key_of(arg)?, text))
        });
        Ok(Self {
            recorded: recorded.collect(),
            game: G::from_arg_matches(&layers.matches).map_err(ConfigError::Usage)?,
            server,
        })
    }
}

/// Builds a game from its settings in a recording.
///
/// # Errors
/// Returns clap's error for a setting or value that this program does not accept.
pub(crate) fn recorded_game<G: Args>(
    name: &'static str,
    recorded: &[(String, String)],
) -> Result<G, clap::Error> {
    let flags = recorded
        .iter()
        .map(|(key, text)| format!("--{}={text}", key.replace('_', "-")));
    let command = game_command::<G>(name).no_binary_name(true);
    G::from_arg_matches(&command.try_get_matches_from(flags)?)
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    )
}

/// Returns the command line of a program with the game `G`: the game's flags, then the server's.
pub fn command<G: Args>(name: &'static str, about: &'static str) -> Command {
    let file = Arg::new(CONFIG_KEY)
        .long(CONFIG_KEY)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Read settings from this TOML file (its keys are the flags, tick_rate for --tick-rate)");
    ServerSettings::augment_args(game_command::<G>(name))
        .mut_args(plain)
        .arg(file)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        // The doc comments of the structs are for readers of the code.
        .long_about(None)
        .after_help(
            "Every setting is also an environment variable (THRONG_TICK_RATE for --tick-rate) and a key of \
             the file; a flag wins over a variable, a variable over the file. NO_COLOR, set to anything, turns \
             off the colours of the banner and the log.\n\nWith `replay FILE` in the place of flags it replays \
             what --record wrote, and reports whether the result is the same.",
        )
}

fn game_command<G: Args>(name: &'static str) -> Command {
    G::augment_args(Command::new(name)).mut_args(plain)
}

/// Makes an argument one that all sources can set: a switch takes a value, and no value is mistaken for a flag.
fn plain(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .value_name("BOOL")
            .value_parser(value_parser!(bool)),
        ArgAction::Set => arg.allow_hyphen_values(true),
        _ => arg,
    }
}
