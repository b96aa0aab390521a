//! Server and clients in one process, without sockets: for tests of games, and for single player.
//!
//! [`LocalGame`] runs a server app and any number of client apps in virtual time, with the same workers, packets and
//! mirrors as over the network. Its course follows from the seed and the calls alone. [`SinglePlayerPlugin`] adds the
//! player to the server's own app: no packets, no second copy of the world, and the same plugins of the game.

#[cfg(test)]
mod disabled;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod fixtures;
mod game;
#[cfg(test)]
mod held_message_tests;
#[cfg(test)]
mod identity_tests;
#[cfg(test)]
mod importance;
#[cfg(test)]
mod log;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod mistakes_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod predict_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod rewind_tests;
#[cfg(test)]
mod session_tests;
mod single;
#[cfg(test)]
mod space_motion_tests;
#[cfg(test)]
mod space_tests;
#[cfg(test)]
mod system_mistakes_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod values_tests;

pub use game::{LocalClient, LocalConfig, LocalGame, LocalPlayer};
pub use single::SinglePlayerPlugin;
