//! Joining over HTTP: the client sends a name and a protocol hash, the server returns a connect token.
//!
//! Calls block, so they belong on a thread of their own; connections are kept alive between calls. Every
//! failure is a typed [`JoinError`] that also says whether trying again makes sense. Responses are bounded in
//! size and time.
//!
//! A [`Joiner`] may keep the client's credential in a file. [`Reconnect`] decides when a lost connection is worth another
//! join.

mod credential;
mod error;
mod joiner;
mod reconnect;

pub use credential::CredentialError;
pub use error::JoinError;
pub use joiner::{Joined, Joiner};
pub use reconnect::{Reconnect, ReconnectConfig, ReconnectState, Retry};
