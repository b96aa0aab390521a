//! Joining over HTTP: a name and a protocol hash go to the server, a connect token comes back.
//!
//! Blocking, for a thread of its own; connections are kept alive between calls. Every failure is a typed
//! [`JoinError`] that also says whether trying again makes sense. Answers are bounded in size and time.
//!
//! `Reconnect` decides when a lost connection is worth another join.

mod error;
mod joiner;
mod reconnect;

pub use error::JoinError;
pub use joiner::{Joined, Joiner};
pub(crate) use reconnect::{Reconnect, ReconnectState};
pub use reconnect::{ReconnectConfig, Retry};
