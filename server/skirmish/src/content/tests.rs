//! Valid content, invalid content, and the effect of each while the game runs.

use super::*;
use crate::components::CraftModel;
use bevy_app::{App, Update};
use skirmish_shared::content::UpTo;
use std::path::PathBuf;

use throng_server::simulation::Outbox;
use throng_shared::protocol::registry::Protocol;

/// Returns the error about the built-in content with `old` replaced by `new` in `file`.
fn error_after(file: &str, old: &str, new: &str) -> String {
    let mut sources = Sources::built_in();
    let text = &mut sources.0[FILES.iter().position(|name| *name == file).unwrap()];
    assert!(text.contains(old), "{file} has no {old}");
    *text = text.replacen(old, new, 1);
    sources.rules().unwrap_err().to_string()
}

/// Returns the number of the first line of `file` that contains `word`.
fn line(file: &str, word: &str) -> usize {
    let index = FILES.iter().position(|name| *name == file).unwrap();
    let text = &Sources::built_in().0[index];
    text.lines().position(|line| line.contains(word)).unwrap() + 1
}

#[test]
fn built_in_content_is_valid_and_its_names_resolve() {
    let rules = Rules::built_in();
    assert_eq!(rules.hash, Rules::built_in().hash);
    assert!(rules.content.ships.len() > 2 && rules.content.drones.len() > 1);
    assert_eq!(rules.laser(CraftModel::Ship(0)).name, rules.class(0).laser);
    assert_eq!(rules.missile(2).1.name, rules.class(2).missile);
    // The bounds of the types limit speeds to the 120 units per second that rewinding allows for.
    assert!(UpTo::<60>::try_from(60.1).is_err() && UpTo::<2>::try_from(2.1).is_err());
}

#[test]
fn content_errors_name_file_line_and_reason() {
    let speed = line("ships.ron", "speed: 36.0");
    for (file, old, new, expected) in [
        (
            "ships.ron",
            "speed: 36.0",
            "speed: -1.0",
            format!("ships.ron:{speed}: "),
        ),
        (
            "ships.ron",
            "speed: 36.0",
            "speed: 900.0",
            format!("ships.ron:{speed}: "),
        ),
        (
            "ships.ron",
            "speed: 36.0",
            "sped: 36.0",
            format!("ships.ron:{speed}: "),
        ),
        (
            "ships.ron",
            "speed: 36.0",
            "speed: fast",
            format!("ships.ron:{speed}: "),
        ),
    ] {
        let error = error_after(file, old, new);
        assert!(
            error.starts_with(&expected) && error.len() > expected.len() + 5,
            "{error}"
        );
    }
    let error = error_after("ships.ron", "speed: 36.0", "speed: 900.0");
    assert!(error.contains("900 is not above 0 and at most 60"), "{error}");
    let unknown = error_after("ships.ron", "laser: \"needle\"", "laser: \"nedle\"");
    let expected = format!(
        "ships.ron:{}: nothing is called \"nedle\"",
        line("ships.ron", "\"needle\"")
    );
    assert_eq!(unknown, expected);
    let twice = error_after("ships.ron", "name: \"Wasp\"", "name: \"Lancer\"");
    assert!(twice.ends_with("\"Lancer\" is there twice"), "{twice}");
    let far = error_after("space.ron", "at: (600.0, 600.0)", "at: (1600.0, 600.0)");
    assert!(
        far.starts_with(&format!("space.ron:{}: ", line("space.ron", "\"Cinder\""))),
        "{far}"
    );
    let none = error_after("weapons.ron", "lasers: [", "lasers: [], missiles: [], rest: [");
    assert!(none.starts_with("weapons.ron:"), "{none}");
}

/// A temporary folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("throng-content-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for (name, text) in FILES.iter().zip(&Sources::built_in().0) {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn app(rules: Rules) -> (App, ReloadedRules) {
    let (mut app, delivery) = (App::new(), ReloadedRules::default());
    app.insert_resource(rules.files.clone())
        .insert_resource(rules)
        .insert_resource(delivery.clone())
        .init_resource::<Outbox>()
        .init_resource::<Protocol>()
        .add_systems(Update, adopt_content);
    (app, delivery)
}

#[test]
fn valid_content_is_reloaded_and_invalid_content_keeps_the_old() {
    let folder = Folder::new("reload");
    let (old, mut watch) = ContentWatch::open(folder.0.clone());
    let old = old.unwrap();
    assert_eq!(old.hash, Rules::built_in().hash);
    let ships = Sources::built_in().0[1].clone();
    let (mut app, delivery) = app(old.clone());
    assert!(watch.look().unwrap().is_none(), "nothing changed");

    folder.write("ships.ron", &ships.replace("speed: 36.0", "speed: oops"));
    let error = watch.look().unwrap_err().to_string();
    assert!(
        error.contains(&format!("ships.ron:{}: ", line("ships.ron", "speed: 36.0"))),
        "{error}"
    );
    assert!(watch.look().unwrap().is_none(), "the error is reported once");
    app.update();
    assert_eq!(app.world().resource::<Rules>().hash, old.hash);

    folder.write("ships.ron", &ships.replace("speed: 36.0", "speed: 40.0"));
    delivery.leave(watch.look().unwrap().unwrap());
    assert_eq!(
        app.world().resource::<Rules>().hash,
        old.hash,
        "only between ticks"
    );
    app.update();
    let new = app.world().resource::<Rules>();
    assert!(new.hash != old.hash && new.class(1).handling.speed.get() == 40.0);
}

#[test]
fn content_invalid_at_the_start_is_adopted_once_it_is_valid() {
    let folder = Folder::new("start");
    let good = Sources::built_in().0[3].clone();
    folder.write("drones.ron", "[");
    let (rules, mut watch) = ContentWatch::open(folder.0.clone());
    assert!(rules.unwrap_err().to_string().starts_with("drones.ron:1: "));
    assert!(watch.look().unwrap().is_none());
    folder.write("drones.ron", &good);
    assert_eq!(watch.look().unwrap().unwrap().hash, Rules::built_in().hash);
    std::fs::remove_file(folder.0.join("drones.ron")).unwrap();
    assert!(watch.look().unwrap_err().to_string().contains("drones.ron"));
}

#[cfg(unix)]
#[test]
fn content_that_never_ends_is_refused() {
    let folder = Folder::new("endless");
    let path = folder.0.join("drones.ron");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let name = path.display();
    let error = ContentWatch::open(folder.0.clone()).0.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{name}: it is a device, and must be a regular file")
    );
    std::fs::remove_file(&path).unwrap();
    folder.write("drones.ron", &" ".repeat((1 << 20) + 1));
    let error = ContentWatch::open(folder.0.clone()).0.unwrap_err().to_string();
    assert_eq!(error, format!("{name}: larger than 1048576 bytes"));
}

#[test]
fn content_that_entities_use_cannot_be_removed_by_a_reload() {
    let old = Rules::built_in();
    let (mut app, delivery) = app(old.clone());
    let mut fewer = old.clone();
    fewer.content.ships.pop();
    let mut smaller = old.clone();
    smaller.content.space.half = UpTo::try_from(1_000.0).unwrap();
    for new in [fewer, smaller] {
        assert!(old.cannot_become(&new).is_some());
        delivery.leave(new);
        app.update();
        assert_eq!(app.world().resource::<Rules>().content, old.content);
    }
    assert!(old.cannot_become(&old).is_none());
}
