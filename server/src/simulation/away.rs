//! Players whose session is gone and who may come back.
//!
//! Owns [`Away`] and how long it lasts. Guarantees that a player is away for [`Linger`] of ticks that ran, and then
//! leaves; and that [`AWAY_MAX`] players are away at most between two ticks: of more, those that have been away
//! longest leave.

use std::time::Duration;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::tick::Tick;

use super::players::Player;
use crate::boundary::link::LeaveReason;

/// Players that are away at most after a tick. Of more, those that have been away longest leave.
pub(super) const AWAY_MAX: usize = 4_096;

/// Longest time that a player lingers, in ticks. A longer one is cut.
const TICKS_MAX: u32 = i32::MAX as u32 / 2;

/// On a player whose session is gone and who may come back. Its input is neutral, and nothing is sent to it. It stays
/// in the game, with its avatar, until its client joins again or `until` is reached.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// The tick in which the session ended.
    pub since: Tick,
    /// The tick in which the player leaves. Moves on with ticks that are skipped, because only ticks that ran count.
    pub until: Tick,
    /// The reason for which the session ended.
    pub reason: LeaveReason,
}

/// How long a player stays in the game after its session was lost, so that it can come back. With
/// [`Linger::NONE`] every end of a session is the end of its player.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger(pub Duration);

impl Linger {
    /// Players leave in the tick in which their session ends.
    pub const NONE: Self = Self(Duration::ZERO);

    /// Returns the number of ticks of `length` that a player lingers.
    pub(super) fn ticks(self, length: Duration) -> u32 {
        let ticks = self.0.as_nanos().div_ceil(length.as_nanos().max(1));
        u32::try_from(ticks).map_or(TICKS_MAX, |ticks| ticks.min(TICKS_MAX))
    }
}

impl Default for Linger {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

/// A player's session was lost, and the player is [`Away`] from now on. Not written when a newer session of the same
/// client replaces the older one.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerAway {
    /// The entity of the player.
    pub entity: Entity,
    /// The reason for which the session ended.
    pub reason: LeaveReason,
}

/// A player has a new session: its client came back, or replaced its own session. The new session's client knows
/// nothing of the game yet: it is sent the world and the replicated resources anew, and gameplay sends what it sent
/// when the player joined.
#[derive(Message, Clone, Copy, Debug)]
pub struct PlayerReturned {
    /// The entity of the player, the same as before.
    pub entity: Entity,
    /// The player, with its new session.
    pub player: Player,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linger_is_rounded_up_to_ticks_and_bounded() {
        let tick = Duration::from_millis(50);
        let ticks = |ms| Linger(Duration::from_millis(ms)).ticks(tick);
        assert_eq!(
            (ticks(0), ticks(1), ticks(50), ticks(51), ticks(30_000)),
            (0, 1, 1, 2, 600)
        );
        assert_eq!(Linger(Duration::MAX).ticks(tick), TICKS_MAX);
        assert_eq!(
            Linger(Duration::from_secs(1)).ticks(Duration::ZERO),
            1_000_000_000
        );
    }
}
