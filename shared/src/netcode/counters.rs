//! Why a datagram was dropped, and how often.
//!
//! Owns the list of reasons and one counter for each. Guarantees that every datagram that
//! [`ServerNetcode::receive`](super::ServerNetcode::receive) drops is counted exactly once. Never logs: a
//! flood of bad datagrams must not become a flood of log lines.

use core::fmt;

/// Declares the reasons once, so that their number and their list always agree.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a datagram was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns a short name in `snake_case`, for metrics and logs.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Shorter than the shortest packet (17 bytes).
    TooShort = "too_short",
    /// Longer than the longest packet, [`PACKET_BYTES_MAX`](super::PACKET_BYTES_MAX).
    TooLong = "too_long",
    /// No such packet type, a sequence number wider than eight bytes, or one in a connection request.
    UnknownType = "unknown_type",
    /// The address has no session and no handshake, and the packet is not a connection request.
    UnknownAddress = "unknown_address",
    /// A connection request that is not exactly [`REQUEST_BYTES`](super::REQUEST_BYTES) long.
    RequestLength = "request_length",
    /// A connection request of another version of netcode.
    Version = "version",
    /// A connection request for another protocol id.
    ProtocolId = "protocol_id",
    /// The connect token has expired.
    TokenExpired = "token_expired",
    /// The connect token is in use by another address.
    TokenElsewhere = "token_elsewhere",
    /// The connect token has already opened a session, on this server or on another one with its key; each opens one only.
    TokenSpent = "token_spent",
    /// More connection requests arrived this second than the server opens.
    RateLimited = "rate_limited",
    /// The connect token was not made with this server's private key, or was changed on its way.
    TokenForged = "token_forged",
    /// The connect token is authentic but does not parse.
    TokenMalformed = "token_malformed",
    /// The connect token does not name this server's address.
    WrongServer = "wrong_server",
    /// This client id has a session whose number is as new or newer.
    ClientConnected = "client_connected",
    /// The address has a session of another client.
    AddressConnected = "address_connected",
    /// A newer handshake of the same client is under way from this address.
    RequestOutdated = "request_outdated",
    /// Every session is taken. The client was sent a denial.
    ServerFull = "server_full",
    /// The servers of this key record as many unexpired connect tokens as they may, and this one expires first.
    TokensFull = "tokens_full",
    /// The challenge in a response was not made by this server, or was made for another token.
    ChallengeForged = "challenge_forged",
    /// The sequence number was received before, or is older than the replay window.
    Replayed = "replayed",
    /// The packet is not authentic: another key, or changed on its way.
    Unauthentic = "unauthentic",
    /// The packet is authentic, but its body has a wrong length.
    Malformed = "malformed",
    /// The packet is well-formed but not valid in this state or from this side.
    Unexpected = "unexpected",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What a server has counted since it was created. No count ever decreases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetcodeCounters {
    dropped: [u64; DropReason::ALL.len()],
    /// Challenges sent: handshakes begun or repeated with a valid token.
    pub challenges: u64,
    /// Pending handshakes removed to make room for newer ones.
    pub handshakes_evicted: u64,
    /// Denials sent because the server was full.
    pub denials: u64,
    /// Sessions opened, take-overs included.
    pub connected: u64,
    /// Sessions that were replaced by a newer one of the same client.
    pub replaced: u64,
    /// Sessions ended by their clients.
    pub disconnected: u64,
    /// Sessions ended because nothing was received from their clients.
    pub timed_out: u64,
    /// Keep-alive packets sent.
    pub keep_alives: u64,
}

impl NetcodeCounters {
    /// Returns the number of datagrams dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Returns the number of datagrams dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Returns every reason with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.dropped(reason)))
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
