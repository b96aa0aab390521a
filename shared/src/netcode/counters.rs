//! Why a datagram was dropped, and how often.
//!
//! Owns the list of reasons and one counter for each. Guarantees that every datagram which is given to
//! [`ServerNetcode::receive`](super::ServerNetcode::receive) and leads to nothing is counted exactly
//! once. Never logs: a flood of bad datagrams must not become a flood of log lines.

use core::fmt;

/// Declares the reasons once, so that their number and their list cannot fall out of step.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a datagram led to nothing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A short name in `snake_case`, for metrics and for people.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Shorter than the shortest packet (17 bytes).
    TooShort = "too_short",
    /// Longer than [`PACKET_BYTES_MAX`](super::PACKET_BYTES_MAX).
    TooLong = "too_long",
    /// No such packet type, a sequence number wider than eight bytes, or one in a connection request.
    UnknownType = "unknown_type",
    /// Neither a session nor a handshake belongs to this address, and it is no connection request.
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
    /// The connect token has already opened a session; each opens one only.
    TokenSpent = "token_spent",
    /// More connection requests this second than the server is willing to open.
    RateLimited = "rate_limited",
    /// The connect token was not made with our private key, or was changed on its way.
    TokenForged = "token_forged",
    /// The connect token is authentic and does not parse.
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
    /// As many handshakes as the server holds are under way.
    PendingFull = "pending_full",
    /// As many connect tokens as the server remembers are in use.
    TokensFull = "tokens_full",
    /// The challenge in a response is not ours, or was given to another token.
    ChallengeForged = "challenge_forged",
    /// The sequence number was received before, or is older than the replay window.
    Replayed = "replayed",
    /// The packet is not authentic: another key, or changed on its way.
    Unauthentic = "unauthentic",
    /// The packet is authentic, and its body has a wrong length.
    Malformed = "malformed",
    /// The packet is well-formed and makes no sense in this state or from this side.
    Unexpected = "unexpected",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What a server has seen since it began. All counts only ever grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetcodeCounters {
    dropped: [u64; DropReason::ALL.len()],
    /// Challenges sent: handshakes begun or repeated with a valid token.
    pub challenges: u64,
    /// Denials sent because the server was full.
    pub denials: u64,
    /// Sessions opened, take-overs included.
    pub connected: u64,
    /// Sessions that were replaced by a newer one of the same client.
    pub replaced: u64,
    /// Sessions ended by their clients.
    pub disconnected: u64,
    /// Sessions ended because nothing was heard of them.
    pub timed_out: u64,
    /// Keep-alive packets sent.
    pub keep_alives: u64,
}

impl NetcodeCounters {
    /// Datagrams dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Datagrams dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Every reason with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.dropped(reason)))
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
