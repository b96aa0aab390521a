//! Tests of the program's settings and its banner, and of the page about all programs.

mod banner;
// The floor program runs on Linux alone.
#[cfg(target_os = "linux")]
mod commands;
mod settings;

use std::ffi::OsString;

use throng_server::config::{ConfigError, Settings};
use throng_server::process::Game;

use crate::scene::SceneSettings;

fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings<SceneSettings>, ConfigError> {
    let flags = ["throng-server"].iter().chain(flags).map(OsString::from);
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    SceneSettings::settings_from(flags, variables)
}
