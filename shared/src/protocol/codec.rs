//! Converts serde values to bytes. The only user of bincode, so that a compatible crate can replace it.
//!
//! The format is bincode 2's standard one: little endian, integers of variable length. Guarantees
//! that decoding neither panics nor allocates more than 1 MiB (serde's own caution) beyond the size of the
//! input. Accepts any value of a type: the caller validates. A replicated type must not contain sequences of
//! zero-sized elements: their length alone would make a loop of any size.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest number of bytes of one encoded value; a larger one is neither encoded nor decoded.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

const CONFIG: Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>> =
    standard().with_limit::<VALUE_BYTES_MAX>();

/// Largest number of bytes of one encoded state: data that is never sent in a packet, such as a checkpoint.
pub const STATE_BYTES_MAX: usize = 1 << 30;

const STATE_CONFIG: Configuration<LittleEndian, Varint, Limit<STATE_BYTES_MAX>> =
    standard().with_limit::<STATE_BYTES_MAX>();

/// Why a value could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value cannot be serialized, or does not fit the room.
    #[error("cannot encode: {0}")]
    Encode(bincode::error::EncodeError),
    /// The bytes are not a value of this type.
    #[error("cannot decode: {0}")]
    Decode(bincode::error::DecodeError),
    /// A value was decoded, but bytes are left after it.
    #[error("{0} bytes left after the value")]
    Trailing(usize),
    /// The bytes are not valid in a format of the game's own.
    #[error("the bytes are not a value of this format")]
    Invalid,
    /// The bytes end before the value begins.
    #[error("the bytes end before the value begins")]
    TooShort,
    /// The encoded value is longer than its destination allows.
    #[error("{bytes} bytes are more than the {max} allowed")]
    TooLong {
        /// Bytes of the encoded value.
        bytes: usize,
        /// Bytes that are allowed.
        max: usize,
    },
}

impl CodecError {
    /// Returns the error with the bound of a value's destination, which is lower than that of all values.
    pub(crate) fn within(self, max: usize) -> Self {
        match self {
            Self::TooLong { bytes, .. } => Self::TooLong { bytes, max },
            other => other,
        }
    }
}

/// Appends the encoded value to `out` and returns its number of bytes.
///
/// # Errors
/// [`CodecError::Encode`] or [`CodecError::TooLong`] (over [`VALUE_BYTES_MAX`]); `out` is then unchanged.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<usize, CodecError> {
    let start = out.len();
    let result = bincode::serde::encode_into_std_write(value, out, CONFIG);
    let bytes = out.len() - start;
    let error = match result {
        Ok(_) if bytes <= VALUE_BYTES_MAX => return Ok(bytes),
        Ok(_) => CodecError::TooLong {
            bytes,
            max: VALUE_BYTES_MAX,
        },
        Err(error) => CodecError::Encode(error),
    };
    out.truncate(start);
    Err(error)
}

/// Encodes a value into the front of `out` and returns its number of bytes. Does not allocate.
///
/// # Errors
/// [`CodecError::Encode`], also when `out` is too short.
pub(crate) fn encode_slice<T: Serialize + ?Sized>(value: &T, out: &mut [u8]) -> Result<usize, CodecError> {
    bincode::serde::encode_into_slice(value, out, CONFIG).map_err(CodecError::Encode)
}

/// Decodes the value at the front of `bytes`. Returns it and its number of bytes.
///
/// # Errors
/// [`CodecError::Decode`] when the bytes do not begin with such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    bincode::serde::decode_from_slice(bytes, CONFIG).map_err(CodecError::Decode)
}

/// Decodes a value that takes all of `bytes`.
///
/// # Errors
/// [`CodecError::Decode`] or [`CodecError::Trailing`].
pub fn decode_exact<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode(bytes)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

/// Appends a state of up to [`STATE_BYTES_MAX`] to `out` and returns its number of bytes.
///
/// # Errors
/// [`CodecError::Encode`] or [`CodecError::TooLong`]; `out` is then unchanged.
pub fn encode_state_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<usize, CodecError> {
    let start = out.len();
    let result = bincode::serde::encode_into_std_write(value, out, STATE_CONFIG);
    let bytes = out.len() - start;
    let error = match result {
        Ok(_) if bytes <= STATE_BYTES_MAX => return Ok(bytes),
        Ok(_) => CodecError::TooLong {
            bytes,
            max: STATE_BYTES_MAX,
        },
        Err(error) => CodecError::Encode(error),
    };
    out.truncate(start);
    Err(error)
}

/// Decodes a state of up to [`STATE_BYTES_MAX`] that takes all of `bytes`.
///
/// # Errors
/// [`CodecError::Decode`] or [`CodecError::Trailing`].
pub fn decode_state_exact<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, STATE_CONFIG).map_err(CodecError::Decode)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Cargo {
        Empty,
        Ore { kilograms: u32, grades: Vec<u8> },
        Named(String, Option<i64>),
    }

    fn cargo() -> impl Strategy<Value = Cargo> {
        prop_oneof![
            Just(Cargo::Empty),
            (any::<u32>(), prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(kilograms, grades)| Cargo::Ore { kilograms, grades }),
            (".{0,20}", any::<Option<i64>>()).prop_map(|(name, count)| Cargo::Named(name, count)),
        ]
    }

    #[test]
    fn a_value_that_is_too_large_leaves_the_buffer_unchanged() {
        let mut out = vec![7];
        let large = vec![0u8; VALUE_BYTES_MAX];
        assert!(matches!(
            encode_into(&large, &mut out),
            Err(CodecError::TooLong { .. })
        ));
        assert_eq!(out, [7]);
        assert!(encode_slice(&large, &mut [0; 16]).is_err());
    }

    #[test]
    fn lengths_beyond_the_bytes_are_refused() {
        let mut bytes = vec![253];
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<u8>>(&bytes).is_err());
        assert!(decode::<Vec<[u64; 32]>>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn values_round_trip(value in cargo()) {
            let mut bytes = vec![9, 9];
            let length = encode_into(&value, &mut bytes).unwrap();
            prop_assert_eq!(length, bytes.len() - 2);
            prop_assert_eq!(decode_exact::<Cargo>(&bytes[2..]).unwrap(), value.clone());
            let mut slice = [0; 256];
            prop_assert_eq!(encode_slice(&value, &mut slice).unwrap(), length);
            prop_assert_eq!(&slice[..length], &bytes[2..]);
            for end in 0..length {
                prop_assert!(decode_exact::<Cargo>(&slice[..end]).is_err());
            }
            prop_assert!(matches!(decode_exact::<Cargo>(&slice[..=length]), Err(CodecError::Trailing(1))));
        }

        #[test]
        fn random_bytes_decode_to_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((_, used)) = decode::<Cargo>(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
