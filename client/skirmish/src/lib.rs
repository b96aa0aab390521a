//! Skirmish's client, built on Throng's client library: prediction, chat, a scripted pilot, and the window.
//!
//! [`SkirmishClientPlugin`] is the part that every client of the game needs; it draws nothing. It adds the
//! protocol, the server's content, prediction of the own ship and its missiles, and interpolation of all other
//! entities. [`program`] is the program `skirmish`: without the feature `window` it is controlled by a script.

mod chat;
mod content;
mod credential;
mod detail_choice;
mod headless;
mod plugin;
mod prediction;
pub mod program;
#[cfg(feature = "window")]
mod window;

pub use content::KnownContent;
pub use plugin::SkirmishClientPlugin;
