//! The score board: who has achieved what, for every client, wherever it flies.

use bevy_ecs::prelude::Resource;
use serde::{Deserialize, Serialize};

use super::components::Score;
use throng_shared::protocol::ids::TeamId;

/// Pilots on the board at most: as many of the first ones as one message holds, which is all of these unless
/// their names are long.
pub const BOARD_ROWS_MAX: usize = 32;
/// Seconds between two states of the board.
pub const BOARD_EVERY_S: f32 = 2.0;

/// A pilot's line on the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The pilot's name.
    pub name: String,
    /// The pilot's team.
    pub team: TeamId,
    /// What the pilot has achieved.
    pub score: Score,
    /// Money.
    pub credits: u32,
}

/// The board, replicated to everybody: a new state every [`BOARD_EVERY_S`], if anything changed.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings {
    /// Pilots who play.
    pub pilots: u32,
    /// The best of them, best first.
    pub best: Vec<Standing>,
}

/// Server to client: the pilot's own line, where it changed. As often as the board at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnStanding {
    /// Place on the board, from 1.
    pub rank: u32,
    /// The line.
    pub standing: Standing,
}
