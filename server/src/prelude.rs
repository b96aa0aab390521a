//! What the server's side of a game needs.

pub use throng_shared::prelude::*;

pub use crate::runner::TickTime;
pub use crate::schedule::ServerSystems;
pub use crate::simulation::{
    Avatar, Eye, Importance, Nearby, Owner, Place, Player, PlayerJoined, PlayerLeft, Replicated, Rewind,
    Room, Seed, Team, Tell, Viewer,
};
pub use crate::space::RoomId;
