//! The program's settings and its banner.

mod banner;
mod settings;

use std::ffi::OsString;

use throng_server::config::{ConfigError, Settings};
use throng_server::process::Game;

use crate::world::World;

fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings<World>, ConfigError> {
    let flags = ["throng-server"].iter().chain(flags).map(OsString::from);
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    World::settings_from(flags, variables)
}
