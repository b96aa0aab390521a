//! What the scene is painted on: the window, or with low detail a smaller picture that is stretched over it.
//!
//! A software renderer pays for every pixel, and again for every layer of light over it. The interface stays
//! sharp: it has a camera of its own then, above the stretched picture. Places in the scene's picture are told in
//! the window's logical pixels either way.

use bevy::camera::{ClearColorConfig, ImageRenderTarget, RenderTarget};
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::window::{PrimaryWindow, WindowRef};

use super::detail::Detail;

/// How many pixels of the window, across and down, a pixel of the smaller picture covers.
const COVERED: f32 = 1.5;

/// Keeps the scene painted on what suits the detail.
pub struct CanvasPlugin;

impl Plugin for CanvasPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(
            Update,
            (
                choose_canvas.run_if(resource_changed::<Detail>),
                fit_canvas.run_if(resource_exists::<Canvas>),
            )
                .chain(),
        );
    }
}

/// The smaller picture, while there is one.
#[derive(Resource)]
struct Canvas {
    picture: Handle<Image>,
    size: UVec2,
    /// The camera of the interface, and the node that shows the picture.
    shown_by: [Entity; 2],
}

fn choose_canvas(
    detail: Res<Detail>,
    canvas: Option<Res<Canvas>>,
    scene: Single<Entity, With<Camera3d>>,
    mut images: ResMut<Assets<Image>>,
    mut commands: Commands,
) {
    match (*detail, canvas) {
        (Detail::Low, None) => {
            let size = UVec2::ONE;
            let picture = images.add(blank(size));
            let interface = (
                Camera2d,
                Camera {
                    order: 1,
                    // The picture covers all of it.
                    clear_color: ClearColorConfig::None,
                    ..default()
                },
                IsDefaultUiCamera,
                Tonemapping::None,
                Msaa::Off,
            );
            let stretched = (
                ImageNode::new(picture.clone()),
                Node {
                    position_type: PositionType::Absolute,
                    width: Val::Percent(100.0),
                    height: Val::Percent(100.0),
                    ..default()
                },
                GlobalZIndex(i32::MIN),
            );
            let shown_by = [commands.spawn(interface).id(), commands.spawn(stretched).id()];
            commands.entity(*scene).remove::<IsDefaultUiCamera>();
            commands.insert_resource(Canvas {
                picture,
                size,
                shown_by,
            });
        }
        (Detail::High, Some(canvas)) => {
            for entity in canvas.shown_by {
                commands.entity(entity).despawn();
            }
            commands
                .entity(*scene)
                .insert((RenderTarget::Window(WindowRef::Primary), IsDefaultUiCamera));
            commands.remove_resource::<Canvas>();
        }
        (Detail::Low, Some(_)) | (Detail::High, None) => {}
    }
}

/// Follows the size of the window.
fn fit_canvas(
    mut canvas: ResMut<Canvas>,
    window: Single<&Window, With<PrimaryWindow>>,
    mut target: Single<&mut RenderTarget, With<Camera3d>>,
    mut images: ResMut<Assets<Image>>,
) -> Result {
    let size = smaller(window.physical_size());
    if canvas.size == size {
        return Ok(());
    }
    canvas.size = size;
    images.insert(&canvas.picture, blank(size))?;
    **target = RenderTarget::Image(ImageRenderTarget {
        handle: canvas.picture.clone(),
        scale_factor: size.x as f32 / window.width().max(1.0),
    });
    Ok(())
}

/// The picture's size for that of the window, in physical pixels.
fn smaller(window: UVec2) -> UVec2 {
    (window.as_vec2() / COVERED).round().as_uvec2().max(UVec2::ONE)
}

fn blank(size: UVec2) -> Image {
    Image::new_target_texture(size.x, size.y, TextureFormat::Rgba8UnormSrgb, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_picture_has_the_shape_of_the_window() {
        assert_eq!(smaller(UVec2::new(1280, 720)), UVec2::new(853, 480));
        assert_eq!(smaller(UVec2::ZERO), UVec2::ONE);
    }
}
