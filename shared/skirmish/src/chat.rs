//! Chat: what pilots say to each other, and what both ends hold a line to.
//!
//! Owns the messages of the chat and [`clean`], which client and server apply alike. The server refuses what
//! is longer than [`TEXT_BYTES_MAX`] or comes too fast, and says so to the speaker.

use std::fmt;

use serde::{Deserialize, Serialize};

use throng_shared::protocol::ids::TeamId;
use throng_shared::tick::Tick;

/// Bytes of one line in UTF-8. A longer one is refused.
pub const TEXT_BYTES_MAX: usize = 240;
/// Lines that a pilot may say at once after a silence.
pub const BURST_LINES: u32 = 5;
/// Seconds after which a pilot who has used up [`BURST_LINES`] may say another one.
pub const LINE_EVERY_S: f32 = 1.0;

/// Who is to hear a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatChannel {
    /// Everybody whose view reaches the speaker.
    Nearby,
    /// The speaker's team.
    Team,
    /// The pilot of this name, whatever its case.
    Tell(String),
}

/// Client to server: a pilot says something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// To whom.
    pub channel: ChatChannel,
    /// What; at most [`TEXT_BYTES_MAX`].
    pub text: String,
}

/// Server to client: somebody said something. The speaker hears it too, which is how a client knows that it
/// was passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// To whom it was said; a [`ChatChannel::Tell`] names the one who was told.
    pub channel: ChatChannel,
    /// Name of the speaker.
    pub from: String,
    /// Team of the speaker.
    pub team: TeamId,
    /// What, cleaned.
    pub text: String,
    /// When.
    pub tick: Tick,
}

/// Server to client: something that the server itself has to say to a pilot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The pilot has joined, under this name: its own, unless somebody else has it.
    Welcome {
        /// The name.
        name: String,
        /// The team.
        team: TeamId,
    },
    /// A line was not passed on: nobody of this name is online.
    NotOnline(String),
    /// A line was not passed on: the pilot speaks too fast. Told once, until a line is passed on again.
    TooFast {
        /// Ticks until it may say something.
        wait_ticks: u32,
    },
    /// A line was not passed on: it has more than [`TEXT_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { name, team } => write!(f, "You fly as {name}, for team {}.", team.0),
            Self::NotOnline(name) => write!(f, "{name} is not online."),
            Self::TooFast { .. } => f.write_str("You speak too fast; that was not passed on."),
            Self::TooLong => write!(f, "A line has at most {TEXT_BYTES_MAX} bytes."),
        }
    }
}

/// The text without what does not show or turns text around: white space becomes single spaces, control
/// characters and invisible ones go. Never longer than `text`; may be empty.
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

/// Zero-width characters, and those that change the direction of what follows.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_clean_text_is_no_longer_shows_and_stays_as_it_is(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.len() <= text.len());
            prop_assert!(!cleaned.chars().any(|c| c.is_control() || is_invisible(c)), "{cleaned:?}");
            prop_assert_eq!(cleaned.trim(), &cleaned);
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
