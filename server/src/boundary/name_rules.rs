//! What a player's name may contain, so that it can be seen, told from others and shown inside other text.
//!
//! Refused are:
//! - control characters, and separators of lines and paragraphs;
//! - characters that turn the direction of the text around them. The letters of scripts that run from right to left are
//!   not among them: a place that shows such a name inside other text has to isolate it.
//! - characters without a glyph, wherever they are: two names that look alike could differ by them. Two kinds are
//!   accepted where they belong: joiners between the letters of scripts that need them or between emoji, and the
//!   selectors of emoji.
//! - marks without a letter to stand on, and more than [`MARKS_MAX`] marks on one letter, which run over the lines above
//!   and below;
//! - names with nothing to see.
//!
//! Letters that look alike (Latin A and Cyrillic А) are not told apart. Which characters take no room is looked up in
//! `unicode-width`, whose tables follow Unicode; what cannot be seen is a short list of Unicode's own.

use throng_shared::limits::PLAYER_NAME_BYTES_MAX;
use unicode_width::UnicodeWidthChar;

/// Limit on the marks on one letter: languages need up to three, and vowels and tones of some scripts one more.
const MARKS_MAX: usize = 4;

/// The reason why a name is refused, in words that follow "the name".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// The name has more bytes than fit a token.
    #[error("must be at most {PLAYER_NAME_BYTES_MAX} bytes of UTF-8")]
    Long,
    /// The name is empty or has only spaces.
    #[error("must not be empty")]
    Empty,
    /// The name has a control character or ends a line.
    #[error("must not have control characters ({})", code_point(.0))]
    Control(char),
    /// The name has a character that turns the direction of text.
    #[error("must not have characters that turn the direction of text ({})", code_point(.0))]
    Direction(char),
    /// The name has a character without a glyph.
    #[error("must not have characters that cannot be seen ({})", code_point(.0))]
    Invisible(char),
    /// The name has too many marks in a row, or begins with one.
    #[error("must have a letter before a mark, and at most {MARKS_MAX} marks on it")]
    Marks,
}

/// Returns the usual name of a character that may have no glyph, such as `U+202E`.
fn code_point(c: &char) -> String {
    format!("U+{:04X}", u32::from(*c))
}

/// Checks a name that a player chose.
///
/// # Errors
/// Returns the first [`NameError`] in the order of the name's characters. An empty name is [`NameError::Empty`].
pub(super) fn check(name: &str) -> Result<(), NameError> {
    if name.len() > PLAYER_NAME_BYTES_MAX {
        return Err(NameError::Long);
    }
    let mut before = None;
    let mut marks = None;
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            return Err(NameError::Control(c));
        }
        if turns_direction(c) {
            return Err(NameError::Direction(c));
        }
        if is_invisible(c) {
            if !joins(before, c, after) && !selects_emoji(before, c, after) {
                return Err(NameError::Invisible(c));
            }
        } else if c == ' ' || c == '\u{3000}' {
            marks = None;
        } else if c.width() == Some(0) {
            marks = marks.map(|marks: usize| marks + 1);
            if marks.is_none_or(|marks| marks > MARKS_MAX) {
                return Err(NameError::Marks);
            }
        } else {
            marks = Some(0);
        }
        before = Some(c);
    }
    let has_glyphs = name.chars().any(|c| c != ' ' && c != '\u{3000}');
    has_glyphs.then_some(()).ok_or(NameError::Empty)
}

/// Returns whether a character has Unicode's property `Bidi_Control`.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether a character has no glyph: Unicode's property `Default_Ignorable_Code_Point`, and what is blank by
/// its design. Of the spaces only the plain one and that of ideographs are seen as such.
fn is_invisible(c: char) -> bool {
    let is_ignorable = matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    );
    // Annotations, the blank pattern of Braille, and blanks in music, hieroglyphs and Khitan.
    let is_blank = matches!(
        c,
        '\u{FFF9}'..='\u{FFFC}' | '\u{2800}' | '\u{1D159}' | '\u{13441}'..='\u{13442}' | '\u{16FE4}'
    );
    let is_odd_space = c.is_whitespace() && c != ' ' && c != '\u{3000}';
    is_ignorable || is_blank || is_odd_space
}

/// Returns whether `c` is a joiner or non-joiner between two characters that can be joined: emoji, or letters of
/// scripts above Latin, Greek, Cyrillic, Armenian and Hebrew, which have no use for them.
fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let can_join = |c: char| c >= '\u{600}' && !matches!(c, '\u{200C}' | '\u{200D}');
    let is_selector = |c: char| matches!(c, '\u{FE0E}' | '\u{FE0F}');
    matches!(c, '\u{200C}' | '\u{200D}')
        && before.is_some_and(|before| can_join(before) && (is_selector(before) || !is_invisible(before)))
        && after.is_some_and(|after| can_join(after) && !is_invisible(after))
}

