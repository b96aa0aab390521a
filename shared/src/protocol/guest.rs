//! Joining over HTTP: the bodies of `POST /v1/guest` and of every error of the HTTP API, as JSON.
//!
//! Owns the field names. Guarantees that numbers fit what any JSON reader holds exactly (below 2^53);
//! the protocol hash, which does not, is text. Refuses to check values: that is the server's.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a guest sends to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRequest {
    /// The name to play under: 1 to [`PLAYER_NAME_BYTES_MAX`](crate::limits::PLAYER_NAME_BYTES_MAX) bytes
    /// of UTF-8, no control characters.
    pub name: String,
    /// The client's [`ProtocolHash`](super::version::ProtocolHash): 16 hexadecimal digits.
    pub protocol_hash: String,
    /// The client's version, for the message when the hashes differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// [`GuestResponse::resume`] of an earlier join: come back as the same client. The new session takes
    /// the old one's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
}

/// What a guest is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestResponse {
    /// The netcode connect token, standard base64. It holds the session's keys: keep it secret.
    pub token: String,
    /// The net worker's UDP address, the same as in the token.
    pub address: SocketAddr,
    /// The newest tick.
    pub tick: u32,
    /// Ticks a second.
    pub tick_rate: u16,
    /// Who the client is, below 2^53.
    pub client_id: u64,
    /// The server's version.
    pub server_version: String,
    /// Shown in a later join to come back as the same client, to this server process.
    pub resume: String,
}

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for a program and for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A word that does not change between versions, such as `protocol_mismatch`.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What the two ends speak, where that is what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<BothVersions>,
}

/// Two protocols that are not the same, each as `0.1.0 (hash 1f2e3d4c5b6a7988)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothVersions {
    /// What the client said it speaks.
    pub client: String,
    /// What the server speaks.
    pub server: String,
}
