//! Graphics detail: full on a graphics card, reduced with software rendering.
//!
//! With high detail the picture is rendered with a high dynamic range, bloom and smooth edges. With low detail
//! it goes straight to the window, without any of them, and draws are issued one by one: the indirect draws and
//! the compute passes before them cost a software renderer more than they save.

use bevy::camera::Hdr;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::post_process::bloom::Bloom;
use bevy::prelude::*;
use bevy::render::renderer::RenderAdapterInfo;
use bevy::render::view::NoIndirectDrawing;

use super::settings_file::SavedSettings;
use crate::detail_choice::DetailChoice;

/// The level of graphics detail.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All effects are drawn.
    #[default]
    High,
    /// Only what software rendering can draw.
    Low,
}

/// The graphics adapter in use.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Painter {
    /// The graphics adapter's name.
    name: String,
    /// Whether it renders in software.
    is_software: bool,
}

impl Painter {
    /// Returns the detail for the player's choice.
    fn detail(&self, choice: DetailChoice) -> Detail {
        match choice {
            DetailChoice::Low => Detail::Low,
            DetailChoice::Auto if self.is_software => Detail::Low,
            DetailChoice::High | DetailChoice::Auto => Detail::High,
        }
    }

    /// Describes the adapter, the detail and the reason for it, for the player.
    pub(crate) fn words(&self, detail: Detail, choice: DetailChoice) -> String {
        let how = if self.is_software { ", in software" } else { "" };
        let much = match detail {
            Detail::High => "high",
            Detail::Low => "low",
        };
        let why = match choice {
            DetailChoice::Auto => "as suits it",
            DetailChoice::High | DetailChoice::Low => "as you chose",
        };
        format!("Drawn by {}{how}: {much} detail, {why}.", self.name)
    }
}

pub(crate) struct DetailPlugin;

impl Plugin for DetailPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Detail>()
            .init_resource::<Painter>()
            .add_systems(Update, choose_detail.run_if(resource_changed::<SavedSettings>));
    }
}

fn choose_detail(
    settings: Res<SavedSettings>,
    adapter: Option<Res<RenderAdapterInfo>>,
    camera: Single<Entity, With<Camera3d>>,
    (mut detail, mut painter): (ResMut<Detail>, ResMut<Painter>),
    mut last: Local<Option<Detail>>,
    mut commands: Commands,
) {
    if let Some(adapter) = adapter {
        *painter = Painter {
            name: adapter.name.clone(),
            is_software: format!("{:?}", adapter.device_type) == "Cpu",
        };
    }
    let chosen = painter.detail(settings.detail);
    if last.replace(chosen) == Some(chosen) {
        return;
    }
    *detail = chosen;
    info!("{}", painter.words(chosen, settings.detail));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_rendering_has_low_detail_unless_the_player_chooses_high() {
        let painter = |is_software| Painter {
            name: "a painter".into(),
            is_software,
        };
        for (is_software, choice, detail) in [
            (true, DetailChoice::Auto, Detail::Low),
            (true, DetailChoice::High, Detail::High),
            (false, DetailChoice::Auto, Detail::High),
            (false, DetailChoice::Low, Detail::Low),
        ] {
            assert_eq!(
                painter(is_software).detail(choice),
                detail,
                "{is_software} {choice:?}"
            );
        }
        assert_eq!(
            painter(true).words(Detail::Low, DetailChoice::Auto),
            "Drawn by a painter, in software: low detail, as suits it."
        );
    }
}
