//! The rules of the pages for readers: links lead somewhere, examples are compiled, the preludes have what the pages use,
//! and every environment variable that the code reads is on the page of the programs.

use std::fs;

use super::{assert_tidy, document, root, sources};

/// Pages whose Rust examples are changes of the code of this repository, which no test can apply.
const CHANGES: &str = "docs/first-changes.md";

/// Pages for writers of games: what they use and name is in the preludes.
const GAME_PAGES: [&str; 5] = [
    "README.md",
    "docs/client.md",
    "docs/gameplay.md",
    "docs/persistence.md",
    "docs/simulations.md",
];

/// The preludes of the engine's packages.
const PRELUDES: [&str; 3] = [
    "shared/src/prelude.rs",
    "server/src/prelude.rs",
    "client/src/prelude.rs",
];

/// Folders of the engine's packages, and parts of them that are not public.
const ENGINE: [&str; 3] = ["shared/src/", "server/src/", "client/src/"];
const PRIVATE: [&str; 4] = [
    "server/src/net/",
    "server/src/http/",
    "server/src/plugins/",
    "server/src/space/",
];

/// Page with all environment variables.
const COMMANDS: &str = "docs/commands.md";

/// Returns the pages: the README, the changelog and everything in `docs`, each with its text.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"));
    let mut pages: Vec<String> = pages.chain(["README.md".into(), "CHANGELOG.md".into()]).collect();
    pages.sort();
    pages
        .into_iter()
        .map(|name| {
            let text = document(&name);
            (name, text)
        })
        .collect()
}

/// Returns the lines of a page that are prose: those outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the anchors of the headings of a page, as web sites for repositories make them.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
        });
        let anchor: String = kept.collect();
        let same = found
            .iter()
            .filter(|other| other.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-') == anchor);
        let count = same.count();
        found.push(if count == 0 {
            anchor
        } else {
            format!("{anchor}-{count}")
        });
    }
    found
}

/// Returns the targets of the links in a page.
fn links(text: &str) -> Vec<String> {
    let joined: Vec<&str> = prose(text).collect();
    let joined = joined.join(" ");
    let targets = joined
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// Returns complaints about links of one page that lead to no file or heading. `read` returns the text of a file.
fn check_links(page: &str, text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut complaints = Vec::new();
    for link in links(text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = match (path, folder) {
            ("", _) => page.to_owned(),
            (path, "") => path.to_owned(),
            (path, folder) => match path.strip_prefix("../") {
                Some(path) => path.to_owned(),
                None => format!("{folder}/{path}"),
            },
        };
        match read(&target) {
            None => complaints.push(format!("{page}: `{link}` leads to no file")),
            Some(text) if !anchor.is_empty() && !anchors(&text).iter().any(|other| other == anchor) => {
                complaints.push(format!("{page}: `{link}` leads to no heading"));
            }
            Some(_) => {}
        }
    }
    complaints
}

#[test]
fn links_lead_to_files_and_headings() {
    let read = |path: &str| {
        let path = root().join(path);
        if path.is_dir() {
            return Some(String::new());
        }
        Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
    };
    let pages = pages();
    assert!(pages.len() > 15);
    let complaints = pages
        .iter()
        .flat_map(|(page, text)| check_links(page, text, read));
    assert_tidy(&complaints.collect::<Vec<_>>());
}

#[test]
fn dead_links_are_found() {
    let read = |path: &str| (path == "docs/a.md").then(|| "# One two\n\n## `x`: y\n## One two\n".to_owned());
    let check = |text: &str| check_links("docs/b.md", text, read);
    assert!(
        check("[x](a.md) [y](a.md#one-two) [z](a.md#x-y) [w](a.md#one-two-1) [v](https://a.b)").is_empty()
    );
    assert_eq!(check("[x](c.md)"), ["docs/b.md: `c.md` leads to no file"]);
    assert_eq!(
        check("[x](a.md#one)"),
        ["docs/b.md: `a.md#one` leads to no heading"]
    );
    assert!(check("```\n[x](c.md)\n```\n").is_empty());
}

/// A page with Rust in it is included by a test of the code: as a doc test, or compared with a tested file.
#[test]
fn rust_in_pages_is_compiled() {
    let sources = sources();
    let complaints = pages().into_iter().filter_map(|(page, text)| {
        let has_rust = text.lines().any(|line| line.starts_with("```rust"));
        let included = format!("/{page}\")");
        let is_tested = sources
            .iter()
            .any(|(_, code)| code.contains(&included) && code.contains("include_str!"));
        (has_rust && !is_tested && page != CHANGES)
            .then(|| format!("{page}: no test compiles its Rust blocks"))
    });
    assert_tidy(&complaints.collect::<Vec<_>>());
}

/// Returns the names of the public types and constants in a file.
fn public_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("pub ")?.split([' ', '<', '(', '{', ':', ';']);
        let is_kind = |kind: &str| ["struct", "enum", "trait", "const", "type"].contains(&kind);
        words.next().filter(|kind| is_kind(kind))?;
        words.next()
    })
}

