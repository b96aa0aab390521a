//! Skirmish in a window: a Bevy app around the client library.
//!
//! There is one plugin for each visible part; each reads the mirrored world and none writes into it. Drawing
//! goes through [`batch`], in the order `Update` (changes), [`batch::Paint`] (appearance), `PostUpdate`
//! (transfer to the graphics card).

pub(crate) mod batch;
pub(crate) mod bodies;
pub(crate) mod camera;
pub(crate) mod chat;
pub(crate) mod colors;
pub(crate) mod connect;
pub(crate) mod content;
pub(crate) mod detail;
pub(crate) mod docking;
pub(crate) mod effects;
pub(crate) mod hud;
pub(crate) mod indicators;
pub(crate) mod keys;
pub(crate) mod menu;
pub(crate) mod minimap;
pub(crate) mod models;
pub(crate) mod netgraph;
pub(crate) mod overlay;
pub(crate) mod pilot;
pub(crate) mod raster;
pub(crate) mod scores;
pub(crate) mod screenshot;
pub(crate) mod session;
pub(crate) mod settings_file;
pub(crate) mod sky;
pub(crate) mod tags;
pub(crate) mod teams;
pub(crate) mod theme;
pub(crate) mod view;

use std::path::PathBuf;

use crate::credential::CredentialChoice;
use crate::detail_choice::DetailChoice;
use crate::plugin::SkirmishClientPlugin;
use bevy::app::MainScheduleOrder;
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::window::PresentMode;
use bevy::winit::WinitSettings;

use settings_file::SettingsFile;

/// The options that the window is opened with.
#[derive(Clone, Debug, Default)]
pub(crate) struct WindowOptions {
    /// The server's address; by default the one of the last time.
    pub(crate) server: Option<String>,
    /// The player's name; by default the one of the last time.
    pub(crate) name: Option<String>,
    /// Where the client's credential is kept.
    pub(crate) credential: CredentialChoice,
    /// The level of graphics detail; by default the one in the settings.
    pub(crate) detail: Option<DetailChoice>,
    /// File of the settings; by default in the user's configuration folder.
    pub(crate) settings: Option<PathBuf>,
    /// Folder of the content; by default `assets/skirmish` in the current folder, if there is one.
    pub(crate) content: Option<PathBuf>,
    /// Folder for screenshots; by default `screenshots` in the current folder.
    pub(crate) screenshots: Option<PathBuf>,
}

/// Runs the game until the player quits.
pub(crate) fn run(options: WindowOptions) -> AppExit {
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
        .insert_resource(session::Credential(options.credential))
        .init_resource::<keys::KeyboardFocus>()
        .init_resource::<keys::PointerOverControl>()
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