/// Returns whether `c` selects how the symbol before it is drawn, or is part of a keycap.
fn selects_emoji(before: Option<char>, c: char, after: Option<char>) -> bool {
    let is_symbol = |c: char| (c >= '\u{2000}' || matches!(c, '©' | '®')) && !is_invisible(c);
    let is_key = |c: char| matches!(c, '0'..='9' | '#' | '*') && after == Some('\u{20E3}');
    matches!(c, '\u{FE0E}' | '\u{FE0F}') && before.is_some_and(|before| is_symbol(before) || is_key(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_scripts_of_the_world_are_accepted() {
        for name in [
            "Ada",
            "Ada Lovelace",
            "Ωμέγα",
            "Анна",
            "שלום",
            "שָׁלוֹם",
            "محمد",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "ประเทศ",
            "ว่าที่",
            "한글",
            "\u{1112}\u{1161}\u{11AB}",
            "日本　太郎",
            "ﾊﾞｶﾞ",
            "Ng\u{75}\u{31B}\u{301}",
            "Zoe\u{308}",
            "😀",
            "❤\u{FE0F}",
            "👩\u{200D}🚀",
            "❤\u{FE0F}\u{200D}🔥",
            "👍🏽",
            "🇩🇪",
            "1\u{FE0F}\u{20E3}",
            "x_X-007.!",
        ] {
            assert_eq!(check(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn characters_that_turn_the_direction_of_text_are_refused() {
        for c in
            "\u{61C}\u{200E}\u{200F}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}"
                .chars()
        {
            for name in [
                format!("{c}"),
                format!("{c}Ada"),
                format!("A{c}da"),
                format!("שלום{c}"),
            ] {
                assert_eq!(check(&name), Err(NameError::Direction(c)), "{name:?}");
            }
        }
        assert_eq!(
            NameError::Direction('\u{202E}').to_string(),
            "must not have characters that turn the direction of text (U+202E)"
        );
    }

    #[test]
    fn characters_that_cannot_be_seen_are_refused_alone_and_within_a_name() {
        for c in "\u{AD}\u{34F}\u{115F}\u{1160}\u{17B4}\u{180B}\u{180E}\u{200B}\u{200C}\u{200D}\u{2060}\u{2061}\u{2064}\
                  \u{2065}\u{206A}\u{3164}\u{FE00}\u{FE0F}\u{FEFF}\u{FFA0}\u{FFF0}\u{FFF9}\u{FFFC}\u{2800}\u{1D159}\
                  \u{1D173}\u{13441}\u{1BCA0}\u{E0001}\u{E0020}\u{E007F}\u{E0100}\u{A0}\u{2003}\u{202F}\u{1680}\u{205F}"
            .chars()
        {
            for name in [format!("{c}"), format!("{c}{c} {c}"), format!("Ada{c}"), format!("A{c}da")] {
                assert_eq!(check(&name), Err(NameError::Invisible(c)), "{name:?}");
            }
        }
        // Joiners and selectors stand for nothing where they do not belong.
        for name in [
            "A\u{200D}da",
            "é\u{200D}é",
            "👩\u{200D}",
            "\u{200D}👩",
            "क\u{200D}\u{200D}ष",
            "1\u{FE0F}",
            "A\u{FE0F}",
        ] {
            assert!(matches!(check(name), Err(NameError::Invisible(_))), "{name:?}");
        }
    }

    #[test]
    fn names_with_nothing_to_see_are_refused() {
        for name in ["", " ", "    ", "\u{3000}", " \u{3000} "] {
            assert_eq!(check(name), Err(NameError::Empty), "{name:?}");
        }
        for name in ["\u{301}", "\u{301}Ada", " \u{301}", "\u{20E3}"] {
            assert_eq!(check(name), Err(NameError::Marks), "{name:?}");
        }
    }

    #[test]
    fn control_characters_and_ends_of_lines_are_refused() {
        for c in "\0\n\r\t\u{7}\u{1B}\u{7F}\u{85}\u{9B}\u{2028}\u{2029}".chars() {
            assert_eq!(check(&format!("A{c}")), Err(NameError::Control(c)));
        }
    }

    #[test]
    fn marks_on_one_letter_are_bounded() {
        let marked = |count| format!("A{}", "\u{301}".repeat(count));
        assert_eq!(check(&marked(MARKS_MAX)), Ok(()));
        assert_eq!(check(&marked(MARKS_MAX + 1)), Err(NameError::Marks));
        // What is between the marks does not start the count anew, unless it is a letter.
        let emoji = format!("❤{}\u{FE0F}{}", "\u{301}".repeat(3), "\u{301}".repeat(3));
        assert!(check(&emoji).is_err());
        assert_eq!(check(&format!("{}{}", marked(4), marked(4))), Ok(()));
        assert_eq!(check(&"x".repeat(33)), Err(NameError::Long));
    }
}
