//! Why a configuration is refused, in words for the person who wrote it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::settings::setting;

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag.
    Flag,
    /// An environment variable.
    Variable,
    /// This file.
    File(PathBuf),
    /// Nowhere: the default.
    Default,
}

impl Origin {
    /// A key as it is spelled at this origin.
    pub(super) fn spell(&self, key: &str) -> String {
        match (self, setting(key)) {
            (Self::Flag, Some(setting)) => setting.flag(),
            (Self::Variable, Some(setting)) => setting.variable(),
            (Self::Variable, None) => {
                format!("{}{}", super::settings::VARIABLE_PREFIX, key.to_ascii_uppercase())
            }
            _ => key.to_owned(),
        }
    }

    /// A key as it is spelled here, with the place.
    pub(super) fn name_of(&self, key: &str) -> String {
        format!("`{}`{self}", self.spell(key))
    }

    /// A key and its value as they stand here, with the place.
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
            // The dashes say it.
            Self::Flag => Ok(()),
            Self::Variable => out.write_str(" in the environment"),
            Self::File(path) => write!(out, " in {}", path.display()),
            Self::Default => out.write_str(" (the default)"),
        }
    }
}

/// Why a configuration is refused. Each message names the setting as it was written, in one line (the TOML
/// parser adds the place in the file).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Clap refused the flags, or answered `--help` or `--version`.
    #[error(transparent)]
    Usage(clap::Error),
    /// A key that is in no row of the table.
    #[error("{name} is not a setting{}; --help lists them", suggestion.as_ref().map_or_else(String::new, |name| format!(" (did you mean `{name}`?)")))]
    UnknownKey {
        /// The key as written, and where.
        name: String,
        /// The nearest key, when one is near.
        suggestion: Option<String>,
    },
    /// A value that its setting does not accept.
    #[error("{quote}: must be {allowed}")]
    Value {
        /// Key and value as written, and where.
        quote: String,
        /// What is accepted.
        allowed: String,
    },
    /// Settings that do not go together.
    #[error("{quote}: {reason}")]
    Conflict {
        /// The setting to change, and where it is.
        quote: String,
        /// Why, and what would do.
        reason: String,
    },
    /// An environment variable that is not Unicode.
    #[error("`{name}` in the environment: must be Unicode text")]
    NotUnicode {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML: {message}", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// The parser's words: the line and what it expected.
        message: String,
    },
}
