//! `docs/commands.md`: every port, flag, variable and default of every program, made from the definitions of the
//! command lines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use throng_server::config::command;
use throng_server::process::{Game, NoSettings};
use throng_tests::balance_flags::BalanceFlags;
use throng_tests::bench::flags::BenchFlags;
use throng_tests::bench::floor::FloorFlags;
use throng_tests::swarm::flags::SwarmFlags;

use super::read;
use crate::scene::SceneSettings;

/// The lines of the page between which everything is made by [`generated`].
const BEGIN: &str = "## Ports\n";
const END: &str = "## Variables of the tests\n";

/// Heading of the settings that every server has.
const EVERY_SERVER: &str = "Every server";

/// The programs other than servers, each with how it is started.
fn programs() -> Vec<(Command, &'static str)> {
    vec![
        (skirmish_client::program::command(), "cargo skirmish"),
        (SwarmFlags::command(), "cargo swarm"),
        (
            BalanceFlags::command(),
            "cargo run --release -p throng-tests --bin balance --",
        ),
        (
            BenchFlags::command(),
            "cargo run --release -p throng-tests --bin bench --",
        ),
        (
            FloorFlags::command(),
            "cargo run --release -p throng-tests --bin floor --",
        ),
    ]
}

/// A line of a table: one flag as readers see it.
struct FlagRow {
    key: String,
    flag: String,
    default: String,
    help: String,
}

impl FlagRow {
    /// Returns the row of an argument; `None` for one that is hidden.
    fn of(arg: &Arg) -> Option<Self> {
        let long = arg.get_long().filter(|_| !arg.is_hide_set())?;
        let value = arg.get_value_names().and_then(|names| names.first());
        let value = value.filter(|_| arg.get_action().takes_values());
        let flag = match value {
            Some(value) if arg.is_require_equals_set() => format!("--{long}[={value}]"),
            Some(value) => format!("--{long} {value}"),
            None => format!("--{long}"),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        let own_default = help
            .strip_suffix(')')
            .and_then(|help| help.split_once(" (default: "));
        let default = arg.get_default_values().first();
        let default = default.filter(|_| arg.get_action().takes_values());
        let absent = if arg.get_action().takes_values() {
            "none"
        } else {
            "off"
        };
        let default = default.map_or(absent.into(), |value| value.to_string_lossy().into_owned());
        let (help, default) = own_default.unwrap_or((&help, &default));
        Some(Self {
            key: long.replace('-', "_"),
            flag,
            default: default.to_owned(),
            help: help.to_owned(),
        })
    }

    /// Returns the port in the default, where it is an address.
    fn port(&self) -> Option<u16> {
        let address = self.default.split([',', ' ']).next()?;
        Some(address.parse::<SocketAddr>().ok()?.port())
    }
}

/// Returns what a setting of the server accepts, from the refusal of an invalid value.
fn accepted(key: &str) -> String {
    let flag = key.replace('_', "-");
    let refused = ["", "=nonsense/"].map(|bad| read(&[&format!("--{flag}={bad}")], &[]));
    let error = refused.into_iter().find_map(Result::err).unwrap().to_string();
    let (_, accepted) = error
        .split_once(": must be ")
        .unwrap_or_else(|| panic!("{error}"));
    accepted.to_owned()
}

/// Returns the rows of settings that any source sets: a flag, a variable, a key of the file.
fn settings_rows<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut rows =
        String::from("| flag | variable | accepts | default | what it does |\n|---|---|---|---|---|\n");
    for arg in args {
        let Some(row) = FlagRow::of(arg) else { continue };
        let variable = format!("THRONG_{}", row.key.to_uppercase());
        let accepted = accepted(&row.key);
        let (flag, default, help) = (row.flag, row.default, row.help);
        writeln!(
            rows,
            "| `{flag}` | `{variable}` | {accepted} | {default} | {help} |"
        )
        .unwrap();
    }
    rows
}

/// Returns the sections of the servers: what all have, and what only `throng-server` has.
fn servers() -> String {
    let every = command::<NoSettings>("GAME", NoSettings::ABOUT);
    let own = command::<SceneSettings>(SceneSettings::NAME, SceneSettings::ABOUT);
    let is_every = |arg: &Arg| every.get_arguments().any(|other| other.get_id() == arg.get_id());
    let after = every
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut page = format!(
        "## {EVERY_SERVER}\n\nA game that is served with `serve` or `serve_game` has these flags, and `throng-server` has \
         them too. All programs have `--help` and `--version`.\n\n{after}\n"
    );
    let mut headings: Vec<&str> = Vec::new();
    for heading in every.get_arguments().filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let args = every
            .get_arguments()
            .filter(|arg| arg.get_help_heading() == Some(heading));
        write!(page, "\n### {heading}\n\n{}", settings_rows(args)).unwrap();
    }
    let mut built = every.clone();
    built.build();
    let general = built
        .get_arguments()
        .filter(|arg| arg.get_help_heading().is_none());
    page += "\n### Flags that are no settings\n\n| flag | what it does |\n|---|---|\n";
    for row in general.filter_map(FlagRow::of) {
        let help = match row.key.as_str() {
            "config" => format!("{}. The variable is `THRONG_CONFIG`", row.help),
            _ => row.help,
        };
        writeln!(page, "| `{}` | {help} |", row.flag).unwrap();
    }
    let scenes = own.get_arguments().filter(|arg| !is_every(arg));
    write!(
        page,
        "\n## {}\n\n{} Started with `cargo server`. It has the flags of every server and these:\n\n{}",
        SceneSettings::NAME,
        SceneSettings::ABOUT,
        settings_rows(scenes)
    )
    .unwrap();
    page
}

