//! Prediction and interpolation on bad lines, compared with the server's frames.
#![expect(clippy::print_stdout, reason = "the figures are shown with --nocapture")]

mod flight;
mod headless;
mod interpolation;
mod missiles;
mod prediction;
