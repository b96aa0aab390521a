//! The rule that comments and docs are written in plain standard English, without some words.
//!
//! The rule finds single words; it cannot judge a sentence. It has these words because they were the most frequent sign
//! of sentences that had to be read twice.

use super::{assert_tidy, document, sources};

/// Words that do not say which thing is meant. A comment names the thing: "the packet", "a player", "each client".
const WORDS: [&str; 7] = [
    "nobody",
    "everybody",
    "somebody",
    "whoever",
    "those who",
    "who is told",
    "answers",
];

/// Pages for readers. The tables of the benchmarks are written by a program.
const PAGES: [&str; 19] = [
    "README.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/client.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/features.md",
    "docs/first-changes.md",
    "docs/gameplay.md",
    "docs/http.md",
    "docs/limits.md",
    "docs/persistence.md",
    "docs/playing.md",
    "docs/simulations.md",
    "docs/situations.md",
    "docs/skirmish.md",
    "docs/stats.md",
    "docs/transport.md",
    "docs/tuning.md",
];

/// Returns the text of the comment in a line of code: what follows `//`, unless it is part of a web address.
fn comment(line: &str) -> Option<&str> {
    let start = line.find("//")?;
    (!line[..start].ends_with(':')).then_some(&line[start + 2..])
}

/// Returns whether `text` has `word` as whole words, in any case.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(start, _)| {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(text[..start].chars().next_back()) && !is_letter(text[start + word.len()..].chars().next())
    })
}

/// Returns complaints about [`WORDS`] in one text. `part` returns the prose in a line of it.
fn check_words<'a>(path: &str, text: &'a str, part: impl Fn(&'a str) -> Option<&'a str>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(prose) = part(line) else { continue };
        let found = WORDS.iter().filter(|word| has_word(prose, word));
        complaints.extend(found.map(|word| format!("{path}:{number}: \"{word}\"; name the thing")));
    }
    complaints
}

#[test]
fn comments_and_docs_are_plain() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        // This file has the words, in examples of what is reported.
        if !path.ends_with("/tidy/language.rs") {
            complaints.extend(check_words(&path, &text, comment));
        }
    }
    for page in PAGES {
        complaints.extend(check_words(page, &document(page), Some));
    }
    assert_tidy(&complaints);
}

#[test]
fn dialect_is_reported() {
    let check = |text| check_words("a.rs", text, comment).len();
    assert_eq!(check("/// Nobody is told."), 1);
    assert_eq!(check("let x = 1; // Whoever asks, and everybody else."), 2);
    assert_eq!(check("//! Those who left."), 1);
    assert_eq!(check("/// Answers the packet."), 1);
    assert_eq!(check("let nobody = \"https://answers\";"), 0);
    assert_eq!(check("// The answer is a packet."), 0);
}
