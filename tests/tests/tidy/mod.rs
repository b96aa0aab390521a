//! The rules about the code itself that no compiler checks: stage order and modules that stay free of the ECS
//! ([`stages`]), import circles ([`circles`]), type names that repeat ([`names`]), the language of comments
//! ([`language`]) and the length of summaries ([`summaries`]), module headers, sizes, where schedules are
//! configured, that docs name tests that exist, that their links, examples and variables hold ([`pages`]), and that the
//! page of the limits has the numbers of the code ([`limits`]).
//!
//! Each rule is a function from text to complaints with a test that shows that it complains; the tests that walk
//! the repository print every complaint at once.

mod circles;
mod code;
mod language;
mod limits;
mod names;
mod pages;
mod stages;
mod summaries;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Longest source file, lines.
const FILE_LINES_MAX: usize = 500;

/// Packages that may not be in the server's dependency tree: a renderer, a window, or what brings them.
const NOT_ON_SERVER: [&str; 4] = ["bevy", "bevy_render", "wgpu", "winit"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns every `.rs` file of the workspace as (path from the root with `/`, text), sorted by path.
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

/// Returns whether a file holds nothing but its module's unit tests.
fn is_unit_tests(path: &str) -> bool {
    path.contains("/src/") && (path.contains("/tests/") || path.ends_with("tests.rs"))
}

/// Returns the lines that are code, with their numbers from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Returns complaints about headers, sizes, leftovers and schedules in one file.
fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{path}: does not start with `//!`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    let rules: [(&str, bool); 4] = [
        (concat!("todo", "!("), false),
        (concat!("unimplemented", "!("), false),
        (concat!("configure", "_sets("), path.ends_with("/src/schedule.rs")),
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

/// Returns the tests and benchmarks that the third column of a document's tables names, as (row, path, name).
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

/// Returns whether `text` has a test function called `name`. Other attributes may stand between it and `#[test]`.
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
    for (name, at_least) in [
        ("docs/features.md", 60),
        ("docs/situations.md", 60),
        ("docs/transport.md", 25),
    ] {
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
        "docs/http.md",
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
fn readme_names_every_stage_of_ci() {
    let (script, readme) = (document(".ci/run"), document("README.md"));
    let limits = script.split_once("limits=(").expect("the limits of the stages").1;
    let limits = limits.split_once(')').expect("the end of the limits").0;
    let stages: Vec<&str> = limits
        .split('[')
        .filter_map(|entry| Some(entry.split_once(']')?.0))
        .collect();
    assert!(stages.len() >= 7, "only {stages:?}");
    let complaints: Vec<String> = stages
        .iter()
        .filter(|stage| !readme.contains(&format!("`{stage}`")))
        .map(|stage| format!("README.md: the table of stages lacks `{stage}`"))
        .collect();
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
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(FILE_LINES_MAX));
    assert_eq!(check_file("server/src/a.rs", &long).len(), 1);
    assert_eq!(check_file("server/src/a.rs", "fn f() {}").len(), 1);
    let configures = concat!("//! A.\nfn f(app: &mut App) { app.configure", "_sets(U, S); }\n");
    assert_eq!(check_file("server/src/a.rs", configures).len(), 1);
    assert_eq!(check_file("server/src/schedule.rs", configures).len(), 0);

    assert!(has_test("#[test]\nfn there() {", "there"));
    assert!(!has_test("fn there() {", "there"));
    let named = named_tests("| row | what | shown by | page |\n| D1 | x | `a/b.rs::c` and `d.rs::e` | f |");
    assert_eq!(named.len(), 2);
    assert_eq!(named[1], ("D1".to_owned(), "d.rs".to_owned(), "e".to_owned()));
}
