//! The score board: the scores of all pilots, replicated to every client wherever it flies.

use bevy_ecs::prelude::Resource;
use serde::{Deserialize, Serialize};

use super::components::Score;
use throng_shared::protocol::ids::TeamId;

/// Largest number of pilots on the board. The board has fewer if the names are so long that the rows of this many
/// pilots do not fit into one message.
pub const BOARD_ROWS_MAX: usize = 32;
/// Seconds between two states of the board.
pub const BOARD_EVERY_S: f32 = 2.0;

/// A pilot's row on the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The pilot's name.
    pub name: String,
    /// The pilot's team.
    pub team: TeamId,
    /// What the pilot has achieved.
    pub score: Score,
    /// Credits that the pilot has.
    pub credits: u32,
}

/// The board, replicated to every client: a new state every [`BOARD_EVERY_S`], if it has changed.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings {
    /// Number of pilots in the game.
    pub pilots: u32,
    /// The best of them, best first.
    pub best: Vec<Standing>,
}

/// Server to client: the pilot's own row when it has changed, at most as often as the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnStanding {
    /// Rank on the board, from 1.
    pub rank: u32,
    /// The pilot's row.
    pub standing: Standing,
}
