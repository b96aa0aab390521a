//! The errors of a configuration, in words for its author.

use std::fmt;
use std::path::PathBuf;

/// Prefix of every environment variable of the server.
pub(super) const VARIABLE_PREFIX: &str = "THRONG_";

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Variable,
    File(PathBuf),
    Default,
}

impl Origin {
    /// Returns a key as it is spelled at this origin.
    pub(super) fn spell(&self, key: &str) -> String {
        match self {
            Self::Flag => format!("--{}", key.replace('_', "-")),
            Self::Variable => format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase()),
            Self::File(_) | Self::Default => key.to_owned(),
        }
    }

    /// Returns a key and its value as they are written at this origin, with the origin.
    pub(super) fn quote(&self, key: &str, value: &str) -> String {
        let equals = match self {
            Self::Flag => " ",
            Self::Variable => "=",
            Self::File(_) | Self::Default => " = ",
        };
        format!("`{}{equals}{value}`{self}", self.spell(key))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The dashes already mark it as a flag.
            Self::Flag => Ok(()),
            Self::Variable => out.write_str(" in the environment"),
            Self::File(path) => write!(out, " in {}", path.display()),
            Self::Default => out.write_str(" (the default)"),
        }
    }
}

/// The reason why a configuration is refused. Each message names the setting or the file in one line; the TOML parser
/// adds the position in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Clap refuses the flags, or prints the output of `--help` or `--version`.
    #[error(transparent)]
    Usage(clap::Error),
    /// A key that is not a setting: its spelling and origin, and a setting with a similar name.
    #[error("{0} is not a setting{1}; --help lists them")]
    UnknownKey(String, String),
    /// A value that its setting does not accept, or that conflicts with other settings: key and value as written
    /// with their origin, then what is accepted.
    #[error("{0}: {1}")]
    Value(String, String),
    /// A file that cannot be read or is not TOML.
    #[error("{0}")]
    File(String),
}
