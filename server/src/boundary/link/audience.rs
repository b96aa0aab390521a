//! The audience of a message to many players.

use glam::Vec2;
use throng_shared::protocol::ids::TeamId;

use crate::boundary::frame::PlayerRow;
use crate::space::RoomId;

/// The sessions of a worker to which a message is sent. Applies to the players of all simulations of the process,
/// except where noted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Audience {
    /// All players of the process.
    All,
    /// All players of the simulation that sends the message.
    Own,
    /// All players of a team.
    Team(TeamId),
    /// All players whose view reaches a position.
    InSight {
        /// Position, in units.
        position: Vec2,
        /// Room of the position.
        room: RoomId,
    },
}

impl Audience {
    /// Returns whether `player` belongs to the audience. `player` must be a row of the simulation that runs the
    /// player; for [`Audience::Own`], that must be the simulation that sends the message.
    #[must_use]
    pub fn includes(&self, player: &PlayerRow) -> bool {
        match *self {
            Self::All | Self::Own => true,
            Self::Team(team) => team.is_mate(player.team),
            Self::InSight { position, room } => {
                let reach2 = player.radius * player.radius;
                player.radius > 0.0 && player.room == room && player.eye.distance_squared(position) <= reach2
            }
        }
    }
}
