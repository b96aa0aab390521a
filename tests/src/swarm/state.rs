//! The state that all bots of a swarm share.

use std::sync::Arc;
use std::time::Duration;

use throng_server::observe::Histogram;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::arrivals::Arrivals;
use super::conditions::EmulatedLine;
use super::report::BotTotals;
use crate::pilots::senses::Senses;

/// State that all bots share and write to.
pub struct SwarmState {
    /// Counters over all bots.
    pub totals: BotTotals,
    /// Arrivals of the last ticks' snapshots.
    pub arrivals: Arrivals,
    /// Ages of the oldest visible values.
    pub oldest: Histogram,
    /// The newest tick whose snapshot any bot has.
    pub newest_tick: Option<Tick>,
    /// Number of ticks whose snapshot any bot has, since the ages were taken last.
    pub ticks_seen: u32,
    /// Ages of the inputs that the server acted on, since they were taken last; `None` if they are not recorded.
    pub ages: Option<Histogram>,
    /// The emulated line, if it is not perfect.
    pub line: Option<EmulatedLine>,
    /// The protocol of the server.
    pub protocol: Arc<Protocol>,
    /// Decodes the components that pilots read, if the bots play Skirmish.
    pub senses: Option<Senses>,
    /// Why the first bot was lost.
    pub first_loss: Option<String>,
    /// Lengths of the outages that have ended, of bots that come back.
    pub outages: Vec<Duration>,
}

impl SwarmState {
    /// Returns the ticks seen and the ages of inputs since the last call, and begins anew. `None` if ages are not
    /// recorded.
    pub fn take_ages(&mut self) -> Option<(u32, Histogram)> {
        let ages = std::mem::take(self.ages.as_mut()?);
        Some((std::mem::take(&mut self.ticks_seen), ages))
    }
}
