//! Whom a message for many is for.

use glam::Vec2;
use throng_shared::protocol::ids::TeamId;

use crate::boundary::frame::PlayerRow;
use crate::space::RoomId;

/// Whom of its sessions a worker is to send a message, whichever simulation of the process has the player.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Audience {
    /// Every player.
    All,
    /// Every player of the simulation that speaks.
    Own,
    /// The players of a team.
    Team(TeamId),
    /// The players whose view reaches a place.
    InSight {
        /// The place, in units.
        position: Vec2,
        /// The room in which it is.
        room: RoomId,
    },
}

impl Audience {
    /// Whether a player who is at home in a frame belongs to it, for [`Audience::Own`] in one of the simulation
    /// that speaks.
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
