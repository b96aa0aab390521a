//! Throng's client core, without rendering: connect, mirror, acknowledge, send inputs, reconnect.
//!
//! From the inside out: [`connection`] is one session without sockets or clocks, [`player`] drives it over
//! UDP and joins again when it ends, [`world`] shows in a Bevy `World` what it sees, [`predict`] and
//! [`interpolate`] say what of it is drawn where. docs/client.md is the manual.

pub mod blend;
pub mod clock;
pub mod connection;
pub mod delay;
#[cfg(feature = "game")]
pub mod game;
#[cfg(feature = "headless")]
pub mod headless;
pub mod inputs;
pub mod interpolate;
pub mod join;
pub mod line;
pub mod link;
pub mod mirror;
pub mod moment;
pub mod player;
pub mod predict;
pub mod prelude;
#[cfg(feature = "headless")]
pub mod program;
pub mod reconnect;
pub mod schedule;
pub mod seeded;
#[cfg(feature = "skirmish")]
pub mod skirmish;
pub mod socket;
pub mod spawns;
pub mod stats;
pub mod status;
pub mod world;

/// The manual, whose examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
pub struct Manual;
