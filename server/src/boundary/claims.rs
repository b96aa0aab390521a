//! The claims in a connect token: the 256 bytes of user data that the HTTP server seals into a token and that a
//! worker reads when the session connects.
//!
//! Owns the layout: bytes 0..8 the session number (little endian), 8..40 the player's name (UTF-8, padded
//! with zeros), 40..56 the address to which the token was issued (`address_group.rs`), the rest zero. Guarantees that
//! reading never fails. The bytes are authenticated, so a name that is not UTF-8 can only come from another issuer with
//! our key; its longest valid prefix is read. A name that the rules for names refuse is read as the empty name.

use std::fmt;

use throng_shared::limits::PLAYER_NAME_BYTES_MAX as NAME_BYTES_MAX;

pub(crate) use super::name_rules::NameError;

use super::name_rules;

/// Size of the user data in a netcode connect token, in bytes.
pub const USER_DATA_BYTES: usize = 256;

/// A player's name: at most [`PLAYER_NAME_BYTES_MAX`](throng_shared::limits::PLAYER_NAME_BYTES_MAX) bytes of
/// UTF-8, copied by value through the links.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PlayerName {
    len: u8,
    bytes: [u8; NAME_BYTES_MAX],
}

impl PlayerName {
    /// Returns the name, or `None` if it is longer than
    /// [`PLAYER_NAME_BYTES_MAX`](throng_shared::limits::PLAYER_NAME_BYTES_MAX) bytes, has nothing to see, or has control
    /// characters, characters that cannot be seen or that turn the direction of text, or more than four marks on a
    /// letter. The empty name stands for a player without a name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::default());
        }
        Self::chosen(name).ok()
    }

    /// Returns the name that a player chose.
    ///
    /// # Errors
    /// Returns a [`NameError`] for a name that [`PlayerName::new`] refuses, and for the empty name.
    pub(crate) fn chosen(name: &str) -> Result<Self, NameError> {
        name_rules::check(name)?;
        Self::stored(name).ok_or(NameError::Long)
    }

    /// Returns a name that was accepted when it was stored. The rules may have changed since, so only what is needed to
    /// hold it is checked: `None` if it is too long or has control characters.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return None;
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self {
            len: name.len() as u8,
            bytes,
        })
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Reads a zero-padded field and keeps its longest valid UTF-8 prefix.
    fn from_padded(field: &[u8]) -> Self {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        let valid = match std::str::from_utf8(&field[..end]) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&field[..error.valid_up_to()]).unwrap_or_default(),
        };
        Self::new(valid).unwrap_or_default()
    }
}

impl fmt::Display for PlayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for PlayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// The contents of a connect token's user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// Number of the session, higher with every token issued to the same client id. A session with a higher number
    /// replaces one with a lower number.
    pub session_number: u64,
    /// The name under which the player joins.
    pub name: PlayerName,
}

impl SessionClaims {
    /// Writes the claims as netcode user data.
    #[must_use]
    pub fn to_user_data(&self) -> [u8; USER_DATA_BYTES] {
        let mut data = [0; USER_DATA_BYTES];
        data[..8].copy_from_slice(&self.session_number.to_le_bytes());
        data[8..8 + NAME_BYTES_MAX].copy_from_slice(&self.name.bytes);
        data
    }

    /// Reads the claims from netcode user data.
    #[must_use]
    pub fn from_user_data(data: &[u8; USER_DATA_BYTES]) -> Self {
        let mut number = [0; 8];
        number.copy_from_slice(&data[..8]);
        Self {
            session_number: u64::from_le_bytes(number),
            name: PlayerName::from_padded(&data[8..8 + NAME_BYTES_MAX]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_too_long_or_with_control_characters_are_refused() {
        assert!(PlayerName::new(&"x".repeat(NAME_BYTES_MAX)).is_some());
        assert!(PlayerName::new(&"x".repeat(NAME_BYTES_MAX + 1)).is_none());
        assert!(PlayerName::new("two\nlines").is_none());
    }

    #[test]
    fn a_name_cut_inside_a_character_keeps_its_valid_prefix() {
        let mut data = [0; USER_DATA_BYTES];
        data[8..12].copy_from_slice(&[b'a', b'b', 0xC3, 0x00]);
        assert_eq!(SessionClaims::from_user_data(&data).name.as_str(), "ab");
    }

    #[test]
    fn a_name_in_a_token_that_the_rules_refuse_is_read_as_the_empty_name() {
        for refused in ["\u{200B}", "A\u{202E}da", "   ", "A\n"] {
            assert!(PlayerName::new(refused).is_none());
            let mut data = [0; USER_DATA_BYTES];
            data[8..8 + refused.len()].copy_from_slice(refused.as_bytes());
            assert_eq!(SessionClaims::from_user_data(&data).name, PlayerName::default());
        }
        assert_eq!(PlayerName::new(""), Some(PlayerName::default()));
    }

    #[test]
    fn a_stored_name_is_read_whatever_the_rules_say_by_now() {
        assert_eq!(PlayerName::stored("A\u{200B}da").unwrap().as_str(), "A\u{200B}da");
        assert_eq!(PlayerName::stored("two\nlines"), None);
        assert_eq!(PlayerName::stored(&"x".repeat(NAME_BYTES_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn claims_survive_the_round_trip(session_number: u64, name in "[a-zA-Z0-9äЖ漢 ]{0,7}[a-zäЖ漢]") {
            let claims = SessionClaims { session_number, name: PlayerName::new(&name).unwrap() };
            prop_assert_eq!(SessionClaims::from_user_data(&claims.to_user_data()), claims);
        }

        #[test]
        fn claims_are_read_from_any_user_data(data in proptest::array::uniform32(any::<u8>())) {
            let mut full = [0xFF; USER_DATA_BYTES];
            full[..32].copy_from_slice(&data);
            let claims = SessionClaims::from_user_data(&full);
            prop_assert!(claims.name.as_str().len() <= NAME_BYTES_MAX);
        }
    }
}
