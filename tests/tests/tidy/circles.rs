//! The rule that no files of a package import each other in a circle.
//!
//! *File A imports file B* when the code of A, unit tests apart, names an item that B defines: by a path from
//! `crate`, `super` or `self`, by a child module's name, or by a module that A imported. What A names is looked
//! up through re-exports, so a folder's `mod.rs` that only declares modules and re-exports their items imports
//! nothing, and its children's names lead past it to the files with the items. A `mod.rs` with code of its own is
//! a file like any other: when it uses what a child defines, the child may not use what it defines. The
//! rule does not find uses of methods and traits, because they need no path.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    assert_tidy,
    code::{self, Leaf},
    is_unit_tests, sources,
};

/// A module by its path below the package's root.
type Module = Vec<String>;

/// One file of a package.
struct File<'a> {
    path: &'a str,
    /// The leaves of its `use` items.
    leaves: Vec<Leaf<'a>>,
    /// The tokens outside its `use` items.
    tokens: Vec<&'a str>,
}

/// Where a path leads: to a module, or to an item of one.
enum Target {
    Module(Module),
    Item(Module),
}

/// The files of one package by module.
struct Package<'a>(BTreeMap<Module, File<'a>>);

/// For each importing module and each module that it imports, the paths by which it does so.
type Edges = BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>;

impl<'a> Package<'a> {
    /// Builds a package from its sources as (path below `src/`, text).
    fn new(sources: &'a [(String, String)]) -> Self {
        let mut files = BTreeMap::new();
        for (path, text) in sources {
            let Some(module) = module_of(path) else {
                continue;
            };
            let (leaves, tokens) = code::imports(&code::tokens(text));
            files.insert(module, File { path, leaves, tokens });
        }
        Self(files)
    }

    /// Returns the module at which a path from inside `module` begins, and the segments below it; `None` for a path
    /// that leads out of the package, or to an item of this file.
    fn start<'p>(&self, module: &[String], path: &'p [&'p str]) -> Option<(Module, &'p [&'p str])> {
        match path {
            ["crate", rest @ ..] => Some((Vec::new(), rest)),
            ["self", rest @ ..] => Some((module.to_vec(), rest)),
            ["super", ..] => {
                let up = path.iter().take_while(|&&segment| segment == "super").count();
                Some((module[..module.len().checked_sub(up)?].to_vec(), &path[up..]))
            }
            [first, ..] => self.child(module, first).map(|_| (module.to_vec(), path)),
            [] => None,
        }
    }

    fn child(&self, module: &[String], name: &str) -> Option<Module> {
        let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
        self.0.contains_key(&child).then_some(child)
    }

    /// Follows a path from inside `module` through modules and at most `steps` re-exports.
    fn resolve(&self, module: &[String], path: &[&str], steps: u32) -> Option<Target> {
        let (mut at, mut rest) = self.start(module, path)?;
        while let Some((&segment, below)) = rest.split_first() {
            if let Some(child) = self.child(&at, segment) {
                (at, rest) = (child, below);
                continue;
            }
            let imported = self.0.get(&at)?.leaves.iter().find(|leaf| leaf.name == segment);
            let Some(leaf) = imported.filter(|_| steps > 0) else {
                return Some(Target::Item(at));
            };
            return match self.resolve(&at, &leaf.path, steps - 1)? {
                Target::Module(module) => {
                    let path: Vec<&str> = ["self"].iter().chain(below).copied().collect();
                    self.resolve(&module, &path, steps - 1)
                }
                item @ Target::Item(_) => Some(item),
            };
        }
        Some(Target::Module(at))
    }

    fn edges(&self) -> Edges {
        let imported = |(module, file): (&Module, &File)| (module.clone(), self.imports_of(module, file));
        self.0.iter().map(imported).collect()
    }

    /// Returns the modules that one file imports, and the paths by which it does so.
    fn imports_of(&self, module: &Module, file: &File<'_>) -> BTreeMap<Module, BTreeSet<String>> {
        const STEPS: u32 = 16;
        let mut found: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
        let mut add = |target: Option<Target>, path: &[&str]| {
            if let Some(Target::Item(other)) = target
                && other != *module
            {
                found.entry(other).or_default().insert(path.join("::"));
            }
        };
        // Modules that the file has a name for.
        let mut modules: BTreeMap<&str, Module> = BTreeMap::new();
        for leaf in &file.leaves {
            let is_used = !leaf.is_public || is_named(&file.tokens, leaf.name);
            match leaf.path.split_last() {
                Some((&"*", of)) if is_used => match self.resolve(module, of, STEPS) {
                    Some(Target::Module(other)) => add(Some(Target::Item(other)), &leaf.path),
                    other => add(other, &leaf.path),
                },
                _ => match self.resolve(module, &leaf.path, STEPS) {
                    Some(Target::Module(other)) => drop(modules.insert(leaf.name, other)),
                    other if is_used => add(other, &leaf.path),
                    _ => {}
                },
            }
        }
        for path in paths(&file.tokens) {
            let target = match modules.get(path[0]) {
                Some(other) => {
                    let below: Vec<&str> = ["self"].iter().chain(&path[1..]).copied().collect();
                    self.resolve(other, &below, STEPS)
                }
                None => self.resolve(module, path.as_slice(), STEPS),
            };
            add(target, &path);
        }
        found
    }

    /// Returns a complaint for every circle.
    fn complaints(&self) -> Vec<String> {
        let edges = self.edges();
        circles(&edges)
            .iter()
            .map(|circle| {
                let files: Vec<&str> = circle.iter().map(|module| self.0[module].path).collect();
                let mut complaint =
                    format!("these files import each other in a circle: {}", files.join(", "));
                for module in circle {
                    let inside = edges[module].iter().filter(|(other, _)| circle.contains(other));
                    for (other, paths) in inside {
                        let (from, to) = (self.0[module].path, self.0[other].path);
                        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                        complaint += &format!("\n    {from} imports {to} by {}", paths.join(", "));
                    }
                }
                complaint
            })
            .collect()
    }
}

/// Returns the module of a file below `src/`; `None` for tests and for the roots of programs beside a library.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.rsplit_once("src/").map_or(path, |(_, inside)| inside);
    if is_unit_tests(path) || inside.starts_with("bin/") {
        return None;
    }
    let mut module: Module = inside
        .strip_suffix(".rs")?
        .split('/')
        .map(str::to_owned)
        .collect();
    match module.last().map(String::as_str) {
        Some("mod" | "lib") => drop(module.pop()),
        Some("main") if module.len() == 1 => return None,
        _ => {}
    }
    Some(module)
}

