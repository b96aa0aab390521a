//! The settings of the program's scenes.

use throng_scenes::Scene;
use throng_server::config::ConfigError;
use throng_server::process::Game;

use super::read;

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
    let accepted = "must be one of skirmish, crowd, crowd3, static, hotspot, idle";
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
