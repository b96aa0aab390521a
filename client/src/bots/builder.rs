//! What a program sets before its bots run.

use std::time::Duration;

use bevy_app::{App, Plugins};

use super::error::BotsError;
use super::recipe::{BotRecipe, BotsSettings};
use super::report::BotsReport;
use super::run::run;
use crate::link::LinkConditions;

/// Bots of a game, before they run.
pub struct Bots {
    pub(super) recipe: BotRecipe,
}

/// Makes `count` bots of a game, 1 to [`BOTS_MAX`](super::BOTS_MAX). `game` are the plugins of its client that register the protocol, and
/// whatever else a bot needs; no window, no renderer, and nothing that connects.
///
/// They play at `127.0.0.1:8080` for 30 s on a perfect line unless set otherwise.
pub fn bots<M: 'static>(game: impl Plugins<M> + Clone + 'static, count: u32) -> Bots {
    Bots {
        recipe: BotRecipe {
            game: Box::new(move |app: &mut App| {
                app.add_plugins(game.clone());
            }),
            drive: Box::new(|_: &mut App, _: u32| {}),
            settings: BotsSettings::new(count),
        },
    }
}

impl Bots {
    /// Sets the server's HTTP address: `ADDRESS:PORT` or a URL.
    #[must_use]
    pub fn server(mut self, server: &str) -> Self {
        server.clone_into(&mut self.recipe.settings.server);
        self
    }

    /// Sets the beginning of the bots' names, `bot` in `bot-1`, `bot-2` and so on.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.recipe.settings.name);
        self
    }

    /// Sets the conditions of each bot's line, in each direction.
    #[must_use]
    pub fn line(mut self, line: LinkConditions) -> Self {
        self.recipe.settings.line = line;
        self
    }

    /// Sets how long the bots are measured, after they have joined.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.recipe.settings.seconds = seconds;
        self
    }

    /// Sets how long the bots have to join. Each bot adds 20 ms. A bot that does not play by then is counted as refused.
    #[must_use]
    pub fn join_within(mut self, limit: Duration) -> Self {
        self.recipe.settings.join_within = limit;
        self
    }

    /// Sets the seed of the lines' loss and jitter, and of reconnection. Each bot has its own, made from it.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.recipe.settings.seed = seed;
        self
    }

    /// Adds the systems that play, to the app of each bot: they set `NextInput` and send messages, in `Update`. The bots'
    /// numbers begin with 0.
    #[must_use]
    pub fn drive(mut self, drive: impl FnMut(&mut App, u32) + 'static) -> Self {
        self.recipe.drive = Box::new(drive);
        self
    }

    /// Lets the bots join, measures them, and lets them leave. Blocks for as long.
    ///
    /// # Errors
    /// If no bot joins: no server, another protocol, no room. Bots that are refused or lost while others play are figures
    /// of the report.
    pub fn run(self) -> Result<BotsReport, BotsError> {
        run(self.recipe, &mut |_| {}, &mut || false)
    }
}
