//! The state of a connection, for players.

use std::fmt;
use std::time::Duration;

use bevy_ecs::prelude::Resource;

/// The state of a connection, for players. Every `why` that is not empty is a sentence that names the server and the reason:
/// refused, another protocol with both versions, full, timed out, ended by the server.
#[derive(Resource, Debug, Clone, Default, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// No connection was requested, or the player has left.
    #[default]
    Idle,
    /// An HTTP request for a session is under way.
    Joining {
        /// Number of failed attempts before this one.
        failures: u32,
    },
    /// The session's handshake is under way.
    Connecting,
    /// The server has welcomed the player.
    Playing {
        /// The server's release, as `0.2.0`.
        server_version: String,
    },
    /// The server has not replied for 1.5 s or more. The session is kept, and another one is opened beside it
    /// automatically.
    Silent {
        /// Time since the last reply.
        silent_for: Duration,
        /// Number of attempts to open another session that failed.
        failures: u32,
        /// The reason why the last of them failed, in words for players; empty before.
        why: String,
    },
    /// The connection was lost or could not be made; another attempt follows automatically.
    Waiting {
        /// Number of failed attempts so far.
        failures: u32,
        /// Time until the next attempt.
        remaining: Duration,
        /// The reason, in words for players.
        why: String,
    },
    /// There will be no further attempt.
    Failed {
        /// The reason, in words for players.
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
            Self::Silent { silent_for, why, .. } => {
                let seconds = silent_for.as_secs();
                write!(f, "no reply from the server for {seconds} s, reconnecting")?;
                match why.as_str() {
                    "" => Ok(()),
                    why => write!(f, ": {why}"),
                }
            }
            Self::Waiting { remaining, why, .. } => {
                write!(f, "{why}; trying again in {:.1} s", remaining.as_secs_f32())
            }
            Self::Failed { why } => f.write_str(why),
        }
    }
}
