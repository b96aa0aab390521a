//! Where the client keeps its credential, by which a client that was killed comes back to its ship.

use std::convert::Infallible;
use std::env;
use std::path::PathBuf;
use std::str::FromStr;

use throng_shared::hash::fnv1a;

/// Characters of the server and the name that are part of the file's name.
const READABLE_CHARS_MAX: usize = 60;

/// Where the credential is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CredentialChoice {
    /// In a file for each server and name, in the user's state folder.
    #[cfg_attr(
        not(feature = "window"),
        expect(dead_code, reason = "only the window keeps it there")
    )]
    Usual,
    /// In this file.
    File(PathBuf),
    /// In memory.
    #[default]
    None,
}

impl FromStr for CredentialChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
}

impl CredentialChoice {
    /// Returns the file of a player on a server; `None` if there is none, or no folder for it is known.
    pub(crate) fn file(&self, server: &str, name: &str) -> Option<PathBuf> {
        match self {
            Self::Usual => Some(
                state_folder()?
                    .join("throng/credentials")
                    .join(file_name(server, name)),
            ),
            Self::File(path) => Some(path.clone()),
            Self::None => None,
        }
    }
}

/// Returns a name for the file that differs for every server and player name. Players of different names on one
/// machine are different players.
fn file_name(server: &str, name: &str) -> String {
    let identity = format!("{server}\n{name}");
    let readable = format!("{server}-{name}");
    let readable = readable.chars().take(READABLE_CHARS_MAX).map(|letter| {
        let is_plain = letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
        if is_plain { letter } else { '_' }
    });
    let readable: String = readable.collect();
    format!("{readable}-{:016x}", fnv1a(identity.as_bytes()))
}

/// Returns the folder in which the user's programs keep their state.
fn state_folder() -> Option<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_files_differ_by_server_and_name_and_have_plain_names() {
        let players = [
            ("127.0.0.1:8080", "Ada"),
            ("127.0.0.1:8081", "Ada"),
            ("127.0.0.1:8080", "Ä"),
            ("127.0.0.1:8080", "Ö"),
            ("../..", "/etc/passwd"),
            ("", ""),
        ];
        let mut names = players.map(|(server, name)| file_name(server, name));
        let is_plain = |name: &String| !name.contains(['/', '\\', ':']) && name.len() < 100;
        assert!(names.iter().all(is_plain), "{names:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn the_credential_flag_names_a_file_or_none() {
        let choice = |text: &str| text.parse::<CredentialChoice>().unwrap().file("server", "Ada");
        assert_eq!(choice("none"), None);
        assert_eq!(choice("some/file"), Some("some/file".into()));
    }
}
