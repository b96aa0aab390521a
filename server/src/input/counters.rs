//! Counters of received inputs and messages.

use bevy_ecs::prelude::Resource;

/// What happened to inputs and messages since the start.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounters {
    /// Inputs that were kept for their tick.
    pub kept: u64,
    /// Inputs dropped because their tick had already begun.
    pub late: u64,
    /// Inputs dropped because their tick was too far ahead.
    pub early: u64,
    /// Inputs dropped because their tick had an input already.
    pub duplicate: u64,
    /// Inputs and messages from a session that has no player here, or no longer.
    pub stray: u64,
    /// Ticks in which a player's last input was repeated.
    pub repeated: u64,
    /// Ticks in which a player that had sent inputs got the neutral one.
    pub neutral: u64,
    /// Messages of no registered type, or of a type that players may not send.
    pub messages_refused: u64,
    /// Kept inputs whose player claimed to have seen the future, or something older than
    /// [`REWIND_MAX`](crate::simulation::REWIND_MAX).
    pub views_limited: u64,
}
