//! One player's client over real sockets: joins, plays, and joins again when the connection is lost.
//!
//! Owns the HTTP thread, the socket, the core and the reconnection machine, and drives them from one
//! non-blocking [`Client::poll`] that a game calls once a frame. Each join sends the `resume` proof of the
//! previous one, so that the player comes back as the same client: the server gives the new session a newer
//! number and replaces the old session by it.

mod client;
mod events;
mod settings;
mod status;

pub use client::Client;
pub use events::PlayerEvent;
pub use settings::ClientSettings;
pub use status::ConnectionStatus;
