//! One player's client over real sockets: joins, plays, and joins again when the connection is lost or silent.
//!
//! Owns the HTTP thread, the sockets, the cores and the rules of succession, and drives them from one
//! non-blocking [`Client::poll`] that a game calls once a frame. Each join sends the `resume` proof of the
//! previous one, so that the player comes back as the same client: the server gives the new session a newer
//! number and replaces the old session by it.
//!
//! A session whose server is silent for 1.5 s is kept while another one is opened beside it. The first of the two that
//! the server replies to is played.

mod client;
mod events;
mod session;
mod settings;
mod status;
mod succession;

pub use client::Client;
pub use events::PlayerEvent;
pub use settings::ClientSettings;
pub use status::ConnectionStatus;
pub use succession::{NextStep, Succession};
