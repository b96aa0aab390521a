//! The netcode 1.02 transport, both halves, without sockets or clocks.
//!
//! Owns connect tokens, the handshake, sealing and opening of packets, replay protection, keep-alives
//! and time-outs. Bytes and the time go in, bytes and events come out. Wire-compatible with `renetcode`
//! 2.0.0, which is the peer in this module's interoperability tests.
//!
//! Guarantees:
//! - no content of a packet is used before the packet is authenticated; no nonce is used twice under one key, whatever
//!   number of servers share a private key, if they share one [`UsedTokens`];
//! - bytes from the network never panic, and allocate only for a valid connect token, within
//!   [`ServerNetcodeConfig`]'s bounds; opening and sealing a packet allocates nothing;
//! - a reply is never larger than the datagram that caused it, and goes to that datagram's sender;
//! - a session is found in constant time, and [`ServerNetcode::update`] visits only sessions that may be
//!   due; neither cost depends on the number of sessions.
//!
//! Does not log, open sockets or read a clock, and never runs without encryption.

mod address;
mod aead;
mod challenge;
mod client;
mod counters;
mod entropy;
mod fields;
mod private_token;
mod rate;
mod replay;
mod server;
mod timer;
mod token;
mod token_error;
mod wire;

#[cfg(test)]
mod tests;

pub use aead::KEY_BYTES;
pub use client::{ClientNetcode, ClientReceived, ClientState, DisconnectReason, NetcodeEvent};
pub use counters::{DropReason, NetcodeCounters};
pub use entropy::{Entropy, EntropyError};
pub use server::{
    Reply, ServerNetcode, ServerNetcodeConfig, ServerReceived, SessionId, TOKENS_MAX, UsedTokens,
};
pub use token::{ConnectToken, TokenRequest};
pub use token_error::TokenError;
pub use wire::REQUEST_BYTES;

/// Protocol id of Throng in netcode packets. It never changes: netcode drops packets of another protocol id
/// silently, so the two ends compare what they must agree on after the handshake, where a mismatch can be
/// explained.
pub const PROTOCOL_ID: u64 = u64::from_le_bytes(*b"throng/1");
/// Bytes of a token written by [`ConnectToken::to_bytes`].
pub const TOKEN_BYTES: usize = 2_048;
/// Bytes of user data that a token carries to the server.
pub const USER_DATA_BYTES: usize = 256;
/// Bytes that a caller leaves free before a payload, for the prefix and the sequence number.
pub const SEAL_HEAD_BYTES: usize = 9;
/// Bytes that a caller leaves free behind a payload, for the authentication tag.
pub const SEAL_TAIL_BYTES: usize = aead::TAG_BYTES;
/// Bytes of the longest payload that can be sealed, as in `renetcode`.
pub const PAYLOAD_BYTES_MAX: usize = 1_300;
/// Bytes of the longest datagram that is read, as in `renetcode`. Longer ones are dropped.
pub const PACKET_BYTES_MAX: usize = 1_400;

/// Disconnect packets sent at the end of a session. None is acknowledged, so copies make up for loss.
const DISCONNECT_PACKETS: usize = 10;

/// Why a payload was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The session has ended, or the client is not connected.
    #[error("there is no such session")]
    NotConnected,
    /// The buffer has less than [`SEAL_HEAD_BYTES`] before or [`SEAL_TAIL_BYTES`] behind the payload.
    #[error("the buffer leaves no room around the payload")]
    NoRoom,
    /// The payload is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a payload of {0} bytes is longer than {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
}
