//! How much is drawn: everything on a graphics card, less where the processor draws.
//!
//! With all detail the picture is rendered with a high range, bloom and smooth edges. With low detail it goes
//! straight to the window, without any of them, and draws are issued one by one: the indirect draws and the
//! compute passes before them cost a software renderer more than they save.

use bevy::camera::Hdr;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::post_process::bloom::Bloom;
use bevy::prelude::*;
use bevy::render::renderer::RenderAdapterInfo;
use bevy::render::view::NoIndirectDrawing;

use super::settings_file::{DetailChoice, Settings};

/// How much is drawn.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything.
    #[default]
    High,
    /// What a processor can draw.
    Low,
}

/// Chooses the detail.
pub struct DetailPlugin;

impl Plugin for DetailPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Detail>()
            .add_systems(Update, choose_detail.run_if(resource_changed::<Settings>));
    }
}

fn choose_detail(
    settings: Res<Settings>,
    adapter: Option<Res<RenderAdapterInfo>>,
    camera: Single<Entity, With<Camera3d>>,
    mut detail: ResMut<Detail>,
    mut last: Local<Option<Detail>>,
    mut commands: Commands,
) {
    let is_software = adapter
        .as_ref()
        .is_some_and(|adapter| format!("{:?}", adapter.device_type) == "Cpu");
    let chosen = match settings.detail {
        DetailChoice::Low => Detail::Low,
        DetailChoice::Auto if is_software => Detail::Low,
        DetailChoice::High | DetailChoice::Auto => Detail::High,
    };
    if last.replace(chosen) == Some(chosen) {
        return;
    }
    if let Some(adapter) = adapter {
        info!("drawing with {} in {chosen:?} detail", adapter.name);
    }
    *detail = chosen;
    let mut camera = commands.entity(*camera);
    match chosen {
        Detail::High => camera
            .insert((
                Hdr,
                Bloom {
                    intensity: 0.22,
                    ..Bloom::NATURAL
                },
                Tonemapping::AcesFitted,
                Msaa::Sample4,
            ))
            .remove::<NoIndirectDrawing>(),
        Detail::Low => camera
            .insert((Tonemapping::None, Msaa::Off, NoIndirectDrawing))
            .remove::<(Hdr, Bloom)>(),
    };
}
