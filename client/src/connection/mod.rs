//! One client's session, sans-IO: datagrams and time go in, datagrams and events come out.
//!
//! Owns netcode's client half, the hello exchange, the mirror with its acknowledgements, the clock with its
//! inputs, the reliable messages, and the watch over the server's replies. Guarantees: nothing the server sends panics or allocates beyond the
//! bounds in [`limits`](throng_shared::limits); the steady state allocates nothing; every end of the session
//! has one typed reason. Refuses to open sockets, to read clocks, and to join again: a core lives for one
//! token, [`Client`](crate::player::Client) makes the next one.

mod core;
mod events;
mod inputs;
mod silence;

pub use self::core::{ClientConfig, ClientCore};
pub use events::{ClientEvent, EndReason};
pub(crate) use silence::ALARM_AFTER;
