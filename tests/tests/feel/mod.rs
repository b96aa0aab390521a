//! How a game feels on a bad line: what is predicted and what is interpolated, against the server's frames.
#![expect(clippy::print_stdout, reason = "the figures are for whoever asks for them")]

mod flight;
mod headless;
mod interpolation;
mod missiles;
mod prediction;
