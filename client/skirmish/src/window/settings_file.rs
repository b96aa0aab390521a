//! The settings kept between runs: the server, the name, keys, and graphics detail.
//!
//! They are a RON file in the user's configuration folder. A file that cannot be read is left alone and the
//! default settings apply; the file is written only when the player changes a setting.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::files;

use super::keys::Bindings;
use crate::detail_choice::DetailChoice;

/// The settings that are kept between runs.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedSettings {
    /// The server's address, `HOST:PORT`.
    pub(crate) server: String,
    /// The player's name.
    pub(crate) name: String,
    /// The choice of graphics detail.
    pub(crate) detail: DetailChoice,
    /// Whether nearby explosions shake the picture.
    pub(crate) shake: bool,
    /// The key bindings of all actions.
    pub(crate) keys: Bindings,
}

impl Default for SavedSettings {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:8080".into(),
            name: String::new(),
            detail: DetailChoice::Auto,
            shake: true,
            keys: Bindings::default(),
        }
    }
}

/// The path of the settings file.
#[derive(Resource, Clone, Debug)]
pub(crate) struct SettingsFile(pub(crate) PathBuf);

impl SettingsFile {
    /// Returns the default path: `client.ron` in the folder `throng` of the user's configuration folder.
    pub(crate) fn usual() -> Self {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = if cfg!(windows) {
            set("APPDATA")
        } else if cfg!(target_os = "macos") {
            set("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
        };
        Self(folder.unwrap_or_default().join("throng").join("client.ron"))
    }

    /// Reads the file; returns the default settings if it is missing or cannot be read.
    pub(crate) fn load(&self) -> SavedSettings {
        match read(&self.0) {
            Ok(settings) => settings,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SavedSettings::default(),
            Err(error) => {
                warn!("{} is not used: {error}", self.0.display());
                SavedSettings::default()
            }
        }
    }

    /// Writes the file. A failure is only logged, because the game can continue without it.
    pub(crate) fn save(&self, settings: &SavedSettings) {
        if let Err(error) = write(&self.0, settings) {
            warn!("{} is not written: {error}", self.0.display());
        }
    }
}

/// Limit on the bytes of the file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

fn read(path: &Path) -> io::Result<SavedSettings> {
    let text = files::read_text(path, FILE_BYTES_MAX)?;
    ron::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn write(path: &Path, settings: &SavedSettings) -> io::Result<()> {
    let text = ron::ser::to_string_pretty(settings, ron::ser::PrettyConfig::default())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // The file is written completely or not at all: a partial file would lose the settings.
    let partial = path.with_extension("ron.part");
    fs::write(&partial, text + "\n")?;
    fs::rename(partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_round_trip_and_an_unreadable_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = SettingsFile(folder.path().join("throng/client.ron"));
        assert_eq!(file.load(), SavedSettings::default());
        let settings = SavedSettings {
            server: "example.org:9".into(),
            name: "Ada".into(),
            detail: DetailChoice::Low,
            ..SavedSettings::default()
        };
        file.save(&settings);
        assert_eq!(file.load(), settings);
        fs::write(&file.0, "(name: 7").unwrap();
        assert_eq!(file.load(), SavedSettings::default());
        assert_eq!(fs::read_to_string(&file.0).unwrap(), "(name: 7");
    }

    #[test]
    fn settings_file_of_an_older_build_keeps_its_entries() {
        let settings: SavedSettings = ron::from_str("(name: \"Ada\")").unwrap();
        assert_eq!(settings.name, "Ada");
        assert_eq!(settings.keys, Bindings::default());
    }
}
