//! What the client's side of a game needs.

pub use throng_shared::prelude::*;

pub use crate::player::ClientSettings;
pub use crate::world::{ClientWorldPlugin, ConnectionEvent, Mirrored, NextInput, Own, TellServer};
