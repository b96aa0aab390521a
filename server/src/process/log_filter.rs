//! Which parts of a log filter match nothing.
//!
//! Owns the list of the server's modules that log. A misspelled level or module is a valid filter, which logs nothing;
//! so the server says at its start which part of the filter has no effect.

use std::collections::BTreeSet;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The modules of this crate that log. A test compares them with the code.
const MODULES: &[&str] = &[
    "throng_server::http",
    "throng_server::http::guest",
    "throng_server::http::open_files",
    "throng_server::http::tls",
    "throng_server::input::receive",
    "throng_server::net::batched",
    "throng_server::net::core::payload",
    "throng_server::net::core::serve",
    "throng_server::net::places::table",
    "throng_server::net::portable",
    "throng_server::net::socket",
    "throng_server::net::worker",
    "throng_server::process::peer_simulations",
    "throng_server::process::server",
    "throng_server::process::signals",
    "throng_server::process::summary",
    "throng_server::record::recorder",
    "throng_server::replication::components",
    "throng_server::schedule",
    "throng_server::schedule::stopwatch",
    "throng_server::simulation",
    "throng_server::simulation::admission",
    "throng_server::simulation::components",
    "throng_server::simulation::mistakes::inputs",
    "throng_server::simulation::mistakes::late_writes",
    "throng_server::simulation::mistakes::players",
    "throng_server::simulation::mistakes::poses",
    "throng_server::simulation::references",
    "throng_server::simulation::resources",
    "throng_server::simulation::sessions",
    "throng_server::simulation::tell",
    "throng_server::simulations::cross",
    "throng_server::simulations::effects",
    "throng_server::simulations::map_shape",
    "throng_server::transport",
];

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The modules by which a filter can select something.
pub(super) struct LogModules {
    modules: BTreeSet<String>,
    /// Crates of the game, whose modules are not all known.
    crates: BTreeSet<String>,
}

impl LogModules {
    /// Collects the modules of the engine and those of the game, given the full names of the types that make the game,
    /// and of those in its world.
    pub(super) fn new(game: &[&str], world: impl IntoIterator<Item = String>) -> Self {
        let mut known = Self {
            modules: MODULES.iter().map(|&module| module.to_owned()).collect(),
            crates: BTreeSet::new(),
        };
        for path in game.iter().flat_map(|name| paths(name)) {
            // A program may have the name of the engine's crate.
            if let Some((module, _)) = path.rsplit_once("::").filter(|_| is_engine(path)) {
                known.modules.insert(module.to_owned());
            }
        }
        let world: Vec<String> = world.into_iter().collect();
        let all = game.iter().copied().chain(world.iter().map(String::as_str));
        for path in all.flat_map(paths).filter(|path| !is_engine(path)) {
            let name = path.split("::").next().filter(|name| !name.is_empty());
            known.crates.extend(name.map(str::to_owned));
        }
        known
    }

    fn has(&self, target: &str) -> bool {
        let is_in_crate =
            |name: &String| name.starts_with(target) || target.starts_with(&format!("{name}::"));
        self.modules.iter().any(|module| module.starts_with(target)) || self.crates.iter().any(is_in_crate)
    }

    /// Returns a sentence for each part of `filter` that selects nothing, with a similar word that would.
    pub(super) fn unmatched(&self, filter: &str) -> Vec<String> {
        let Ok(targets) = filter.parse::<Targets>() else {
            return Vec::new();
        };
        let mut sentences: Vec<String> = targets
            .iter()
            .filter(|&(target, level)| level != LevelFilter::OFF && !self.has(target))
            .map(|(target, _)| {
                let hint = self
                    .similar(target)
                    .map(|word| format!(" (did you mean `{word}`?)"));
                let hint = hint.unwrap_or_default();
                format!(
                    "--log {filter}: no module that logs is called `{target}`{hint}; nothing is logged for it"
                )
            })
            .collect();
        sentences.sort();
        sentences
    }

