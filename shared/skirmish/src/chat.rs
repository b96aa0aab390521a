//! Chat between pilots: its messages, and the rules for a line that both ends apply.
//!
//! Owns the messages and [`clean`], which client and server apply alike. The server refuses a line that is
//! longer than [`TEXT_BYTES_MAX`] or comes too soon, and sends the speaker a [`ChatNotice`].

use std::fmt;

use serde::{Deserialize, Serialize};

use throng_shared::protocol::ids::TeamId;
use throng_shared::tick::Tick;

/// Bytes of one line in UTF-8. A longer one is refused.
pub const TEXT_BYTES_MAX: usize = 240;
/// Lines that a pilot may say in a row after a pause.
pub const BURST_LINES: u32 = 5;
/// Seconds after which a pilot that has used up [`BURST_LINES`] may say another one.
pub const LINE_EVERY_S: f32 = 1.0;

/// The pilots to whom a line is addressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatChannel {
    /// Every pilot whose view reaches the speaker.
    Nearby,
    /// All pilots of the speaker's team.
    Team,
    /// The pilot of this name, whatever its case.
    Tell(String),
}

/// Client to server: a line that a pilot says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// The pilots to whom the line is addressed.
    pub channel: ChatChannel,
    /// The line, at most [`TEXT_BYTES_MAX`].
    pub text: String,
}

/// Server to client: a line that a pilot said. The speaker receives it too, so that its client knows that the
/// line was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatLine {
    /// The pilots to whom it was said; a [`ChatChannel::Tell`] holds the recipient's name.
    pub channel: ChatChannel,
    /// Name of the speaker.
    pub from: String,
    /// Team of the speaker.
    pub team: TeamId,
    /// The line, cleaned by [`clean`].
    pub text: String,
    /// Tick in which the line was said.
    pub tick: Tick,
}

/// Server to client: a notice from the server itself to a pilot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatNotice {
    /// The pilot has joined under this name: its own, unless another pilot has it.
    Welcome {
        /// The pilot's name in this game.
        name: String,
        /// The pilot's team in this game.
        team: TeamId,
    },
    /// A line was not delivered: no pilot of this name is online.
    NotOnline(String),
    /// A line was not delivered: the pilot speaks too fast. Sent once, until a line is delivered again.
    TooFast {
        /// Ticks until the pilot may say another line.
        wait_ticks: u32,
    },
    /// A line was not delivered: it has more than [`TEXT_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for ChatNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { name, team } => write!(f, "You fly as {name}, for team {}.", team.0),
            Self::NotOnline(name) => write!(f, "{name} is not online."),
            Self::TooFast { .. } => f.write_str("You speak too fast; that line was not delivered."),
            Self::TooLong => write!(f, "A line has at most {TEXT_BYTES_MAX} bytes."),
        }
    }
}

/// Returns the text without invisible and control characters, and with all white space as single spaces.
/// Never longer than `text`; may be empty.
///
/// ```
/// # use skirmish_shared::chat::clean;
/// assert_eq!(clean("  on\tmy\r\nwing \u{1b}[31m\u{202e}! "), "on my wing [31m!");
/// ```
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            if !cleaned.is_empty() && !cleaned.ends_with(' ') {
                cleaned.push(' ');
            }
        } else if !character.is_control() && !is_invisible(character) {
            cleaned.push(character);
        }
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// Returns whether a character has no width or changes the direction of the text that follows.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cleaning_removes_invisible_characters_and_is_idempotent(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.len() <= text.len());
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_invisible(c)), "{cleaned:?}");
            prop_assert_eq!(cleaned.trim(), &cleaned);
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
