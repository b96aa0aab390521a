//! How a game feels on a bad line: what is predicted and what is interpolated, against the server's frames.

mod flight;
mod interpolation;
mod prediction;
