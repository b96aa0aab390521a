//! What is wrong with values that are about to be sent, and what was already said about it.
//!
//! A type can encode and still never arrive: serde writes what it cannot read again (`tag`, `flatten`,
//! `skip_serializing_if`), or writes equal values differently (a `HashMap`). So the first values of each type are decoded
//! again where they are sent. Owns the check and the memory of what was said; an end that finds a fault logs it once for each
//! type.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::codecs::{ComponentCodec, encode_bounded};
use super::value::RegistryError;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::protocol::codec::CodecError;

/// Values of each type that are checked. Later ones are not.
pub const CHECKED_VALUES: u8 = 64;

/// Decodings of one checked value: a map of two elements has equal orders in half of them.
const DECODINGS: usize = 3;

/// What is wrong with a value that is about to be sent, or that arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// The value cannot be encoded, or not in the bytes that it may have.
    #[error("the value cannot be sent: {0}")]
    Encode(String),
    /// The value does not fit a packet beside the other components of its entity that are due.
    #[error(
        "the value cannot be sent: it has {bytes} bytes, and the components of the entity that are due at once have at most {max} together"
    )]
    Crowded {
        /// Bytes of the value.
        bytes: usize,
        /// Bytes of all the components that are due at once.
        max: usize,
    },
    /// The bytes cannot be decoded.
    #[error("the value of {bytes} bytes (at most {max}) cannot be decoded: {error}")]
    Decode {
        /// Bytes of the encoded value.
        bytes: usize,
        /// Bytes that it may have.
        max: usize,
        /// Why it cannot be decoded.
        error: String,
    },
    /// The decoded value is encoded to other bytes.
    #[error(
        "a decoded value is not encoded alike again: a replay diverges and so does a restored checkpoint. Use BTreeMap and BTreeSet in place of HashMap and HashSet"
    )]
    Unlike,
}

impl ValueFault {
    /// Returns the fault of bytes that could not be decoded.
    #[must_use]
    pub fn decode(bytes: usize, max: usize, error: &RegistryError) -> Self {
        Self::Decode {
            bytes,
            max,
            error: error.to_string(),
        }
    }

    /// Returns the fault of a value that could not be encoded.
    #[must_use]
    pub fn encode(error: &RegistryError) -> Self {
        Self::Encode(error.to_string())
    }

    const fn bit(&self) -> u8 {
        match self {
            Self::Encode(_) => 1,
            Self::Crowded { .. } => 2,
            Self::Decode { .. } => 4,
            Self::Unlike => 8,
        }
    }
}

/// The kinds of faults that were said about one type, and how many of its values were checked.
#[derive(Debug, Default)]
pub(super) struct Said {
    kinds: AtomicU8,
    checked: AtomicU8,
}

impl Said {
    /// Returns whether a fault of this kind is the first.
    pub(super) fn is_new(&self, fault: &ValueFault) -> bool {
        self.kinds.fetch_or(fault.bit(), Relaxed) & fault.bit() == 0
    }

    /// Returns what is wrong with a value that was just encoded, if that was not said before: the error, or that the bytes
    /// cannot be decoded, which is checked for the first values.
    pub(super) fn fault_of(
        &self,
        error: Option<&RegistryError>,
        bytes: &[u8],
        max: usize,
        decode: impl FnOnce(&[u8]) -> Result<(), RegistryError>,
    ) -> Option<ValueFault> {
        let fault = match error {
            Some(error @ RegistryError::Codec(_)) => ValueFault::encode(error),
            None if self.is_due() => ValueFault::decode(bytes.len(), max, &decode(bytes).err()?),
            Some(_) | None => return None,
        };
        self.is_new(&fault).then_some(fault)
    }

    /// Returns whether the next value is one of the first, which are checked.
    fn is_due(&self) -> bool {
        // Reads before it writes, so that later values cost one load.
        self.checked.load(Relaxed) < CHECKED_VALUES && self.checked.fetch_add(1, Relaxed) < CHECKED_VALUES
    }
}

/// Encodes a value, decodes it several times and encodes each again.
pub(super) fn round_trip<T>(codec: &impl ComponentCodec<T>, value: &T) -> Result<(), ValueFault> {
    let mut bytes = Vec::new();
    encode_bounded(codec, value, &mut bytes).map_err(|error| ValueFault::encode(&error.into()))?;
    // A format that rounds need not return the first bytes, but the same bytes for each decoding.
    let mut expected = codec.is_exact().then(|| bytes.clone());
    for _ in 0..DECODINGS {
        let decoded = codec.decode(&bytes).map_err(|error: CodecError| {
            ValueFault::decode(bytes.len(), COMPONENT_BYTES_MAX, &error.into())
        })?;
        let mut again = Vec::new();
        encode_bounded(codec, &decoded, &mut again).map_err(|_| ValueFault::Unlike)?;
        if *expected.get_or_insert_with(|| again.clone()) != again {
            return Err(ValueFault::Unlike);
        }
    }
    Ok(())
}
