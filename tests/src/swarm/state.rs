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
