//! The settings of a client: server, player name and reconnection.

use std::path::PathBuf;
use std::time::Duration;

use throng_shared::hash::fnv1a;

use crate::join::ReconnectConfig;

/// The settings of one client.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// The server's HTTP address: `ADDRESS:PORT` or a URL.
    pub server: String,
    /// The player's name, as other players see it.
    pub name: String,
    /// The longest time that a join may take.
    pub join_timeout: Duration,
    /// The file that keeps the client's credential, so that a client that was killed comes back as the same player when
    /// it starts again, while the server lives. It is a secret, for this server only. Of two clients with one file, the
    /// second replaces the first. `None`, the default, keeps the credential in memory.
    pub credential_file: Option<PathBuf>,
    /// The backoff of automatic reconnection.
    pub reconnect: ReconnectConfig,
    /// Seed of the reconnection jitter, which spreads the attempts of many players over time.
    pub seed: u64,
}

impl ClientSettings {
    /// Creates settings for a player called `name`; the seed is a hash of the name.
    pub fn new(server: &str, name: &str) -> Self {
        Self {
            server: server.to_owned(),
            name: name.to_owned(),
            join_timeout: Duration::from_secs(5),
            credential_file: None,
            reconnect: ReconnectConfig::default(),
            seed: fnv1a(name.as_bytes()),
        }
    }
}
