//! What happened to the inputs that came in.

use bevy_ecs::prelude::Resource;

/// What happened to inputs since the start.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounters {
    /// Kept for their tick.
    pub kept: u64,
    /// For a tick that had already begun.
    pub late: u64,
    /// For a tick too far ahead.
    pub early: u64,
    /// For a tick that has one already.
    pub duplicate: u64,
    /// From a session that is not, or no longer, here.
    pub stray: u64,
    /// Ticks in which a player's last input was repeated.
    pub repeated: u64,
    /// Ticks in which a player that had sent inputs got the neutral one.
    pub neutral: u64,
    /// Messages that are of no registered type, or of one that players do not send.
    pub messages_refused: u64,
    /// Kept inputs whose player claimed to have seen the future, or something older than [`REWIND_MAX`](crate::simulation::REWIND_MAX).
    pub views_limited: u64,
}
