//! Where a connection stands, for people.

use std::fmt;
use std::time::Duration;

use bevy_ecs::prelude::Resource;

/// Where a connection stands. Every `why` is a sentence that names the server and the reason: refused, another
/// protocol with both versions, full, timed out, ended by the server.
#[derive(Resource, Debug, Clone, Default, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Nobody has asked for one, or the player has left.
    #[default]
    Idle,
    /// The server is asked for a session.
    Joining {
        /// How many attempts failed before this one.
        failures: u32,
    },
    /// A session begins: the handshake is under way.
    Connecting,
    /// The server knows the player.
    Playing {
        /// The server's version.
        server_version: String,
    },
    /// The connection was lost or could not be made; it is tried again by itself.
    Waiting {
        /// How many attempts failed so far.
        failures: u32,
        /// Time until the next one.
        remaining: Duration,
        /// What went wrong.
        why: String,
    },
    /// There will be no further attempt.
    Failed {
        /// What went wrong.
        why: String,
    },
}

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("not connected"),
            Self::Joining { failures: 0 } => f.write_str("joining"),
            Self::Joining { failures } => write!(f, "joining, after {failures} failed attempts"),
            Self::Connecting => f.write_str("connecting"),
            Self::Playing { server_version } => write!(f, "playing on a server of version {server_version}"),
            Self::Waiting { remaining, why, .. } => {
                write!(f, "{why}; trying again in {:.1} s", remaining.as_secs_f32())
            }
            Self::Failed { why } => f.write_str(why),
        }
    }
}
