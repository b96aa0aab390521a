//! The first sentence of a doc comment says something that the item's name does not: it has at least five words.
//!
//! Fields and variants are exempt, since the name of many says it all.

use super::{assert_tidy, names::is_test_code, sources};

/// Fewest words of a summary.
const WORDS_MIN: usize = 5;

/// Keywords that may stand before the one that names the kind of an item.
const MODIFIERS: [&str; 4] = ["async", "const", "default", "unsafe"];

/// Kinds of items whose summaries are checked.
const KINDS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "mod", "static"];

/// Returns whether a line declares a public item, and not a field.
fn is_public_item(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("pub ") else {
        return false;
    };
    let mut words = rest.split_whitespace();
    let kind = words.find(|word| !MODIFIERS.contains(word));
    // In a constant, the name follows `const`, which otherwise stands before `fn`.
    kind.is_some_and(|kind| KINDS.contains(&kind)) || rest.starts_with("const ")
}

/// Returns the first sentence of a comment, or its first paragraph if that is shorter.
fn summary(comment: &[&str]) -> String {
    let lines: Vec<&str> = comment.iter().map(|line| line.trim()).collect();
    let paragraph = lines
        .split(|line| line.is_empty())
        .next()
        .unwrap_or_default()
        .join(" ");
    let end = [". ", "? ", "! "]
        .iter()
        .filter_map(|end| paragraph.find(end))
        .min();
    paragraph[..end.map_or(paragraph.len(), |end| end + 1)].to_owned()
}

/// Returns the lines of the comment at the start of `lines`, without its marker `marker`.
fn comment<'a>(lines: &[&'a str], marker: &str) -> Vec<&'a str> {
    lines
        .iter()
        .map_while(|line| line.trim_start().strip_prefix(marker))
        .collect()
}

/// Returns the number of lines that the attributes at the start of `lines` take.
fn attributes(lines: &[&str]) -> usize {
    let mut open = 0;
    lines
        .iter()
        .take_while(|line| {
            let is_attribute = open > 0 || line.trim_start().starts_with("#[");
            if is_attribute {
                let count = |brackets: &[char]| line.matches(brackets).count() as i32;
                open += count(&['(', '[']) - count(&[')', ']']);
            }
            is_attribute
        })
        .count()
}

/// Returns complaints about summaries that are too short.
fn check_summaries(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    let mut check = |number: usize, comment: &[&str]| {
        let summary = summary(comment);
        if summary.split_whitespace().count() < WORDS_MIN {
            complaints.push(format!(
                "{path}:{number}: \"{summary}\" has fewer than {WORDS_MIN} words"
            ));
        }
    };
    let header = comment(&lines, "//!");
    if !header.is_empty() {
        check(1, &header);
    }
    let mut index = 0;
    while index < lines.len() {
        let found = comment(&lines[index..], "///");
        let end = index + found.len();
        let item = end + attributes(&lines[end..]);
        if !found.is_empty() && lines.get(item).is_some_and(|line| is_public_item(line)) {
            check(index + 1, &found);
        }
        index = end.max(index + 1);
    }
    complaints
}

#[test]
fn summaries_have_five_words() {
    let sources = sources();
    let code = sources.iter().filter(|(path, _)| !is_test_code(path));
    let complaints: Vec<String> = code
        .flat_map(|(path, text)| check_summaries(path, text))
        .collect();
    assert_tidy(&complaints);
}

#[test]
fn short_summaries_are_reported() {
    let check = |text| check_summaries("a.rs", text).len();
    assert_eq!(check("/// The file.\npub struct File;"), 1);
    assert_eq!(
        check("    /// Adds. Never more than once.\n    #[inline]\n    pub const fn add() {}"),
        1
    );
    assert_eq!(
        check("/// The limit.\n#[expect(\n    unused\n)]\npub const LIMIT: u8 = 1;"),
        1
    );
    assert_eq!(check("//! The server.\n\npub mod a;"), 1);
    assert_eq!(
        check("/// The file.\n\n/// A file of five words.\npub struct File;"),
        0
    );
    assert_eq!(check("/// The file.\npub file: File,"), 0);
    assert_eq!(check("/// The file.\npub(crate) struct File;"), 0);
    assert_eq!(check("/// Where a long sentence\n/// goes on.\npub fn a() {}"), 0);
}
