//! The rules about the code itself that no compiler checks: stage order, module headers, sizes, where
//! schedules are configured, which modules stay free of the ECS, and that docs name tests that exist.
//!
//! Each rule is a function from text to complaints with a test that sees it complain; the tests that walk
//! the repository print every complaint at once.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Longest source file, lines.
const FILE_LINES_MAX: usize = 500;

/// Modules that are pure state machines: bytes and time in, bytes and events out, no ECS.
const PURE: [&str; 7] = [
    "shared/src/netcode/",
    "shared/src/reliable/",
    "shared/src/protocol/bits.rs",
    "shared/src/protocol/delta",
    "shared/src/protocol/snapshot",
    "server/src/replication/",
    "server/src/net/core",
];

/// Packages that may not be in the server's dependency tree: a renderer, a window, or what brings them.
const NOT_ON_SERVER: [&str; 4] = ["bevy", "bevy_render", "wgpu", "winit"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every `.rs` file of the workspace as (path from the root with `/`, text), sorted by path.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["shared", "server", "client", "tests"]
        .map(|name| root.join(name))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(
        found.len() > 40,
        "only {} source files found under {}",
        found.len(),
        root.display()
    );
    found
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Whether a file holds nothing but its module's unit tests.
fn is_unit_tests(path: &str) -> bool {
    path.contains("/src/") && (path.contains("/tests/") || path.ends_with("tests.rs"))
}

/// The text above a file's own unit tests: those may use whatever is handy.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The lines that are code, with their numbers from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The stages of `package`, first to last, from its line under "Stage order". Stages of one place, with a
/// comma between them, may know each other.
fn stage_order(architecture: &str, package: &str) -> Vec<Vec<String>> {
    let section = architecture
        .split("## Stage order")
        .nth(1)
        .expect("architecture.md has a stage order");
    let line = section
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{package}: ")))
        .unwrap_or_else(|| panic!("no stage order for {package}"));
    let place = |place: &str| place.split(',').map(|stage| stage.trim().to_owned()).collect();
    line.split(" < ").map(place).collect()
}

/// First path segments of every `crate::` path in a line, groups in braces included.
fn crate_paths(line: &str) -> Vec<&str> {
    let ident = |text: &str| {
        text.len()
            - text
                .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                .len()
    };
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut expects_name = true;
            for (at, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => expects_name = true,
                    _ if expects_name && character.is_alphanumeric() => {
                        found.push(&group[at..at + ident(&group[at..])]);
                        expects_name = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.push(&rest[..ident(rest)]);
        }
    }
    found
}

/// Complaints about `path` (inside `package/src/`) importing a stage that comes after its own.
fn check_stage(order: &[Vec<String>], package: &str, path: &str, text: &str) -> Vec<String> {
    let inside = path
        .strip_prefix(&format!("{package}/src/"))
        .expect("a file of this package");
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    if matches!(own, "lib" | "bin") {
        return Vec::new();
    }
    let rank_of = |stage: &str| {
        order
            .iter()
            .position(|place| place.iter().any(|other| other == stage))
    };
    let Some(own_rank) = rank_of(own) else {
        return vec![format!(
            "{path}: stage `{own}` has no place in docs/architecture.md's stage order"
        )];
    };
    // Groups may span lines: joined, they are one line to `crate_paths`.
    let joined: String = code_lines(without_tests(text))
        .map(|(_, line)| line.trim())
        .collect::<Vec<_>>()
        .join(" ");
    let mut named: Vec<&str> = crate_paths(&joined);
    named.sort_unstable();
    named.dedup();
    let later = |stage: &&str| rank_of(stage).is_some_and(|rank| rank > own_rank);
    named
        .into_iter()
        .filter(later)
        .map(|stage| format!("{path}: `{own}` imports the later stage `{stage}`"))
        .collect()
}

/// Complaints about headers, sizes, leftovers and schedules in one file.
fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{path}: does not start with `//!`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    let rules: [(&str, bool); 5] = [
        (concat!("todo", "!("), false),
        (concat!("unimplemented", "!("), false),
        (concat!("configure", "_sets("), path.ends_with("/src/schedule.rs")),
        (
            concat!("use bevy", "_ecs"),
            is_unit_tests(path) || !PURE.iter().any(|pure| path.starts_with(pure)),
        ),
        (concat!("bincode", "::"), path == "shared/src/protocol/codec.rs"),
    ];
    for (number, line) in code_lines(text) {
        for (token, allowed) in rules {
            if line.contains(token) && !allowed {
                complaints.push(format!("{path}:{number}: `{token}` does not belong here"));
            }
        }
    }
    complaints
}

/// One test or benchmark that a row of a document's tables names in its third column: (row, path, name).
fn named_tests(document: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for line in document
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| row"))
    {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let shown_by = cells.get(3).copied().unwrap_or_default();
        for token in shown_by.split('`').skip(1).step_by(2) {
            let (path, name) = token.rsplit_once("::").unwrap_or((token, ""));
            found.push((cells[1].to_owned(), path.to_owned(), name.to_owned()));
        }
    }
    found
}

