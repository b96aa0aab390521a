//! Throng's client core, without rendering: connect, mirror, acknowledge, send inputs, reconnect.

pub mod clock;
pub mod connection;
pub mod inputs;
pub mod join;
pub mod mirror;
pub mod reconnect;
pub mod seeded;
pub mod socket;
pub mod world;
