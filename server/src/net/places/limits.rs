//! The limits of the places, and the reasons why a client gets none.

use std::time::Duration;

/// The limits of the places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    /// Places of the server.
    pub(crate) places_max: u32,
    /// Places of one worker up to which tokens are issued for it.
    pub(crate) worker_max: u32,
    /// Places of one address.
    pub(crate) address_max: u32,
    /// Whether clients on this machine are trusted.
    pub(crate) trusts_loopback: bool,
    /// Time after which a session without a hello ends; `None` never ends it, and counts it as proven.
    pub(crate) hello_timeout: Option<Duration>,
}

/// Why a client gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The client has a session with the same or a higher number.
    #[error("the client has a session that is as new or newer")]
    Outdated,
    /// There is no room, and the client's address holds as many unproven places as any other.
    #[error("the server is full")]
    Full,
    /// The client's address has as many places as it may.
    #[error("this address has as many sessions and unused tokens as it may")]
    AddressFull,
}
