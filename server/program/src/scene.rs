//! The scenes to choose from, and their settings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bevy_app::{App, Plugin};
use clap::{Args, ValueEnum};
use skirmish_server::SkirmishPlugin;
use throng_scenes::{BurnPlugin, Scene, ScenePlugin};
use throng_server::config::{ServerSettings, number};
use throng_server::process::{Game, Thousands};
use throng_server::simulation::ContentSource;

const WORLD: &str = "World";

#[derive(Args, Clone, Debug)]
pub(crate) struct SceneSettings {
    /// The world: skirmish is the game; in crowd all entities move, in crowd3 in space, in static none; in hotspot all are
    /// in one view; idle is empty.
    #[arg(long, help_heading = WORLD, value_enum, default_value_t = SceneName::Skirmish)]
    scene: SceneName,
    /// Entities in the scene (default: 7000 (crowd, crowd3: 1000, static: 100000, hotspot: 2000, idle: 0)).
    #[arg(long, help_heading = WORLD, value_name = "N", value_parser = number::<u32>(0..=1_000_000))]
    entities: Option<u32>,
    /// Entities that one client sees on average in crowd and crowd3; determines the size of the world.
    #[arg(long, help_heading = WORLD, value_name = "K", default_value = "60", value_parser = number::<u32>(1..=100_000))]
    visible: u32,
    /// Milliseconds for which every tick keeps its processor busy, for load tests.
    #[arg(long, help_heading = WORLD, value_name = "MS", default_value = "0", value_parser = number::<u32>(0..=10_000))]
    burn: u32,
    /// Content of Skirmish; reloaded whenever a file changes (default: built in).
    #[arg(long, help_heading = WORLD, value_name = "DIR", value_parser = folder)]
    content: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SceneName {
    Skirmish,
    Crowd,
    Crowd3,
    Static,
    Hotspot,
    Idle,
}

fn folder(text: &str) -> Result<PathBuf, &'static str> {
    let is_folder = Path::new(text).is_dir();
    is_folder
        .then(|| text.into())
        .ok_or("must be a folder with the files of assets/skirmish")
}

impl SceneSettings {
    /// Returns the benchmark scene; `None` for Skirmish.
    pub(crate) fn scene(&self) -> Option<Scene> {
        let entities = |default| self.entities.unwrap_or(default);
        Some(match self.scene {
            SceneName::Skirmish => return None,
            SceneName::Crowd => Scene::Crowd {
                entities: entities(1_000),
                visible: self.visible,
            },
            SceneName::Crowd3 => Scene::Crowd3d {
                entities: entities(1_000),
                visible: self.visible,
            },
            SceneName::Static => Scene::Static {
                entities: entities(100_000),
            },
            SceneName::Hotspot => Scene::Hotspot {
                entities: entities(2_000),
            },
            SceneName::Idle => Scene::Idle,
        })
    }

    /// Returns how many drones and asteroids Skirmish has: two of seven entities are drones.
    pub(crate) fn drones_and_asteroids(&self) -> (u32, u32) {
        let entities = self.entities.unwrap_or(7_000);
        let drones = (u64::from(entities) * 2 / 7) as u32;
        (drones, entities - drones)
    }
}

impl Plugin for SceneSettings {
    fn build(&self, app: &mut App) {
        if self.burn > 0 {
            app.add_plugins(BurnPlugin(Duration::from_millis(self.burn.into())));
        }
        if let Some(scene) = self.scene() {
            if self.content.is_some() {
                tracing::warn!("this scene has no content");
            }
            app.add_plugins(ScenePlugin(scene));
            return;
        }
        let (drones, asteroids) = self.drones_and_asteroids();
        let content = ContentSource::choose(app, self.content.clone());
        app.add_plugins(SkirmishPlugin {
            drones,
            asteroids,
            content,
        });
    }
}

impl Game for SceneSettings {
    const NAME: &'static str = "throng-server";
    const ABOUT: &'static str = "A world for thousands of players: the Throng game server.";

    fn describe(&self) -> String {
        self.scene().map_or_else(
            || {
                let (drones, asteroids) = self.drones_and_asteroids();
                let [drones, asteroids] = [drones, asteroids].map(|count| Thousands(count.into()));
                format!("skirmish: {drones} drones, {asteroids} asteroids")
            },
            |scene| scene.to_string(),
        )
    }

    fn opens_audit(&self) -> bool {
        self.scene().is_some()
    }

    /// Returns the command that fills a benchmark scene with bots. With TLS there is none, because the bots do not
    /// speak it.
    fn banner_rows(&self, server: &ServerSettings, http: SocketAddr) -> Vec<(&'static str, String)> {
        if self.scene().is_none() || server.tls_cert.is_some() {
            return Vec::new();
        }
        let mut swarm = "cargo swarm --clients 1000 --seconds 30".to_owned();
        if http != SocketAddr::from(([127, 0, 0, 1], 8080)) {
            swarm += &format!(" --server {http}");
        }
        vec![("bots", swarm)]
    }
}
