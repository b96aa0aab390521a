//! Throng's client core, without rendering: connect, mirror, acknowledge, send inputs, reconnect.
//!
//! From the inside out: [`connection`] is one session without sockets or clocks, [`player`] drives it over
//! UDP and joins again when it ends, [`world`] shows in a Bevy `World` what it sees.

pub mod clock;
pub mod connection;
#[cfg(feature = "game")]
pub mod game;
pub mod inputs;
pub mod join;
pub mod mirror;
pub mod player;
pub mod prelude;
pub mod reconnect;
pub mod seeded;
pub mod socket;
pub mod world;
