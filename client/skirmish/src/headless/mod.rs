//! Skirmish without a window: a real client on a real server, controlled by a script.
//!
//! Owns the script's language (`Script`), the run, and the `FlightReport`. Uses the library as the game does:
//! the same connection, prediction and interpolation. Refuses to draw, and to make any decision that is not in
//! the script.

mod error;
mod report;
mod run;
mod script;
#[cfg(test)]
mod tests;

pub(crate) use run::{HeadlessOptions, run};