/// Whether `text` has a test function called `name`: `#[test]` above it, other attributes between allowed.
fn has_test(text: &str, name: &str) -> bool {
    let mut armed = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            armed = true;
        } else if armed && line.starts_with(&format!("fn {name}(")) {
            return true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            armed = false;
        }
    }
    false
}

#[test]
fn stages_import_only_earlier_stages() {
    let architecture = document("docs/architecture.md");
    let mut complaints = Vec::new();
    for package in ["shared", "server", "client"] {
        let order = stage_order(&architecture, package);
        let prefix = format!("{package}/src/");
        for (path, text) in sources()
            .iter()
            .filter(|(path, _)| path.starts_with(&prefix) && !is_unit_tests(path))
        {
            complaints.extend(check_stage(&order, package, path, text));
        }
    }
    assert_tidy(&complaints);
}

#[test]
fn files_are_tidy() {
    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| check_file(path, text))
        .collect();
    assert_tidy(&complaints);
}

#[test]
fn top_level_holds_nothing_else() {
    const EXPECTED: [&str; 13] = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "assets",
        "client",
        "docs",
        "server",
        "shared",
        "target",
        "tests",
    ];
    let names = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let odd: Vec<String> = names
        .filter(|name| !name.starts_with('.') && !EXPECTED.contains(&&**name))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn documents_name_tests_that_exist() {
    let mut complaints = Vec::new();
    for (name, at_least) in [("docs/features.md", 60), ("docs/transport.md", 25)] {
        let named = named_tests(&document(name));
        assert!(
            named.len() >= at_least,
            "{name}: only {} tests are named",
            named.len()
        );
        for (row, path, test) in named {
            let text = fs::read_to_string(root().join(&path));
            let exists = text.is_ok_and(|text| match path.ends_with(".rs") {
                true => has_test(&text, &test),
                false => text.contains(&test),
            });
            if !exists {
                complaints.push(format!("{name}, row {row}: `{path}::{test}` does not exist"));
            }
        }
    }
    assert_tidy(&complaints);
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut complaints = Vec::new();
    for name in [
        "README.md",
        "docs/architecture.md",
        "docs/features.md",
        "docs/skirmish.md",
        "docs/tuning.md",
        "docs/transport.md",
    ] {
        let text = document(name);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            let target = root().join(name).parent().unwrap().join(link);
            if !link.is_empty() && !link.contains("://") && !target.exists() {
                complaints.push(format!("{name}: `{link}` does not exist"));
            }
        }
    }
    assert_tidy(&complaints);
}

#[test]
fn server_tree_has_no_renderer() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "throng-server",
            "-e",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let packages: HashSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        packages.contains("bevy_ecs"),
        "this is not the server's tree:\n{tree}"
    );
    let unwanted: Vec<&&str> = NOT_ON_SERVER
        .iter()
        .filter(|name| packages.contains(**name))
        .collect();
    assert!(unwanted.is_empty(), "the server depends on {unwanted:?}");
}

#[test]
fn rules_complain() {
    let order: Vec<Vec<String>> = ["space", "frame", "net"]
        .map(|stage| vec![stage.to_owned()])
        .into();
    let check = |path, text| check_stage(&order, "server", path, text).len();
    assert_eq!(check("server/src/space/grid.rs", "use crate::frame::Frame;"), 1);
    assert_eq!(
        check(
            "server/src/space/grid.rs",
            "use crate::{\n    frame::{Frame, Row},\n    net,\n};"
        ),
        2
    );
    assert_eq!(
        check("server/src/net/core.rs", "use crate::{frame::Frame, space};"),
        0
    );
    assert_eq!(check("server/src/space/grid.rs", "// See crate::net.\n"), 0);
    assert_eq!(
        check(
            "server/src/space/grid.rs",
            "\n#[cfg(test)]\nmod tests { use crate::net; }"
        ),
        0
    );
    assert_eq!(check("server/src/odd.rs", ""), 1);

    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(FILE_LINES_MAX));
    assert_eq!(check_file("server/src/a.rs", &long).len(), 1);
    assert_eq!(check_file("server/src/a.rs", "fn f() {}").len(), 1);
    let configures = concat!("//! A.\nfn f(app: &mut App) { app.configure", "_sets(U, S); }\n");
    assert_eq!(check_file("server/src/a.rs", configures).len(), 1);
    assert_eq!(check_file("server/src/schedule.rs", configures).len(), 0);
    let uses_ecs = concat!("//! A.\nuse bevy", "_ecs::prelude::*;\n");
    assert_eq!(check_file("shared/src/netcode/a.rs", uses_ecs).len(), 1);
    assert_eq!(check_file("server/src/frame/a.rs", uses_ecs).len(), 0);

    assert!(has_test("#[test]\nfn there() {", "there"));
    assert!(!has_test("fn there() {", "there"));
    let named = named_tests("| row | what | shown by | page |\n| D1 | x | `a/b.rs::c` and `d.rs::e` | f |");
    assert_eq!(named.len(), 2);
    assert_eq!(named[1], ("D1".to_owned(), "d.rs".to_owned(), "e".to_owned()));
}