/// Returns whether the tokens name an item, and not only a field or a variant of the same name.
fn is_named(tokens: &[&str], name: &str) -> bool {
    tokens.windows(3).any(|window| {
        let is_member = matches!(window[0], "{" | "," | "]") && matches!(window[2], "}" | "," | ":");
        window[1] == name && !is_member
    })
}

/// Returns all paths of two segments or more.
fn paths<'a>(tokens: &[&'a str]) -> Vec<Vec<&'a str>> {
    let is_word = |token: &str| token.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let mut found = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut is_open = false;
    for &token in tokens.iter().chain(&[";"]) {
        if is_word(token) && (is_open || path.is_empty()) {
            path.push(token);
            is_open = false;
        } else if token == "::" && !path.is_empty() {
            is_open = true;
        } else {
            if path.len() > 1 {
                found.push(std::mem::take(&mut path));
            }
            path.clear();
            is_open = false;
            if is_word(token) {
                path.push(token);
            }
        }
    }
    found
}

/// Returns the strongly connected components that have more than one module.
fn circles(edges: &Edges) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = edges
        .keys()
        .map(|module| (module, reachable(edges, module)))
        .collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for module in edges.keys() {
        let is_mutual = |other: &&&Module| reached.get(*other).is_some_and(|back| back.contains(module));
        let mut circle: Vec<Module> = reached[module]
            .iter()
            .filter(is_mutual)
            .map(|&other| other.clone())
            .collect();
        circle.sort();
        if circle.len() > 1 && seen.insert(circle.clone()) {
            found.push(circle);
        }
    }
    found
}

fn reachable<'a>(edges: &'a Edges, from: &'a Module) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in edges.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found
}

#[test]
fn files_import_each_other_in_no_circle() {
    let mut packages: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (path, text) in sources() {
        if let Some((package, _)) = path.split_once("src/").filter(|_| !path.starts_with("tests/")) {
            packages.entry(package.to_owned()).or_default().push((path, text));
        }
    }
    let complaints: Vec<String> = packages
        .values()
        .flat_map(|sources| Package::new(sources).complaints())
        .collect();
    assert_tidy(&complaints);
}

#[test]
fn circles_are_found_and_trees_are_not() {
    let check = |files: &[(&str, &str)]| {
        let owned = |&(path, text): &(&str, &str)| (format!("a/src/{path}"), text.to_owned());
        let sources: Vec<_> = files.iter().map(owned).collect();
        Package::new(&sources).complaints()
    };
    let siblings = check(&[
        ("lib.rs", "mod b; mod c; mod d;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "pub struct C(super::d::D);"),
        ("d.rs", "use super::b; pub struct D(b::B);"),
    ]);
    assert_eq!(siblings.len(), 1, "{siblings:?}");
    assert!(
        siblings[0].contains("a/src/c.rs imports a/src/d.rs by super::d::D"),
        "{siblings:?}"
    );

    let parent = ("b/mod.rs", "mod c; pub struct B; fn f() { c::run() }");
    let child = ("b/c.rs", "use super::B; pub fn run() {}");
    assert_eq!(check(&[("lib.rs", "mod b;"), parent, child]).len(), 1);

    let facade = ("b/mod.rs", "mod c; mod d; pub use c::C; pub use d::D;");
    let children = [
        ("b/c.rs", "use super::D; pub struct C;"),
        ("b/d.rs", "pub struct D;"),
    ];
    assert!(check(&[facade, children[0], children[1]]).is_empty());
    let mutual = ("b/d.rs", "use crate::b::C; pub struct D;");
    assert_eq!(
        check(&[facade, children[0], mutual]).len(),
        1,
        "through re-exports"
    );

    let test = "pub struct C; #[cfg(test)] mod tests { use crate::b::B; }";
    assert!(check(&[("b.rs", "use crate::c::C; pub struct B;"), ("c.rs", test)]).is_empty());
}
