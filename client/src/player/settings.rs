//! What a client needs to know before it joins.

use std::time::Duration;

use crate::join::ReconnectConfig;

/// Who plays where.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// The server's HTTP address: `ADDRESS:PORT` or a URL.
    pub server: String,
    /// The player's name.
    pub name: String,
    /// How long a join may take.
    pub join_timeout: Duration,
    /// When to try again.
    pub reconnect: ReconnectConfig,
    /// Spreads the attempts of many players over time.
    pub seed: u64,
}

impl ClientSettings {
    /// Settings for a player called `name`; the seed follows from the name.
    pub fn new(server: &str, name: &str) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            server: server.to_owned(),
            name: name.to_owned(),
            join_timeout: Duration::from_secs(5),
            reconnect: ReconnectConfig::default(),
            seed,
        }
    }
}
