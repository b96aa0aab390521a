//! The protocol of an end: a hash over everything that both ends must agree on, and a version that a
//! person can read.
//!
//! Guarantees that the hash is the same in every build that registers the same types in the same order: it
//! contains no addresses, no `TypeId`s and no layout. It changes when a field is added to a type, or when two fields change
//! places. Of a type that cannot be traced, only a part counts; see [`Protocol::hash`](super::registry::Protocol::hash).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::VERSION_BYTES_MAX;

/// Hash of a protocol; ends with different hashes refuse each other. In text 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProtocolHash(pub u64);

/// Why a text is not a protocol hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a protocol hash has 16 hexadecimal digits")]
pub struct ProtocolHashError;

impl fmt::Display for ProtocolHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ProtocolHash {
    type Err = ProtocolHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ProtocolHashError);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ProtocolHashError)
    }
}

impl TryFrom<String> for ProtocolHash {
    type Error = ProtocolHashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ProtocolHash> for String {
    fn from(hash: ProtocolHash) -> Self {
        hash.to_string()
    }
}

/// A release, such as `0.1.0`: at most [`VERSION_BYTES_MAX`] printable ASCII bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release {
    length: u8,
    bytes: [u8; VERSION_BYTES_MAX],
}

impl Release {
    /// The release of this crate, from its manifest.
    pub const CURRENT: Self = match Self::new(env!("CARGO_PKG_VERSION").as_bytes()) {
        Some(release) => release,
        None => panic!("the crate's version fits"),
    };

    /// Copies the text; `None` when it is too long or has bytes that a terminal should not show.
    #[must_use]
    pub const fn new(text: &[u8]) -> Option<Self> {
        if text.len() > VERSION_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; VERSION_BYTES_MAX];
        let mut index = 0;
        while index < text.len() {
            if !text[index].is_ascii_graphic() {
                return None;
            }
            bytes[index] = text[index];
            index += 1;
        }
        Some(Self {
            length: text.len() as u8,
            bytes,
        })
    }

    /// Returns the text of the release.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release({self})")
    }
}

/// The protocol and release of an end, shown as `0.1.0 (hash 1f2e3d4c5b6a7988)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolVersion {
    /// The hash, which must be equal at both ends.
    pub hash: ProtocolHash,
    /// The game's version, or the release of Throng: it shows a person which end is the older one.
    pub release: Release,
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (hash {})", self.release, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_version_is_shown_as_release_and_hash() {
        let version = ProtocolVersion {
            hash: ProtocolHash(0x1f2e),
            release: Release::new(b"0.1.0").unwrap(),
        };
        assert_eq!(version.to_string(), "0.1.0 (hash 0000000000001f2e)");
        assert_eq!(Release::CURRENT.to_string(), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_release_refuses_control_characters_and_long_texts() {
        assert!(Release::new(b"\x1b[2J").is_none());
        assert!(Release::new(&[b'1'; VERSION_BYTES_MAX + 1]).is_none());
        assert!(Release::new(&[b'1'; VERSION_BYTES_MAX]).is_some());
    }

    proptest! {
        #[test]
        fn a_hash_round_trips_through_text(hash: u64) {
            let text = ProtocolHash(hash).to_string();
            prop_assert_eq!(text.parse(), Ok(ProtocolHash(hash)));
            prop_assert!(text[1..].parse::<ProtocolHash>().is_err());
        }

        #[test]
        fn any_text_parses_to_a_hash_or_an_error(text in ".{0,20}") {
            let _ = text.parse::<ProtocolHash>();
        }
    }
}