/// Returns the section of a program that is no server.
fn section(program: &Command, start: &str) -> String {
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = format!(
        "\n## {}\n\n{about}. Started with `{start}`.\n\n| flag | default | what it does |\n|---|---|---|\n",
        program.get_name()
    );
    for arg in program.get_arguments() {
        let Some(mut row) = FlagRow::of(arg) else { continue };
        let words: Vec<_> = arg.get_possible_values();
        if arg.get_action().takes_values() && !words.is_empty() {
            let words: Vec<&str> = words.iter().map(|word| word.get_name()).collect();
            write!(row.help, ": {}", words.join(", ")).unwrap();
        }
        writeln!(page, "| `{}` | {} | {} |", row.flag, row.default, row.help).unwrap();
    }
    if let Some(after) = program.get_after_help() {
        write!(page, "\n{after}\n").unwrap();
    }
    page
}

/// Returns the table of the ports in the defaults of all programs.
fn ports() -> String {
    let mut rows: BTreeMap<u16, String> = BTreeMap::new();
    let server = command::<SceneSettings>(SceneSettings::NAME, SceneSettings::ABOUT);
    let programs = programs().into_iter().map(|(program, _)| program);
    for program in [server].into_iter().chain(programs) {
        for row in program.get_arguments().filter_map(FlagRow::of) {
            let Some(port) = row.port() else { continue };
            let kind = if row.key == "udp" { "UDP" } else { "TCP" };
            let name = program.get_name();
            let line = format!("| {kind} {port} | `{name} {}` | {} |\n", row.flag, row.help);
            *rows.entry(port).or_default() += &line;
        }
    }
    let rows: String = rows.into_values().collect();
    format!(
        "{BEGIN}\n| default | set by | for |\n|---|---|---|\n{rows}\nEvery server has the ports of `throng-server`. Worker \
         *n* has the UDP port `--udp` plus *n*, unless `--udp-shared` gives all workers one. A client and a bot each have \
         one UDP port that the system chooses.\n\n"
    )
}

fn generated() -> String {
    let programs = programs()
        .into_iter()
        .map(|(program, start)| section(&program, start));
    ports() + &servers() + &programs.collect::<String>() + "\n"
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn page_has_every_flag_variable_and_port_of_every_program() {
    let path = root().join("docs/commands.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page
        .split_once(BEGIN)
        .expect("the page has the heading of the ports");
    let (_, tail) = rest
        .split_once(END)
        .expect("the page has the heading of the tests");
    let expected = format!("{head}{}{END}{tail}", generated());
    if std::env::var_os("THRONG_WRITE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    let differs = page.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        page == expected,
        "docs/commands.md is not what the programs say, first at {differs:?}; \
         `THRONG_WRITE_DOCS=1 cargo test -p throng-program commands` writes it anew"
    );
}

/// Returns the names of all programs of the workspace's packages.
fn program_names() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("default-members").unwrap().0;
    let mut names = Vec::new();
    for folder in members.lines().filter_map(|line| line.trim().strip_suffix(',')) {
        let folder = root().join(folder.trim_matches('"'));
        if folder.join("src/main.rs").exists() {
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let section = manifest.split_once("[[bin]]").map_or(&*manifest, |(_, bin)| bin);
            let name = section.lines().find_map(|line| line.strip_prefix("name = "));
            names.push(name.unwrap().trim_matches('"').to_owned());
        }
        let Ok(files) = fs::read_dir(folder.join("src/bin")) else {
            continue;
        };
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        names.extend(files.map(|file| stem(file.unwrap().path())));
    }
    names
}

#[test]
fn every_program_has_a_section() {
    let names = program_names();
    assert!(names.len() >= 6, "{names:?}");
    let page = generated();
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !page.contains(&format!("\n## {name}\n")) && *name != "throng-avian-example")
        .collect();
    assert!(
        missing.is_empty(),
        "docs/commands.md has no section for {missing:?}"
    );
}
