//! How bots get their sessions: the first ones at the start, and later ones of bots that come back.

use std::io;
use std::sync::mpsc::TryRecvError;

use mio::{Interest, Registry, Token};
use throng_client::connection::ClientConfig;
use throng_client::join::{JoinError, Joined};

use super::{Bot, Driver};
use crate::swarm::bot::BotKind;
use crate::swarm::rejoin::{Comeback, Rejoins};

/// The most handshakes under way at a time, so that bots join one after another and do not overload the server.
const CONNECTING_MAX: u32 = 256;
/// One bot in this many is audited.
const AUDIT_EVERY: u32 = 100;

impl Driver {
    /// Starts the bots whose token has arrived.
    pub(super) fn admit(&mut self) -> io::Result<()> {
        while self.bot_counts.connecting < CONNECTING_MAX {
            let Some(outcomes) = &self.outcomes else {
                return Ok(());
            };
            match outcomes.try_recv() {
                Ok((index, Ok(joined))) => self.begin(index, &joined)?,
                Ok((index, Err(error))) => {
                    self.bot_counts.lost += 1;
                    self.shared
                        .first_loss
                        .get_or_insert_with(|| format!("bot {}: {error}", index + 1));
                }
                Err(TryRecvError::Empty) => return Ok(()),
                // Every joining thread is done.
                Err(TryRecvError::Disconnected) => self.outcomes = None,
            }
        }
        Ok(())
    }

    fn begin(&mut self, index: u32, joined: &Joined) -> io::Result<()> {
        let now = self.now();
        let config = self.config_of(index);
        let kind = BotKind {
            is_idle: self.is_idle,
            audits: !self.is_idle && index.is_multiple_of(AUDIT_EVERY),
            is_pilot: self.shared.senses.is_some(),
            records_ages: self.shared.ages.is_some(),
            seed: self.seed,
        };
        let mut bot = Bot::new(index, now, &joined.token, config, kind)?;
        if self.rejoins.is_some() {
            let seed = self.seed ^ (u64::from(index) << 32);
            bot = bot.with_comeback(Comeback::new(seed, joined.resume.clone()));
        }
        watch(self.poll.registry(), &mut bot, index)?;
        bot.update(now, &mut self.shared);
        self.bot_counts.connecting += 1;
        self.bots[index as usize] = Some(bot);
        self.wheel.insert(now, index);
        Ok(())
    }

    /// Gives the bots that come back their next session. A bot that has recovered meanwhile keeps its own.
    pub(super) fn readmit(&mut self) -> io::Result<()> {
        while let Some((index, outcome)) = self.rejoins.as_ref().and_then(Rejoins::next_outcome) {
            let (now, config) = (self.now(), self.config_of(index));
            let Some(bot) = self.bots[index as usize].as_mut() else {
                continue;
            };
            let result = outcome.as_ref().map(|joined| joined.resume.as_str());
            let is_wanted = bot
                .comeback()
                .is_some_and(|comeback| comeback.requested(now, result.map_err(JoinError::retry)));
            let (true, Ok(joined)) = (is_wanted, &outcome) else {
                continue;
            };
            let before = bot.state();
            bot.reopen(now, &joined.token, config, &mut self.shared)?;
            watch(self.poll.registry(), bot, index)?;
            bot.update(now, &mut self.shared);
            self.bot_counts.note(before, bot.state());
        }
        Ok(())
    }

    fn config_of(&self, index: u32) -> ClientConfig {
        let mut config = self.config;
        // Inputs arrive spread over the tick, as those of independent players would.
        config.clock.margin_goal += f64::from(index) / self.bots.len() as f64;
        config
    }
}

/// Lets epoll watch a bot's socket. It may be watched already: a bot that came back while it was polled in order.
pub(super) fn watch(registry: &Registry, bot: &mut Bot, index: u32) -> io::Result<()> {
    match registry.register(bot.socket(), Token(index as usize), Interest::READABLE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
