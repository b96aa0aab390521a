//! The format of a checkpoint.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `THRONGCP` |
//! | 8..12 | version of the format |
//! | 12..20 | bytes of the body |
//! | 20..28 | [FNV-1a](fnv1a) of the body |
//! | 28.. | the body: a [`WorldImage`] |
//!
//! Numbers of the header are little endian; the body is a serde value. A type is named by its path.

use serde::{Deserialize, Serialize};
use throng_shared::hash::fnv1a;
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::tick::Tick;

use crate::simulation::resume::SimulationImage;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u32 = 2;

const MAGIC: &[u8; 8] = b"THRONGCP";
const HEADER_BYTES: usize = 28;

/// Why bytes are not a checkpoint that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes do not begin with the magic bytes of a checkpoint.
    #[error("not a checkpoint: it does not begin with THRONGCP")]
    Magic,
    /// The checkpoint has another version of the format.
    #[error("the checkpoint has format {0}, this server reads format {FORMAT_VERSION}")]
    Version(u32),
    /// The length differs from the length in the header.
    #[error("the checkpoint has {found} bytes instead of {expected}")]
    Length {
        /// Number of bytes according to the header.
        expected: u64,
        /// Number of bytes found.
        found: u64,
    },
    /// The body is damaged.
    #[error("the checkpoint is damaged: its digest is {found:016x} instead of {expected:016x}")]
    Digest {
        /// The digest in the header.
        expected: u64,
        /// The digest of the body.
        found: u64,
    },
    /// The body cannot be decoded.
    #[error("the checkpoint's body cannot be read: {0}")]
    Body(CodecError),
}

/// The content of a checkpoint: a whole ECS world.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorldImage {
    pub(super) simulation: SimulationImage,
    /// Names of the types of the values, which refer to them by index.
    pub(super) types: Vec<String>,
    pub(super) resources: Vec<ValueImage>,
    pub(super) entities: Vec<EntityImage>,
}

/// A value and the index of its type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ValueImage {
    pub(super) kind: u16,
    pub(super) bytes: Vec<u8>,
}

/// An entity with its components.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EntityImage {
    pub(super) role: EntityRole,
    pub(super) values: Vec<ValueImage>,
}

/// The role of an entity in the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum EntityRole {
    /// The player of a session.
    Player(PlayerImage),
    /// An entity that is replicated to clients.
    Replicated {
        global: u64,
        slot: u32,
        /// Tick of the row's last change; `None` before it has a row.
        changed: Option<Tick>,
    },
    /// An entity of the server only.
    Other,
    /// An entity that is replicated to clients when it is enabled again. It has no slot.
    Hidden { global: u64 },
}

/// A player and its session. A player that is away has the key of no session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlayerImage {
    pub(super) id: u32,
    pub(super) worker: u8,
    pub(super) index: u32,
    pub(super) generation: u32,
    pub(super) number: u64,
    pub(super) client_id: u64,
    pub(super) name: String,
    pub(super) speaks_renet: bool,
}

/// Encodes a checkpoint with its header.
pub(super) fn seal(image: &WorldImage) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![0; HEADER_BYTES];
    codec::encode_state_into(image, &mut bytes)?;
    write_header(&mut bytes);
    Ok(bytes)
}

/// Writes the header for the body that follows it in `bytes`.
fn write_header(bytes: &mut [u8]) {
    let (header, body) = bytes.split_at_mut(HEADER_BYTES);
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&(body.len() as u64).to_le_bytes());
    header[20..28].copy_from_slice(&fnv1a(body).to_le_bytes());
}

/// Checks and decodes a checkpoint.
pub(super) fn open(bytes: &[u8]) -> Result<WorldImage, FormatError> {
    if !bytes.starts_with(MAGIC) && !MAGIC.starts_with(bytes) {
        return Err(FormatError::Magic);
    }
    let found = bytes.len() as u64;
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        let expected = HEADER_BYTES as u64;
        return Err(FormatError::Length { expected, found });
    };
    let field = |offset: usize| header[offset..].first_chunk().copied().unwrap_or_default();
    let version = u32::from_le_bytes(header[8..].first_chunk().copied().unwrap_or_default());
    if version != FORMAT_VERSION {
        return Err(FormatError::Version(version));
    }
    let expected = u64::from_le_bytes(field(12)).saturating_add(HEADER_BYTES as u64);
    if expected != found {
        return Err(FormatError::Length { expected, found });
    }
    let (expected, found) = (u64::from_le_bytes(field(20)), fnv1a(body));
    if expected != found {
        return Err(FormatError::Digest { expected, found });
    }
    codec::decode_state_exact(body).map_err(FormatError::Body)
}

/// Recomputes the header of a damaged body, so that tests reach the checks behind the digest.
#[cfg(test)]
pub(super) fn reseal(bytes: &mut [u8]) {
    if bytes.len() >= HEADER_BYTES {
        write_header(bytes);
    }
}
