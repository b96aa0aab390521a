//! A type name has one meaning in the whole workspace, private types included.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_tidy, code::tokens, sources};

/// Returns whether a file holds tests, where type names may repeat.
pub(super) fn is_test_code(path: &str) -> bool {
    let (folders, file) = path.rsplit_once('/').unwrap_or_default();
    // The first folder is the package of that name.
    folders.split('/').skip(1).any(|folder| folder == "tests") || file.ends_with("tests.rs")
}

/// Returns the types that a file declares outside its unit tests, without associated types.
fn declared_types(text: &str) -> Vec<&str> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut depth = 0;
    for pair in tokens.windows(2) {
        let &[keyword, name] = pair else { continue };
        let declares = match keyword {
            "{" => {
                depth += 1;
                false
            }
            "}" => {
                depth -= 1;
                false
            }
            "struct" | "enum" | "trait" => true,
            "type" => depth == 0,
            _ => false,
        };
        if declares && name.starts_with(char::is_alphabetic) {
            found.push(name);
        }
    }
    found
}

/// Returns complaints about names that more than one file declares. Declarations of one file are one type: they are
/// alternatives for different systems.
fn check_names(files: &[(String, String)]) -> Vec<String> {
    let mut declared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, text) in files.iter().filter(|(path, _)| !is_test_code(path)) {
        for name in declared_types(text) {
            declared.entry(name).or_default().insert(path);
        }
    }
    declared.retain(|_, paths| paths.len() > 1);
    declared
        .iter()
        .map(|(name, paths)| format!("`{name}` is declared in {paths:?}"))
        .collect()
}

#[test]
fn type_names_are_unique() {
    assert_tidy(&check_names(&sources()));
}

#[test]
fn repeated_type_names_are_reported() {
    let check = |files: &[(&str, &str)]| {
        let owned = files
            .iter()
            .map(|&(path, text)| (path.to_owned(), text.to_owned()));
        check_names(&owned.collect::<Vec<_>>()).len()
    };
    let (one, other) = ("server/src/a.rs", "tests/src/b.rs");
    assert_eq!(check(&[(one, "pub struct A;"), (other, "enum A {}")]), 1);
    assert_eq!(
        check(&[(one, "pub(super) trait A {}"), (other, "type A = u8;")]),
        1
    );
    assert_eq!(
        check(&[(one, "fn f() { struct A<T>(T); }"), (other, "struct A;")]),
        1
    );
    assert_eq!(check(&[(one, "struct A;"), (other, "struct B;")]), 0);
    assert_eq!(check(&[(one, "struct A; struct A;")]), 0);
    assert_eq!(check(&[(one, "struct A;"), (other, "// struct A;\n")]), 0);
    assert_eq!(
        check(&[(one, "struct A;"), (other, "impl T for B { type A = u8; }")]),
        0
    );
    let unit_tests = "#[cfg(test)]\nmod tests { struct A; }";
    assert_eq!(check(&[(one, "struct A;"), (other, unit_tests)]), 0);
    for tests in [
        "server/src/tests/a.rs",
        "server/src/a/tests.rs",
        "tests/tests/a.rs",
    ] {
        assert_eq!(check(&[(one, "struct A;"), (tests, "struct A;")]), 0, "{tests}");
    }
}
