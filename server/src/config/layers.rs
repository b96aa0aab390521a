//! Where values come from: flags over environment over file, each value with its origin.
//!
//! Values stay text until the reader knows what they mean, so `--udp [::1]:5000` is never mistaken for a
//! list, and one parser decides for all three sources.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error as FigmentError, Figment, Metadata, Profile, Provider};

use super::settings::{Allowed, Program, VARIABLE_PREFIX};
use super::{ConfigError, Origin};

/// The one variable and flag that is not a setting: it says where the settings are.
const CONFIG_KEY: &str = "config";

/// One source of settings.
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, FigmentError> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// All sources merged. What is left to do is to give each value its type.
pub(super) struct Layers {
    figment: Figment,
    file: Option<PathBuf>,
    pub(super) program: Program,
}

const FLAG: &str = "flag";
const VARIABLE: &str = "variable";
const FILE: &str = "file";

impl Layers {
    /// Reads a program's `arguments` (its name first), `variables` and the file that they name.
    ///
    /// # Errors
    /// A flag that clap refuses (this includes `--help` and `--version`), an unknown key anywhere, a file
    /// that cannot be read or is not TOML.
    pub(super) fn read(
        program: Program,
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut flags = flag_values(program, arguments)?;
        let mut variables = variable_values(variables)?;
        let named_by_flag = flags.remove(CONFIG_KEY);
        let file = named_by_flag
            .or_else(|| variables.remove(CONFIG_KEY))
            .map(PathBuf::from);
        variables.remove(CONFIG_KEY);

        let mut figment = Figment::new();
        if let Some(path) = &file {
            let values = file_values(path)?;
            check_known(program, values.keys(), &Origin::File(path.clone()))?;
            figment = figment.merge(Layer {
                metadata: Metadata::named(FILE),
                values,
            });
        }
        check_known(program, variables.keys(), &Origin::Variable)?;
        for (name, values) in [(VARIABLE, variables), (FLAG, flags)] {
            let values = values
                .into_iter()
                .map(|(key, value)| (key, Value::from(value)))
                .collect();
            figment = figment.merge(Layer {
                metadata: Metadata::named(name),
                values,
            });
        }
        Ok(Self {
            figment,
            file,
            program,
        })
    }

    /// The value of `key` from the strongest source that has it, as text, and that source.
    pub(super) fn find(&self, key: &str) -> Option<(String, Origin)> {
        let value = self.figment.find_value(key).ok()?;
        let origin = match self.figment.find_metadata(key)?.name.as_ref() {
            FLAG => Origin::Flag,
            VARIABLE => Origin::Variable,
            _ => Origin::File(self.file.clone().unwrap_or_default()),
        };
        Some((text_of(&value), origin))
    }
}

fn text_of(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let number = value.to_u128().map(|number| number.to_string());
    let number = number.or_else(|| value.to_i128().map(|number| number.to_string()));
    let scalar = number
        .or_else(|| value.to_num()?.to_f64().map(|number| number.to_string()))
        .or_else(|| value.to_bool().map(|switch| switch.to_string()));
    scalar.unwrap_or_else(|| {
        if value.as_dict().is_some() {
            "a table"
        } else {
            "a list"
        }
        .to_owned()
    })
}

/// The command line as clap sees it: one optional text flag for each of the program's settings.
pub(super) fn command(program: Program) -> Command {
    let config = Arg::new(CONFIG_KEY)
        .long("config")
        .value_name("FILE")
        .help("Read settings from this TOML file (its keys are the flags, tick_rate for --tick-rate)");
    let (name, about) = match program {
        Program::Server => (
            "throng-server",
            "A world for thousands of players: the Throng game server.",
        ),
        Program::Game => ("Throng", "A game on Throng, served to thousands of players."),
    };
    let command = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(
            "Every setting is also an environment variable (THRONG_TICK_RATE for --tick-rate) and a key of \
             the file; a flag wins over a variable, a variable over the file.\n\nWith `replay FILE` in the \
             place of flags it runs what --record wrote again, and says whether the same comes of it.",
        )
        .arg(config);
    program.settings().fold(command, |command, setting| {
        let arg = Arg::new(setting.key)
            .long(setting.key.replace('_', "-"))
            .help_heading(setting.group)
            .help(format!("{} [default: {}]", setting.help, setting.default))
            .action(ArgAction::Set)
            .allow_hyphen_values(true);
        command.arg(match &setting.allowed {
            Allowed::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("BOOL"),
            Allowed::Word(words) => arg.value_name(words.join("|")),
            Allowed::Number(_) | Allowed::Text(_) => arg.value_name(setting.placeholder),
        })
    })
}

fn flag_values(
    program: Program,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let matches = command(program)
        .try_get_matches_from(arguments)
        .map_err(ConfigError::Usage)?;
    let keys = program.settings().map(|setting| setting.key).chain([CONFIG_KEY]);
    Ok(keys
        .filter_map(|key| Some((key.to_owned(), matches.get_one::<String>(key)?.clone())))
        .collect())
}

fn variable_values(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut values = BTreeMap::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
            continue;
        };
        let key = name[VARIABLE_PREFIX.len()..].to_ascii_lowercase();
        if is_set_by_kubernetes(&key) {
            continue;
        }
        let value = value.into_string().map_err(|_| ConfigError::NotUnicode {
            name: name.to_owned(),
        })?;
        values.insert(key, value);
    }
    Ok(values)
}

/// Kubernetes sets such variables in every pod beside a service that is called `throng`: no typing errors.
fn is_set_by_kubernetes(key: &str) -> bool {
    key == "port" || key.starts_with("port_") || key == "service_host" || key.starts_with("service_port")
}

fn file_values(path: &Path) -> Result<Dict, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::FileUnreadable {
        path: path.to_owned(),
        error,
    })?;
    let mut profiles = Toml::string(&text)
        .data()
        .map_err(|error| ConfigError::FileMalformed {
            path: path.to_owned(),
            message: error.kind.to_string(),
        })?;
    Ok(profiles.remove(&Profile::Default).unwrap_or_default())
}

fn check_known<'a>(
    program: Program,
    keys: impl Iterator<Item = &'a String>,
    origin: &Origin,
) -> Result<(), ConfigError> {
    for key in keys {
        if program.setting(key).is_none() {
            let nearest = program
                .settings()
                .min_by_key(|setting| edit_distance(setting.key, key));
            let suggestion = nearest.filter(|setting| edit_distance(setting.key, key) <= 3);
            let suggestion = suggestion.map(|setting| origin.spell(setting.key));
            return Err(ConfigError::UnknownKey {
                name: origin.name_of(key),
                suggestion,
            });
        }
    }
    Ok(())
}

/// Levenshtein's: insertions, deletions and replacements of one byte.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, byte) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(edit_distance("tick_rate", "tick_rat"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn clap_accepts_the_table() {
        command(Program::Server).debug_assert();
        command(Program::Game).debug_assert();
    }
}
