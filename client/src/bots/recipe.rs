//! How the bots of a run are made, and its settings.

use std::time::Duration;

use bevy_app::App;

use crate::link::LinkConditions;

/// Most bots of one program. Each has a socket and a connection to the HTTP API, so the limit of open files may be lower.
pub const BOTS_MAX: u32 = 10_000;

/// How bots are made.
pub(super) struct BotRecipe {
    /// Adds the plugins of the game.
    pub(super) game: Box<dyn FnMut(&mut App)>,
    /// Adds what plays, for the bot with this number.
    pub(super) drive: Box<dyn FnMut(&mut App, u32)>,
    pub(super) settings: BotsSettings,
}

/// What a run needs besides the game.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BotsSettings {
    pub(super) count: u32,
    pub(super) server: String,
    pub(super) name: String,
    pub(super) line: LinkConditions,
    pub(super) seconds: u32,
    pub(super) join_within: Duration,
    pub(super) seed: u64,
}

impl BotsSettings {
    /// Returns the settings that hold unless they are set.
    pub(super) fn new(count: u32) -> Self {
        Self {
            count: count.clamp(1, BOTS_MAX),
            server: "127.0.0.1:8080".to_owned(),
            name: "bot".to_owned(),
            line: LinkConditions::PERFECT,
            seconds: 30,
            join_within: Duration::from_secs(10),
            seed: 1,
        }
    }
}
