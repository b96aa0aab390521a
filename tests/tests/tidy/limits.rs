//! `docs/limits.md` has the numbers of the constants in the code, and every constant that both ends share.

use std::collections::HashMap;

use super::{assert_tidy, document, sources};

/// File of the constants that a row without a path means. Each of them is on the page.
const SHARED: &str = "shared/src/limits.rs";

/// Returns the constants of a file by name, each with its expression. A constant of a type is `Type::NAME`.
fn constants(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut inside = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("impl ") {
            inside = name.split([' ', '<']).next();
        } else if line.starts_with('}') {
            inside = None;
        }
        let code = line.trim_start();
        let code = code.split_once("const ").filter(|(before, _)| {
            let before = before.trim_end();
            before.is_empty() || before.starts_with("pub")
        });
        let Some((name, rest)) = code.and_then(|(_, code)| code.split_once(": ")) else {
            continue;
        };
        let Some((_, value)) = rest.split_once(" = ") else {
            continue;
        };
        let name = match inside {
            Some(kind) if line.starts_with(' ') => format!("{kind}::{name}"),
            _ => name.to_owned(),
        };
        found.insert(name, value.trim_end_matches(';').to_owned());
    }
    found
}

/// Returns the value of an expression of numbers, constants of the same file, `+`, `-`, `*`, `<<` without parentheses
/// and with one operator, or of a duration in milliseconds.
fn value(expression: &str, constants: &HashMap<String, String>) -> Option<u64> {
    for (token, apply) in [
        (" + ", u64::checked_add as fn(u64, u64) -> Option<u64>),
        (" - ", u64::checked_sub),
        (" * ", u64::checked_mul),
        (" << ", |a, b| a.checked_shl(b as u32)),
    ] {
        if let Some((a, b)) = expression.split_once(token) {
            return apply(value(a, constants)?, value(b, constants)?);
        }
    }
    for (function, scale) in [
        ("Duration::from_millis(", 1),
        ("Duration::from_secs(", 1_000),
        ("Self(", 1),
    ] {
        if let Some(inner) = expression.strip_prefix(function) {
            return Some(value(inner.strip_suffix(')')?, constants)? * scale);
        }
    }
    let plain = expression.replace('_', "");
    if let Some(digits) = plain.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    plain.parse().ok().or_else(|| {
        let inner = constants.get(expression)?;
        value(inner, constants)
    })
}

/// Returns the number at the start of a cell of the page: `256 KiB in both`, `5 s`, `1,024 bytes`.
fn written(cell: &str) -> Option<u64> {
    let mut words = cell.split([' ', ':', ';']);
    let number: u64 = words
        .next()?
        .trim_end_matches(',')
        .replace(',', "")
        .parse()
        .ok()?;
    Some(match words.next().map(|unit| unit.trim_end_matches(',')) {
        Some("KiB") => number << 10,
        Some("GiB") => number << 30,
        Some("s") => number * 1_000,
        _ => number,
    })
}

/// Returns complaints about the rows of the page, and about constants of [`SHARED`] that have none.
fn check_limits(page: &str, files: &[(String, String)]) -> Vec<String> {
    let text = |path: &str| {
        files
            .iter()
            .find(|(name, _)| name == path)
            .map(|(_, text)| &**text)
    };
    let mut complaints = Vec::new();
    let mut named = Vec::new();
    for line in page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
    {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some((constant, path)) = cells.get(2).and_then(|cell| {
            let mut names = cell.split('`').skip(1).step_by(2);
            Some((names.next()?, names.next().unwrap_or(SHARED)))
        }) else {
            complaints.push(format!("docs/limits.md: no constant in `{line}`"));
            continue;
        };
        let constants = constants(text(path).unwrap_or_default());
        let real = constants.get(constant).and_then(|code| value(code, &constants));
        let shown = written(cells[1]);
        if real.is_none() || real != shown {
            complaints.push(format!(
                "docs/limits.md: `{}` is {shown:?} on the page, and `{constant}` of {path} is {real:?}",
                cells[1]
            ));
        }
        if path == SHARED {
            named.push(constant.to_owned());
        }
    }
    let shared = constants(text(SHARED).unwrap_or_default());
    let mut missing: Vec<&String> = shared.keys().filter(|name| !named.contains(name)).collect();
    missing.sort_unstable();
    complaints.extend(
        missing
            .iter()
            .map(|name| format!("docs/limits.md: no row has `{name}` of {SHARED}")),
    );
    complaints
}

#[test]
fn limits_page_has_the_numbers_of_the_code() {
    let page = document("docs/limits.md");
    assert!(page.matches("_MAX`").count() > 25, "the page has rows");
    assert_tidy(&check_limits(&page, &sources()));
}

#[test]
fn limits_that_differ_or_are_missing_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file(
            SHARED,
            "pub const A_MAX: usize = 2 * 1_024;\npub const B_MAX: usize = A_MAX - 24;\n",
        ),
        file(
            "server/src/x.rs",
            "const WAIT: Duration = Duration::from_secs(5);\n",
        ),
        file(
            "shared/src/y.rs",
            "impl Slot {\n    pub const MAX: Self = Self(0x00ff);\n}\n",
        ),
    ];
    let row = |limit: &str, constant: &str| format!("| what | {limit} | {constant} | where | then |\n");
    let good = row("2 KiB in all", "`A_MAX`")
        + &row("2,024 bytes", "`B_MAX`")
        + &row("5 s", "`WAIT` of `server/src/x.rs`")
        + &row("255", "`Slot::MAX` of `shared/src/y.rs`");
    assert_eq!(check_limits(&good, &files), Vec::<String>::new());
    let stale = good.replace("2,024", "2,000");
    assert_eq!(check_limits(&stale, &files).len(), 1);
    let gone = good.replace("`WAIT`", "`GONE`");
    assert_eq!(check_limits(&gone, &files).len(), 1);
    let missing = good.replace("`B_MAX`", "`A_MAX`").replace("2,024 bytes", "2 KiB");
    assert_eq!(
        check_limits(&missing, &files),
        ["docs/limits.md: no row has `B_MAX` of shared/src/limits.rs"]
    );
}
