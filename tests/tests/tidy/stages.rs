//! The rules of the stages: each imports only earlier ones, the halves of the server only meet in earlier stages,
//! and pure modules know no ECS.

use std::fs;

use super::{assert_tidy, code, document, is_unit_tests, root, sources};

/// Modules that are pure: values and state machines, bytes and time in, bytes and events out, no ECS.
const PURE: [&str; 9] = [
    "shared/src/netcode/",
    "shared/src/reliable/",
    "shared/src/protocol/bits.rs",
    "shared/src/protocol/delta",
    "shared/src/protocol/snapshot",
    "server/src/space/",
    "server/src/boundary/",
    "server/src/replication/",
    "server/src/net/",
];

/// The network's half of the server and the simulation's: no stage of one imports a stage of the other.
const HALVES: [&[&str]; 2] = [
    &["replication", "net"],
    &["simulation", "input", "persist", "simulations"],
];

/// Returns the folders of all packages under `shared`, `server` and `client`.
fn packages() -> Vec<String> {
    let mut found = Vec::new();
    for outer in ["shared", "server", "client"] {
        found.push(outer.to_owned());
        for entry in fs::read_dir(root().join(outer)).unwrap().map(Result::unwrap) {
            if entry.path().join("Cargo.toml").exists() {
                found.push(format!("{outer}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    found
}

/// Returns the stages of `package`, first to last, from its line under "Stage order"; `None` without such a line.
fn stage_order(architecture: &str, package: &str) -> Option<Vec<String>> {
    let section = architecture
        .split("## Stage order")
        .nth(1)
        .expect("architecture.md has a stage order");
    let line = section
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{package}: ")))?;
    let stages: Vec<String> = line.split(" < ").map(str::to_owned).collect();
    let is_name = |stage: &String| stage.chars().all(|c| c.is_alphanumeric() || c == '_');
    assert!(
        stages.iter().all(is_name),
        "{package}: a place is one stage: {line}"
    );
    Some(stages)
}

/// Returns the first segments of the `crate::` paths in a file's code, sorted and without repeats.
fn crate_paths<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let (leaves, others) = code::imports(tokens);
    let imported = leaves.iter().filter(|leaf| leaf.path[0] == "crate");
    let written = others.windows(3).filter(|path| path[..2] == ["crate", "::"]);
    let mut found: Vec<&str> = imported
        .filter_map(|leaf| leaf.path.get(1).copied())
        .chain(written.map(|path| path[2]))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Returns the stage of a file below `src/`; `None` for the roots of a library and of programs.
fn stage_of(inside: &str) -> Option<&str> {
    let stage = inside.split(['/', '.']).next()?;
    (!matches!(stage, "lib" | "bin")).then_some(stage)
}

/// Returns complaints if `path` (inside `package/src/`) imports a stage that comes after its own or is of the other
/// half.
fn check_stage(order: &[String], package: &str, path: &str, text: &str) -> Vec<String> {
    let inside = path
        .strip_prefix(&format!("{package}/src/"))
        .expect("a file of this package");
    let Some(own) = stage_of(inside) else {
        return Vec::new();
    };
    let rank_of = |stage: &str| order.iter().position(|other| other == stage);
    let Some(own_rank) = rank_of(own) else {
        return vec![format!(
            "{path}: stage `{own}` has no place in docs/architecture.md's stage order"
        )];
    };
    let half_of = |stage: &str| HALVES.iter().position(|half| half.contains(&stage));
    let mut complaints = Vec::new();
    for stage in crate_paths(&code::tokens(text)) {
        if rank_of(stage).is_some_and(|rank| rank > own_rank) {
            complaints.push(format!("{path}: `{own}` imports the later stage `{stage}`"));
        } else if half_of(stage).is_some_and(|half| half_of(own).is_some_and(|own| own != half)) {
            complaints.push(format!("{path}: `{own}` imports `{stage}` of the other half"));
        }
    }
    complaints
}

/// Returns complaints about the ECS in a pure module; its unit tests may use it.
fn check_pure(path: &str, text: &str) -> Vec<String> {
    if is_unit_tests(path) || !PURE.iter().any(|pure| path.starts_with(pure)) {
        return Vec::new();
    }
    let tokens = code::tokens(text);
    let mut used: Vec<&str> = tokens
        .into_iter()
        .filter(|token| token.starts_with("bevy_"))
        .collect();
    used.dedup();
    used.into_iter()
        .map(|name| format!("{path}: `{name}` does not belong in a pure module"))
        .collect()
}

#[test]
fn stages_import_only_earlier_stages() {
    let architecture = document("docs/architecture.md");
    let mut complaints = Vec::new();
    let packages = packages();
    assert!(packages.len() > 4, "only {packages:?}");
    for package in &packages {
        let Some(order) = stage_order(&architecture, package) else {
            // A package inside another one may be too small for stages.
            assert!(package.contains('/'), "no stage order for {package}");
            continue;
        };
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
fn pure_modules_know_no_ecs() {
    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| check_pure(path, text))
        .collect();
    assert_tidy(&complaints);
}

#[test]
fn stage_rules_complain() {
    let order = ["space", "boundary", "net", "simulation"].map(str::to_owned);
    let check = |path, text| check_stage(&order, "server", path, text).len();
    assert_eq!(
        check("server/src/space/grid.rs", "use crate::boundary::Frame;"),
        1
    );
    assert_eq!(
        check(
            "server/src/space/grid.rs",
            "use crate::{\n    boundary::{Frame, Row},\n    net,\n};"
        ),
        2
    );
    assert_eq!(
        check("server/src/net/core.rs", "use crate::{boundary::Frame, space};"),
        0
    );
    assert_eq!(
        check("server/src/space/grid.rs", "fn f() { crate::net::g(); }"),
        1
    );
    assert_eq!(check("server/src/simulation/a.rs", "use crate::net::Worker;"), 1);
    assert_eq!(check("server/src/space/grid.rs", "// See crate::net.\n"), 0);
    assert_eq!(
        check(
            "server/src/space/grid.rs",
            "\n#[cfg(test)]\nmod tests { use crate::net; }\nmod a;"
        ),
        0
    );
    assert_eq!(
        check(
            "server/src/space/mod.rs",
            "\n#[cfg(test)]\nmod tests;\nuse crate::net::Worker;"
        ),
        1
    );
    assert_eq!(check("server/src/odd.rs", ""), 1);
    let with_comma = "## Stage order\nserver: space, net < simulation";
    assert!(std::panic::catch_unwind(|| stage_order(with_comma, "server")).is_err());

    let uses_ecs = "//! A.\nuse bevy_ecs::prelude::*;\n";
    assert_eq!(check_pure("server/src/net/a.rs", uses_ecs).len(), 1);
    assert_eq!(check_pure("server/src/net/a/tests.rs", uses_ecs).len(), 0);
    assert_eq!(check_pure("server/src/simulation/a.rs", uses_ecs).len(), 0);
}
