//! Skirmish's client on Throng's client library: prediction, chat, a scripted pilot, and the window.
//!
//! [`SkirmishClientPlugin`] is what every client of the game needs and draws nothing: the protocol, the content of
//! the server, prediction of the own ship and its missiles, and interpolation of all others. [`program`] is the
//! program `skirmish`: without the feature `window` it is flown by a script.

mod chat;
mod content;
mod headless;
mod plugin;
mod prediction;
pub mod program;
#[cfg(feature = "window")]
mod window;

pub use content::KnownContent;
pub use plugin::SkirmishClientPlugin;
