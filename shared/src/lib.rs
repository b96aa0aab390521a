//! What a Throng server and its clients agree on: ticks, limits, the protocol, and the sans-IO transport.

pub mod limits;
pub mod netcode;
pub mod prefetch;
pub mod prelude;
pub mod protocol;
pub mod reliable;
pub mod tick;
