//! The sources of values: flags override the environment, which overrides the file, which overrides defaults.
//!
//! Clap parses twice. The first time it gets the flags alone: everything that it refuses is a flag, and the result
//! has the file's name. The second time each value of the environment and of the file is its setting's default, so
//! that one parser checks all sources.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use throng_shared::files;

use super::ConfigError;
use super::error::{Origin, VARIABLE_PREFIX};

/// The flag and variable that name the file. It is not a setting.
pub(super) const CONFIG_KEY: &str = "config";
/// Limit on the bytes of the file: a hundred times what all settings with comments take.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A value from the environment or the file.
struct SettingsLayer {
    /// The value as it was written, for messages.
    shown: String,
    /// The value as clap parses it.
    text: String,
    origin: Origin,
}

/// All values of a program's settings with their origins.
pub(super) struct Layers {
    pub(super) matches: ArgMatches,
    layers: BTreeMap<String, SettingsLayer>,
}

impl Layers {
    /// Reads `arguments` (the program's name first), `variables` and the file that they name.
    ///
    /// # Errors
    /// Returns an error for a value or key that is refused, for `--help` and `--version`, and for a file that
    /// cannot be read or is not TOML.
    pub(super) fn read(
        command: Command,
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let flags = command.clone().mut_args(|arg| arg.required(false));
        let flags = flags
            .try_get_matches_from(&arguments)
            .map_err(|error| refusal(error, &BTreeMap::new()))?;
        let mut variables = variables_by_key(variables)?;
        let named_by_variable = variables.remove(CONFIG_KEY).map(|layer| layer.text.into());
        let file: Option<PathBuf> = flags.get_one(CONFIG_KEY).cloned().or(named_by_variable);
        let mut layers = file.map_or(Ok(BTreeMap::new()), |path| file_by_key(&path))?;
        layers.extend(variables);
        check_known(&command, &layers)?;
        let command = command.mut_args(|arg| match key_of(&arg).and_then(|key| layers.get(&key)) {
            Some(layer) => arg.required(false).default_value(layer.text.clone()),
            None => arg,
        });
        let matches = command.try_get_matches_from(&arguments);
        let matches = matches.map_err(|error| refusal(error, &layers))?;
        Ok(Self { matches, layers })
    }

    /// Returns a setting as it was written with its origin, for an error about conflicting settings.
    pub(super) fn quote(&self, key: &str) -> String {
        let text = self.text(key).unwrap_or_default();
        match (self.matches.value_source(key), self.layers.get(key)) {
            (Some(ValueSource::CommandLine), _) => Origin::Flag.quote(key, &text),
            (_, Some(layer)) => layer.origin.quote(key, &layer.shown),
            (_, None) => Origin::Default.quote(key, &text),
        }
    }

    /// Returns the value of an argument as it was given to clap.
    pub(super) fn text(&self, id: &str) -> Option<String> {
        let mut values = self.matches.get_raw(id)?;
        values.next().map(|value| value.to_string_lossy().into_owned())
    }
}

/// Returns the key of an argument: `tick_rate` of `--tick-rate`. An argument without a long flag is not a setting.
pub(super) fn key_of(arg: &Arg) -> Option<String> {
    arg.get_long().map(|flag| flag.replace('-', "_"))
}

/// Converts clap's refusal of a value to this module's messages. A value without a layer came from a flag.
fn refusal(error: clap::Error, layers: &BTreeMap<String, SettingsLayer>) -> ConfigError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(argument), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    else {
        return ConfigError::Usage(error);
    };
    let reason = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::ValueValidation, _) => error.source().map(ToString::to_string),
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(words))) => match words.as_slice() {
            [] => None,
            [one, other] => Some(format!("must be {one} or {other}")),
            words => Some(format!("must be one of {}", words.join(", "))),
        },
        _ => None,
    };
    let Some(reason) = reason else {
        return ConfigError::Usage(error);
    };
    // Clap spells the argument as in its usage: `--tick-rate <HZ>`, `--audit[=<BOOL>]`.
    let flag = argument.trim_start_matches('-');
    let end = flag.find(|c: char| !c.is_alphanumeric() && c != '-');
    let key = flag[..end.unwrap_or(flag.len())].replace('-', "_");
    let quote = match layers.get(&key) {
        Some(layer) => layer.origin.quote(&key, &layer.shown),
        None => Origin::Flag.quote(&key, value),
    };
    ConfigError::Value(quote, reason)
}

fn variables_by_key(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, SettingsLayer>, ConfigError> {
    let mut layers = BTreeMap::new();
    for (name, value) in variables {
        let Some(key) = name.to_str().and_then(|name| name.strip_prefix(VARIABLE_PREFIX)) else {
            continue;
        };
        let key = key.to_ascii_lowercase();
        if is_set_by_kubernetes(&key) {
            continue;
        }
        let quote = format!("`{}`{}", Origin::Variable.spell(&key), Origin::Variable);
        let not_unicode = |_| ConfigError::Value(quote, "must be Unicode text".to_owned());
        let shown = value.into_string().map_err(not_unicode)?;
        let (text, origin) = (shown.trim().to_owned(), Origin::Variable);
        layers.insert(key, SettingsLayer { shown, text, origin });
    }
    Ok(layers)
}

/// Returns whether Kubernetes sets this variable in every pod beside a service called `throng`. Such a
/// variable is not a misspelled key.
fn is_set_by_kubernetes(key: &str) -> bool {
    key == "port" || key.starts_with("port_") || key == "service_host" || key.starts_with("service_port")
}

fn file_by_key(path: &Path) -> Result<BTreeMap<String, SettingsLayer>, ConfigError> {
    let (name, origin) = (path.display(), Origin::File(path.to_owned()));
    let text = files::read_text(path, FILE_BYTES_MAX);
    let text = text
        .map_err(|error| ConfigError::File(format!("cannot read the configuration file {name}: {error}")))?;
    let table: Result<toml::Table, _> = text.parse();
    let table = table.map_err(|error| {
        ConfigError::File(format!(
            "the configuration file {name} is not valid TOML: {error}"
        ))
    })?;
    let layer = |value| {
        let (shown, text) = match value {
            toml::Value::String(text) => (text.clone(), text.trim().to_owned()),
            // No setting is a list or a table, and each setting that needs a value refuses the empty text.
            toml::Value::Array(_) => ("a list".to_owned(), String::new()),
            toml::Value::Table(_) => ("a table".to_owned(), String::new()),
            scalar => (scalar.to_string(), scalar.to_string()),
        };
        let origin = origin.clone();
        SettingsLayer { shown, text, origin }
    };
    Ok(table
        .into_iter()
        .map(|(key, value)| (key, layer(value)))
        .collect())
}

fn check_known(command: &Command, layers: &BTreeMap<String, SettingsLayer>) -> Result<(), ConfigError> {
    let keys = command.get_arguments().filter_map(key_of);
    let known: Vec<String> = keys.filter(|key| key != CONFIG_KEY).collect();
    let Some((key, layer)) = layers.iter().find(|(key, _)| !known.contains(key)) else {
        return Ok(());
    };
    let nearest = known
        .iter()
        .map(|other| (strsim::levenshtein(other, key), other))
        .min();
    let nearest = nearest.filter(|&(distance, _)| distance <= 3);
    let suggestion = nearest.map(|(_, other)| format!(" (did you mean `{}`?)", layer.origin.spell(other)));
    let name = format!("`{}`{}", layer.origin.spell(key), layer.origin);
    Err(ConfigError::UnknownKey(name, suggestion.unwrap_or_default()))
}
