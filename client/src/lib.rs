//! Throng's client core, without rendering: connect, mirror, acknowledge, send inputs, reconnect.
//!
//! From the inside out: [`connection`] is one session without sockets or clocks. [`player`] drives it over UDP
//! and joins again when it ends. [`world`] writes what the session sees into a Bevy `World`. [`predict`] and
//! [`interpolate`] compute which value is drawn for each entity. docs/client.md is the manual.

pub mod blend;
pub mod connection;
pub mod interpolate;
pub mod join;
pub mod link;
pub mod mirror;
pub mod player;
pub mod predict;
pub mod prelude;
pub mod schedule;
pub mod seeded;
pub mod stats;
pub mod time;
pub mod world;

/// Compiles the manual's examples as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
pub struct Manual;
