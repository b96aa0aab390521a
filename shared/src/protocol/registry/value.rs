//! Values of types that only the registry knows, and why it refuses one.

use std::any::Any;

use crate::protocol::codec::CodecError;
use crate::protocol::ids::Channel;

/// A value whose type only the registry knows.
pub type AnyValue = dyn Any + Send + Sync;

/// Why the registry refuses a value or bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The bytes are not a value of the type, or the value cannot be encoded in the room it has.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The value is not of the registered type.
    #[error("the value is not a {0}")]
    WrongType(&'static str),
    /// The type was not registered.
    #[error("{0} is not registered in the protocol")]
    Unregistered(&'static str),
    /// No message has this id.
    #[error("no message has the id {0}")]
    UnknownMessage(u16),
    /// The message came through another channel than it is registered for.
    #[error("{name} arrived through channel {received:?}, not {registered:?}")]
    WrongChannel {
        /// Path of the message's type.
        name: &'static str,
        /// The channel through which it came.
        received: Channel,
        /// The channel for which it is registered.
        registered: Channel,
    },
    /// The message may only be sent in the other direction.
    #[error("{0} is not sent in this direction")]
    WrongDirection(&'static str),
    /// The input decodes, but its type refuses the values.
    #[error("the input is not valid: {0}")]
    InvalidInput(&'static str),
}