    /// Returns a level or module that `target` may stand for: a misspelled one, or one whose path lacks its beginning.
    fn similar(&self, target: &str) -> Option<&str> {
        let names = || {
            let parts = self.modules.iter().flat_map(|module| prefixes(module));
            parts.chain(self.crates.iter().map(String::as_str))
        };
        let tail = format!("::{target}");
        if let Some(name) = names().find(|name| name.ends_with(&tail)) {
            return Some(name);
        }
        let words = LEVELS.into_iter().chain(names());
        let nearest = words
            .map(|word| (strsim::levenshtein(word, target), word))
            .min()?;
        Some(nearest)
            .filter(|&(distance, _)| distance <= 2)
            .map(|(_, word)| word)
    }
}

/// Returns a module's path and those of the modules that contain it.
fn prefixes(module: &str) -> impl Iterator<Item = &str> {
    let ends = module.match_indices("::").map(|(end, _)| end);
    ends.chain([module.len()]).map(|end| &module[..end])
}

fn is_engine(path: &str) -> bool {
    path.starts_with("throng_server::")
}

/// Returns the paths in the name of a type, such as two in `a::Messages<b::Fired>`.
fn paths(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .filter(|path| path.contains("::"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn modules() -> LogModules {
        let world = [
            "my_game::combat::Fired",
            "bevy_ecs::message::Messages<my_rules::Hit>",
            "throng_server::space::Space",
        ];
        LogModules::new(&["throng_server::scene::SceneSettings"], world.map(str::to_owned))
    }

    #[test]
    fn filters_that_select_something_are_accepted() {
        for filter in [
            "info",
            "OFF",
            "warn,throng_server=debug",
            "throng_server::net=debug,throng_server::net::worker=trace",
            "throng_server::scene=debug",
            "my_game,my_rules::anything=debug",
            "nonsense=off",
        ] {
            assert_eq!(modules().unmatched(filter), [""; 0], "{filter}");
        }
    }

    #[test]
    fn a_part_that_selects_nothing_is_named_with_what_may_be_meant() {
        for (filter, named, meant) in [
            ("infoo", "infoo", Some("info")),
            ("warn,debgu", "debgu", Some("debug")),
            ("net=debug", "net", Some("throng_server::net")),
            (
                "throng_server::nett=debug",
                "throng_server::nett",
                Some("throng_server::net"),
            ),
            ("my_gane=trace", "my_gane", Some("my_game")),
            ("throng_server::space=debug", "throng_server::space", None),
            ("rustls=debug", "rustls", None),
        ] {
            let sentences = modules().unmatched(filter);
            let [sentence] = &sentences[..] else {
                panic!("{filter}: {sentences:?}");
            };
            assert!(sentence.contains(&format!("--log {filter}: ")), "{sentence}");
            assert!(sentence.contains(&format!("`{named}`")), "{sentence}");
            match meant {
                Some(meant) => assert!(sentence.contains(&format!("`{meant}`?")), "{sentence}"),
                None => assert!(!sentence.contains("did you mean"), "{sentence}"),
            }
        }
        assert_eq!(modules().unmatched("a_b=info,c_d=info").len(), 2);
    }

    /// Adds the modules below `folder` whose files log.
    fn add_modules(folder: &Path, path: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                add_modules(&entry.path(), &format!("{path}::{name}"), found);
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            let logs = ["error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|level| text.contains(&format!("tracing::{level}!(")));
            if logs {
                found.insert(match name.trim_end_matches(".rs") {
                    "mod" => path.to_owned(),
                    module => format!("{path}::{module}"),
                });
            }
        }
    }

    #[test]
    fn the_listed_modules_are_those_that_log() {
        let mut found = BTreeSet::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        add_modules(&source, "throng_server", &mut found);
        let listed: BTreeSet<String> = MODULES.iter().map(|&module| module.to_owned()).collect();
        assert_eq!(found, listed);
    }
}
