//! Reads Rust source far enough for the rules: tokens without comments, literals and unit tests, and the paths
//! of `use` trees.

/// Returns a file's tokens: identifiers, `::`, and single characters. Comments, the contents of literals and all items
/// under `#[cfg(test)]` are left out.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    without_test_items(&all_tokens(text))
}

fn all_tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal_length(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = word_length(rest);
            found.push(&rest[..length]);
            length
        } else {
            let length = if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                found.push(&rest[..length]);
            }
            length
        };
        at += length;
    }
    found
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Returns the number of bytes of the string or character literal at the start of `text`, prefix included.
fn literal_length(text: &str) -> Option<usize> {
    let start = ["br", "r", "b", "c", ""]
        .iter()
        .find(|prefix| {
            text.strip_prefix(**prefix)
                .is_some_and(|rest| rest.starts_with(['"', '#', '\'']))
        })?
        .len();
    let is_raw = text[..start].ends_with('r');
    let rest = &text[start..];
    if is_raw {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = rest[hashes..].strip_prefix('"')?;
        return Some(start + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
    }
    let quote = rest.chars().next().filter(|&quote| quote != '#')?;
    // A lifetime has no second quote.
    if quote == '\'' && !rest[1..].starts_with('\\') {
        let character = rest[1..].chars().next()?;
        let is_closed = rest[1 + character.len_utf8()..].starts_with('\'');
        return is_closed.then_some(start + character.len_utf8() + 2);
    }
    let mut is_escaped = false;
    let end = rest[1..].find(|c| {
        let is_end = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    Some(start + end.map_or(rest.len(), |end| end + 2))
}

/// Drops every item with an attribute `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn without_test_items<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        if rest.starts_with(&["#", "[", "cfg", "(", "test"])
            || rest.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
        {
            at += item_length(rest);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Returns the number of tokens of the item at the start of `tokens`, attributes included.
fn item_length(tokens: &[&str]) -> usize {
    let mut depth = 0;
    for (at, &token) in tokens.iter().enumerate() {
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                let is_import = tokens.get(at + 1) == Some(&";");
                if depth == 0 && !is_import {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// One leaf of a `use` tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf<'a> {
    /// All segments; the last one is `*` for a glob.
    pub(super) path: Vec<&'a str>,
    /// The name that the file uses.
    pub(super) name: &'a str,
    /// Whether it is visible to other modules: a re-export.
    pub(super) is_public: bool,
}

/// Returns the leaves of all `use` items, and the tokens outside them.
pub(super) fn imports<'a>(tokens: &[&'a str]) -> (Vec<Leaf<'a>>, Vec<&'a str>) {
    let (mut leaves, mut others) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let is_import = tokens[at] == "use" && tokens.get(at + 1) != Some(&"<");
        if !is_import {
            others.push(tokens[at]);
            at += 1;
            continue;
        }
        let length = tokens[at..]
            .iter()
            .position(|&token| token == ";")
            .unwrap_or(tokens.len() - at);
        let is_public = match others.as_slice() {
            [.., "pub"] => others.pop().is_some(),
            // No parenthesis follows an attribute or a statement.
            [.., ")"] => {
                others.truncate(
                    others
                        .iter()
                        .rposition(|&token| token == "pub")
                        .unwrap_or_default(),
                );
                true
            }
            _ => false,
        };
        let mut tree = Tree {
            tokens: &tokens[at + 1..at + length],
            is_public,
            leaves: &mut leaves,
        };
        tree.read(&[]);
        at += length + 1;
    }
    (leaves, others)
}

struct Tree<'t, 'a> {
    tokens: &'t [&'a str],
    is_public: bool,
    leaves: &'t mut Vec<Leaf<'a>>,
}

impl<'a> Tree<'_, 'a> {
    /// Reads one tree below `prefix`, up to the comma or brace after it.
    fn read(&mut self, prefix: &[&'a str]) {
        let mut path = prefix.to_vec();
        let mut name = None;
        while let Some((&token, rest)) = self.tokens.split_first() {
            match token {
                "," | "}" => break,
                "{" => {
                    self.tokens = rest;
                    return self.group(&path);
                }
                "as" => {
                    name = rest.first().copied();
                    self.tokens = rest.get(1..).unwrap_or_default();
                    continue;
                }
                "::" => {}
                "self" if !path.is_empty() => {}
                segment => path.push(segment),
            }
            self.tokens = rest;
        }
        if let Some(&last) = path.last() {
            self.leaves.push(Leaf {
                name: name.unwrap_or(last),
                path,
                is_public: self.is_public,
            });
        }
    }

    /// Reads the trees up to the closing brace.
    fn group(&mut self, prefix: &[&'a str]) {
        loop {
            match self.tokens.split_first() {
                None => return,
                Some((&"}", rest)) => return self.tokens = rest,
                Some((&",", rest)) => self.tokens = rest,
                Some(_) => self.read(prefix),
            }
        }
    }
}

#[test]
fn tokens_leave_out_comments_literals_and_unit_tests() {
    let text = r##"
        //! a::b
        fn f<'a>() { /* c */ g("d // \" e", 'f', '\'', b"h", r#"i " j"#); k::l(); }
        #[cfg(test)]
        use m::{n};
        #[cfg(test)]
        mod tests { fn o() {} }
        mod p;
    "##;
    let expected = "fn f < ' a > ( ) { g ( , , , , ) ; k :: l ( ) ; } mod p ;";
    assert_eq!(tokens(text).join(" "), expected);
}

#[test]
fn imports_are_the_leaves_of_use_trees() {
    let tokens = tokens("pub use a::{b, c::{self, d as e}}; use f::*; struct G;");
    let (leaves, others) = imports(&tokens);
    let found: Vec<_> = leaves
        .iter()
        .map(|leaf| (leaf.path.join("::"), leaf.name, leaf.is_public))
        .collect();
    let expected = [
        ("a::b", "b", true),
        ("a::c", "c", true),
        ("a::c::d", "e", true),
        ("f::*", "*", false),
    ];
    assert_eq!(
        found,
        expected.map(|(path, name, is_public)| (path.to_owned(), name, is_public))
    );
    assert_eq!(others.join(" "), "struct G ;");
}
