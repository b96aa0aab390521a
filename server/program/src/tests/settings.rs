//! The settings of the program's scenes, and the manual.

use throng_scenes::Scene;
use throng_server::config::{ConfigError, command};
use throng_server::process::Game;

use super::read;
use crate::scene::SceneSettings;

fn scene(flags: &[&str]) -> Option<Scene> {
    read(flags, &[]).unwrap().game.scene()
}

#[test]
fn every_scene_has_its_default_number_of_entities() {
    let skirmish = |flags: &[&str]| {
        let world = read(flags, &[]).unwrap().game;
        assert_eq!(world.scene(), None);
        world.drones_and_asteroids()
    };
    assert_eq!(skirmish(&[]), (2_000, 5_000));
    assert_eq!(skirmish(&["--scene", "skirmish", "--entities", "7"]), (2, 5));
    let crowd = |entities, visible| Some(Scene::Crowd { entities, visible });
    assert_eq!(scene(&["--scene", "crowd"]), crowd(1_000, 60));
    assert_eq!(
        scene(&["--scene", "crowd", "--entities", "0", "--visible", "9"]),
        crowd(0, 9)
    );
    assert_eq!(
        scene(&["--scene", "static"]),
        Some(Scene::Static { entities: 100_000 })
    );
    assert_eq!(
        scene(&["--scene", "hotspot"]),
        Some(Scene::Hotspot { entities: 2_000 })
    );
    assert_eq!(
        scene(&["--scene", "hotspot", "--entities", "5"]),
        Some(Scene::Hotspot { entities: 5 })
    );
    assert_eq!(scene(&["--scene", "idle", "--entities", "5"]), Some(Scene::Idle));
}

#[test]
fn only_benchmark_scenes_open_the_audit() {
    for scene in ["crowd", "static", "hotspot", "idle"] {
        assert!(
            read(&["--scene", scene], &[]).unwrap().game.opens_audit(),
            "{scene}"
        );
    }
    assert!(!read(&[], &[]).unwrap().game.opens_audit());
}

#[test]
fn unknown_scene_is_refused_by_name() {
    let refusal =
        |flags: &[&str], variables: &[(&str, &str)]| read(flags, variables).unwrap_err().to_string();
    let accepted = "must be one of skirmish, crowd, static, hotspot, idle";
    assert_eq!(
        refusal(&["--scene", "croud"], &[]),
        format!("`--scene croud`: {accepted}")
    );
    assert_eq!(
        refusal(&[], &[("THRONG_SCENE", "croud")]),
        format!("`THRONG_SCENE=croud` in the environment: {accepted}")
    );
    assert_eq!(
        refusal(&["--content", "nonsense/"], &[]),
        "`--content nonsense/`: must be a folder with the files of assets/skirmish"
    );
    let unknown = read(&["--wake-within", "0"], &[]);
    assert!(matches!(unknown, Err(ConfigError::Usage(_))), "{unknown:?}");
}

/// Returns what a setting accepts, from the refusal of an invalid value.
fn accepted(flag: &str) -> String {
    let refused = ["", "=nonsense/"].map(|bad| read(&[&format!("--{flag}={bad}")], &[]));
    let error = refused.into_iter().find_map(Result::err).unwrap().to_string();
    let (_, accepted) = error
        .split_once(": must be ")
        .unwrap_or_else(|| panic!("{error}"));
    accepted.to_owned()
}

/// Returns the tables of the manual, made from the command line: one for each heading of `--help`.
fn tables() -> String {
    let command = command::<SceneSettings>(SceneSettings::NAME, SceneSettings::ABOUT);
    let mut tables: Vec<(&str, String)> = Vec::new();
    for arg in command.get_arguments() {
        let Some(heading) = arg.get_help_heading() else {
            continue;
        };
        let flag = arg.get_long().unwrap();
        let help = arg.get_help().unwrap().to_string();
        let own_default = help
            .strip_suffix(')')
            .and_then(|help| help.split_once(" (default: "));
        let default = arg.get_default_values().first();
        let default = default.map_or("none".into(), |value| value.to_string_lossy().into_owned());
        let (help, default) = own_default.unwrap_or((&help, &default));
        let (key, accepted) = (flag.replace('-', "_"), accepted(flag));
        let row = format!("| `{key}` | {accepted} | {default} | {help} |\n");
        match tables.iter_mut().find(|(other, _)| *other == heading) {
            Some((_, rows)) => *rows += &row,
            None => tables.push((heading, row)),
        }
    }
    let head = "| key | accepts | default | what it does |\n|---|---|---|---|";
    let table = |(heading, rows): &(&str, String)| format!("\n### {heading}\n\n{head}\n{rows}");
    tables.iter().map(table).collect()
}

#[test]
fn manual_has_the_settings_of_the_program() {
    let manual = include_str!("../../../../docs/configuration.md");
    let tables = tables();
    assert!(
        manual.contains(&tables),
        "docs/configuration.md must hold these tables:\n{tables}"
    );
}
