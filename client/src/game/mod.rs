//! Skirmish in a window: a Bevy app around the client core.
//!
//! One plugin for each thing that can be seen; each reads the mirrored world and none writes into it. What is
//! drawn goes through [`batch`], in the order `Update` (what happened), [`batch::Paint`] (what it looks like),
//! `PostUpdate` (to the graphics card).

pub mod batch;
pub mod bodies;
pub mod camera;
pub mod chat;
pub mod colors;
pub mod connect;
pub mod content;
pub mod detail;
pub mod docking;
pub mod effects;
pub mod hud;
pub mod indicators;
pub mod keys;
pub mod menu;
pub mod minimap;
pub mod models;
pub mod netgraph;
pub mod overlay;
pub mod pilot;
pub mod raster;
pub mod scores;
pub mod screenshot;
pub mod session;
pub mod settings_file;
pub mod sky;
pub mod tags;
pub mod teams;
pub mod theme;
pub mod view;

use std::path::PathBuf;

use crate::skirmish::SkirmishClientPlugin;
use bevy::app::MainScheduleOrder;
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::window::PresentMode;
use bevy::winit::WinitSettings;

pub use settings_file::DetailChoice;
use settings_file::SettingsFile;

/// How the game is started.
#[derive(Clone, Debug, Default)]
pub struct GameOptions {
    /// The server's address; else the one of the last time.
    pub server: Option<String>,
    /// The player's name; else the one of the last time.
    pub name: Option<String>,
    /// How much is drawn; else what the settings say.
    pub detail: Option<DetailChoice>,
    /// Where settings are kept; else in the user's configuration folder.
    pub settings: Option<PathBuf>,
    /// Folder of the content; else `assets/skirmish` here, where there is one.
    pub content: Option<PathBuf>,
    /// Where screenshots go; else to the folder `screenshots` here.
    pub screenshots: Option<PathBuf>,
}

/// Plays until the player quits.
pub fn run(options: GameOptions) -> AppExit {
    let file = options.settings.map_or_else(SettingsFile::usual, SettingsFile);
    let mut settings = file.load();
    settings.server = options.server.unwrap_or(settings.server);
    settings.name = options.name.unwrap_or(settings.name);
    settings.detail = options.detail.unwrap_or(settings.detail);
    let content = options.content.or_else(|| {
        let usual = PathBuf::from("assets/skirmish");
        usual.is_dir().then_some(usual)
    });
    let screenshots = options.screenshots.unwrap_or_else(|| "screenshots".into());

    let mut app = App::new();
    app.add_plugins((engine(), SkirmishClientPlugin));
    app.insert_resource(WinitSettings::continuous())
        .insert_resource(settings.keys.clone())
        .insert_resource(settings)
        .insert_resource(file)
        .init_resource::<keys::Typing>()
        .init_resource::<keys::PointerTaken>()
        .init_schedule(batch::Paint);
    app.world_mut()
        .resource_mut::<MainScheduleOrder>()
        .insert_after(Update, batch::Paint);
    app.add_plugins((
        session::SessionPlugin,
        pilot::PilotPlugin,
        view::ViewPlugin,
        camera::CameraPlugin,
        batch::BatchPlugin,
        bodies::BodiesPlugin,
        sky::SkyPlugin,
        effects::EffectsPlugin,
        detail::DetailPlugin,
        colors::ColorsPlugin { content },
        theme::ThemePlugin,
        (
            hud::HudPlugin,
            tags::TagsPlugin,
            minimap::MinimapPlugin,
            indicators::IndicatorsPlugin,
        ),
        (
            chat::ChatPlugin,
            docking::DockingPlugin,
            menu::MenuPlugin,
            netgraph::NetGraphPlugin,
            overlay::OverlayPlugin,
            scores::ScoresPlugin,
        ),
        connect::ConnectPlugin { at_once: true },
        screenshot::ScreenshotPlugin { folder: screenshots },
    ));
    app.run()
}

/// Bevy, with a window.
fn engine() -> impl PluginGroup {
    let window = Window {
        title: "Skirmish".into(),
        name: Some("throng-skirmish".into()),
        resolution: (1280, 720).into(),
        present_mode: PresentMode::AutoVsync,
        ..default()
    };
    let log = LogPlugin {
        filter: "info,wgpu=error,naga=warn,bevy_render=warn,bevy_winit=warn,bevy_app=warn".into(),
        ..default()
    };
    DefaultPlugins
        .set(WindowPlugin {
            primary_window: Some(window),
            ..default()
        })
        .set(log)
}
