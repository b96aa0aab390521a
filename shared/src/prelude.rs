//! Imports for the protocol plugin that both ends of a game add.

pub use crate::protocol::active::{ActiveInput, SeenAt};
pub use crate::protocol::ids::{Channel, GlobalId, PlayerId, Team, TeamId};
pub use crate::protocol::input::PlayerInput;
pub use crate::protocol::pose::{Heading, Position, Velocity};
pub use crate::protocol::pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d};
pub use crate::protocol::registry::{
    Custom, Delta, FromPlayer, FromServer, Protocol, ProtocolAppExt, Visibility, Witness,
};
pub use crate::tick::Tick;