/// Returns the words of a text that can be names in Rust.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Returns complaints about a page whose examples import more of the engine than preludes, or which names a type of
/// `public` that none of the `preludes` has.
fn check_preludes(page: &str, text: &str, public: &[&str], preludes: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    let imports = text.lines().filter(|line| line.starts_with("use throng_"));
    for line in imports.filter(|line| !line.ends_with("::prelude::*;")) {
        complaints.push(format!("{page}: `{line}` imports what no prelude has"));
    }
    for line in prose(text) {
        for code in line.split('`').skip(1).step_by(2) {
            // What follows `::` is named through what stands before it, unless it is a parameter.
            let parts = code.split("::").enumerate();
            let paths = parts.filter(|(index, part)| *index == 0 || part.starts_with('<'));
            let words = paths.flat_map(|(_, part)| names(part));
            let missing = words.filter(|word| word.starts_with(char::is_uppercase) && public.contains(word));
            for name in missing.filter(|name| !preludes.contains(name)) {
                complaints.push(format!("{page}: `{name}` is in no prelude"));
            }
        }
    }
    complaints
}

#[test]
fn preludes_have_what_the_pages_use() {
    let sources = sources();
    let starts = |path: &str, folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    let public = sources
        .iter()
        .filter(|(path, _)| starts(path, &ENGINE) && !starts(path, &PRIVATE))
        .flat_map(|(_, text)| public_names(text));
    let public: Vec<&str> = public.collect();
    let preludes = PRELUDES.map(document);
    let preludes: Vec<&str> = preludes.iter().flat_map(|text| names(text)).collect();
    assert!(public.len() > 300 && preludes.len() > 100);
    let complaints = GAME_PAGES
        .into_iter()
        .flat_map(|page| check_preludes(page, &document(page), &public, &preludes));
    assert_tidy(&complaints.collect::<Vec<_>>());
}

#[test]
fn names_outside_of_the_preludes_are_found() {
    let check = |text: &str| check_preludes("a.md", text, &["Hull", "Mast"], &["Hull"]);
    assert!(
        check("`Hull::new`, `Query<&Hull>`, `Sail`\n```rust\nuse throng_client::prelude::*;\n```\n")
            .is_empty()
    );
    assert_eq!(check("`Mast(1)`"), ["a.md: `Mast` is in no prelude"]);
    assert_eq!(check("`Query<&Mast>`"), ["a.md: `Mast` is in no prelude"]);
    assert_eq!(check("```rust\nuse throng_client::world::Own;\n```\n").len(), 1);
}

/// Functions of the code that take the name of an environment variable: those of the library, and `set`, as closures over
/// them are called.
const READERS: [&str; 3] = ["var(\"", "var_os(\"", "set(\""];

/// Returns the names of environment variables that a file reads.
fn variables(text: &str) -> Vec<&str> {
    if !text.contains("env::var") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for reader in READERS {
        let names = text
            .split(reader)
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        found.extend(names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')));
    }
    found
}

#[test]
fn variables_that_the_code_reads_are_on_the_page() {
    let page = document(COMMANDS);
    let sources = sources();
    let mut read: Vec<&str> = sources.iter().flat_map(|(_, text)| variables(text)).collect();
    read.sort_unstable();
    read.dedup();
    assert!(
        read.contains(&"NO_COLOR") && read.contains(&"XDG_CONFIG_HOME"),
        "{read:?}"
    );
    let missing = read.iter().filter(|name| !page.contains(**name));
    let mut complaints: Vec<String> = missing
        .map(|name| format!("{COMMANDS}: `{name}`, which the code reads, is missing"))
        .collect();
    let (_, tests) = page.split_once("## Variables of the tests").unwrap();
    for name in tests
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.contains([' ', '.']))
    {
        let is_variable = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if is_variable && !read.contains(&name) {
            complaints.push(format!("{COMMANDS}: the code does not read `{name}`"));
        }
    }
    assert_tidy(&complaints);
}
