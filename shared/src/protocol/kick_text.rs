//! The text with which a game ends a player's session.
//!
//! Guarantees a bounded length and that showing the text in a terminal or a window moves no cursor and adds no line.

use std::fmt;

use crate::limits::KICK_TEXT_BYTES_MAX;

/// A text of at most [`KICK_TEXT_BYTES_MAX`] bytes of UTF-8 without control characters. Empty by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KickText {
    length: u8,
    bytes: [u8; KICK_TEXT_BYTES_MAX],
}

impl KickText {
    /// Copies as many characters of the text as fit, and replaces control characters by spaces.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut copy = Self::default();
        let clean = text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter });
        for letter in clean {
            let start = usize::from(copy.length);
            let Some(room) = copy.bytes.get_mut(start..start + letter.len_utf8()) else {
                break;
            };
            letter.encode_utf8(room);
            copy.length += room.len() as u8;
        }
        copy
    }

    /// Returns the text without its padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Returns whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Default for KickText {
    fn default() -> Self {
        Self {
            length: 0,
            bytes: [0; KICK_TEXT_BYTES_MAX],
        }
    }
}

impl fmt::Display for KickText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KickText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kick_text_is_cut_at_a_character_and_has_no_control_characters() {
        assert_eq!(KickText::new("no\nshouting\u{1b}[2J").as_str(), "no shouting [2J");
        let long = "ä".repeat(KICK_TEXT_BYTES_MAX);
        assert_eq!(KickText::new(&long).as_str(), "ä".repeat(KICK_TEXT_BYTES_MAX / 2));
        let odd = format!("x{long}");
        assert_eq!(KickText::new(&odd).as_str().len(), KICK_TEXT_BYTES_MAX - 1);
        assert!(KickText::new("").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_cleaned_once(text in ".*") {
            let clean = KickText::new(&text);
            prop_assert_eq!(KickText::new(clean.as_str()), clean);
            prop_assert!(!clean.as_str().chars().any(char::is_control));
        }
    }
}
