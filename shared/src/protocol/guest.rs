//! Joining over HTTP: the bodies of `POST /v1/guest` and of every error of the HTTP API, as JSON.
//!
//! Owns the field names. Guarantees that any JSON reader holds its numbers exactly (below 2^53); the
//! protocol hash, which is larger, is text. Does not check values: the server does.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The body of a guest's request to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRequest {
    /// The player's name: 1 to [`PLAYER_NAME_BYTES_MAX`](crate::limits::PLAYER_NAME_BYTES_MAX) bytes
    /// of UTF-8 that can be seen. `docs/configuration.md` lists the characters that are refused.
    pub name: String,
    /// The client's [`ProtocolHash`](super::version::ProtocolHash): 16 hexadecimal digits.
    pub protocol_hash: String,
    /// The client's version, for the message when the hashes differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The short hashes of the protocol's parts ([`ProtocolParts::hashes`](super::registry::ProtocolParts::hashes)), standard
    /// base64, for the message when the protocols differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<String>,
    /// [`GuestResponse::resume`] of an earlier join, to come back as the same client. The new session
    /// replaces the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
}

/// The response to a guest's request to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestResponse {
    /// The netcode connect token, standard base64. It holds the session's keys: keep it secret.
    pub token: String,
    /// The net worker's UDP address, the same as in the token.
    pub address: SocketAddr,
    /// The newest tick of the server.
    pub tick: u32,
    /// Ticks a second.
    pub tick_rate: u16,
    /// Identifies the client; below 2^53.
    pub client_id: u64,
    /// The server's version.
    pub server_version: String,
    /// Sent in a later join to come back as the same client, to this server process.
    pub resume: String,
}

/// The body of every response that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A description of the error.
    pub error: ErrorDetail,
}

/// An error, described for a program and for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A word that does not change between versions, such as `protocol_mismatch`.
    pub code: String,
    /// A sentence that explains the error.
    pub message: String,
    /// The protocols of the two ends, if the error is that they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<BothVersions>,
}

/// Two different protocols, each as `0.1.0 (hash 1f2e3d4c5b6a7988)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothVersions {
    /// The protocol that the client sent.
    pub client: String,
    /// The protocol of the server.
    pub server: String,
    /// The first part in which they differ, if the client has sent the hashes of its parts and one differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<DifferentPart>,
}

/// A part of the server's protocol that differs from the client's part at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentPart {
    /// Index of the part, among those of either end.
    pub index: u32,
    /// Name of the part at the server, such as `component game::Hull`. Absent if the server has fewer parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
