//! Why a connect token cannot be made or read.

use super::TOKEN_BYTES;

/// Why a token could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A token names 1 to 32 servers.
    #[error("a connect token names 1 to 32 servers, not {0}")]
    AddressCount(usize),
    /// An address that is neither IPv4 nor IPv6.
    #[error("a server's address in the connect token is of unknown type {0}")]
    AddressType(u8),
    /// The bytes end before the token does.
    #[error("the connect token is cut short")]
    Truncated,
    /// More bytes than any token has.
    #[error("the connect token is {0} bytes long, more than {TOKEN_BYTES}")]
    TooLong(usize),
    /// The token is for another version of netcode.
    #[error("the connect token is not of netcode 1.02")]
    Version,
    /// The token expires before it was made.
    #[error("the connect token expires before it was made")]
    Lifetime,
}
