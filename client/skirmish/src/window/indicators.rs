//! Arrows at the edge of the window: enemies nearby that are outside the picture.

use bevy::asset::RenderAssetUsages;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use skirmish_shared::components::{Drone, Ship};
use throng_client::world::Own;

use super::batch::Paint;
use super::camera::{PaintOrder, on_screen};
use super::colors;
use super::raster::Raster;
use super::session::GamePhase;
use super::teams::Teams;
use super::view::{Appearance, Focus};

/// Largest number of arrows.
const ARROWS: usize = 14;
/// Side length of an arrow's picture, in pixels.
const SIDE: u32 = 22;
/// Largest distance of an enemy that has an arrow, in units.
const REACH: f32 = 70.0;

pub(crate) struct IndicatorsPlugin;

impl Plugin for IndicatorsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(OnEnter(GamePhase::Play), spawn_arrows)
            .add_systems(
                Paint,
                point_arrows.after(PaintOrder).run_if(in_state(GamePhase::Play)),
            );
    }
}

#[derive(Component)]
struct Arrow;

fn spawn_arrows(mut images: ResMut<Assets<Image>>, mut commands: Commands) {
    let picture = images.add(arrow());
    for _ in 0..ARROWS {
        commands.spawn((
            DespawnOnExit(GamePhase::Play),
            Arrow,
            GlobalZIndex(-1),
            ImageNode::new(picture.clone()),
            Visibility::Hidden,
            UiTransform::default(),
            Node {
                position_type: PositionType::Absolute,
                width: Val::Px(SIDE as f32),
                height: Val::Px(SIDE as f32),
                ..default()
            },
        ));
    }
}

/// Returns the picture of a white arrow that points to the right.
fn arrow() -> Image {
    let side = SIDE as f32;
    let mut data = vec![0; (SIDE * SIDE * 4) as usize];
    let mut raster = Raster::new(&mut data, SIDE as i32, SIDE as i32);
    let at = |x: f32, y: f32| Vec2::new(x, y) * side;
    let white = [255, 255, 255, 255];
    raster.triangle([at(0.95, 0.5), at(0.25, 0.12), at(0.45, 0.5)], white);
    raster.triangle([at(0.95, 0.5), at(0.25, 0.88), at(0.45, 0.5)], white);
    Image::new(
        Extent3d {
            width: SIDE,
            height: SIDE,
            depth_or_array_layers: 1,
        },
        TextureDimension::D2,
        data,
        TextureFormat::Rgba8UnormSrgb,
        RenderAssetUsages::default(),
    )
}

fn point_arrows(
    crafts: Query<(Entity, &Appearance), (Or<(With<Ship>, With<Drone>)>, Without<Own>)>,
    teams: Teams,
    focus: Res<Focus>,
    camera: Single<(&Camera, &Transform), With<Camera3d>>,
    mut arrows: Query<(&mut Node, &mut UiTransform, &mut ImageNode, &mut Visibility), With<Arrow>>,
) {
    let (camera, transform) = *camera;
    let Some(size) = camera.logical_viewport_size() else {
        return;
    };
    let Some(here) = on_screen(camera, transform, Vec3::ZERO) else {
        return;
    };
    let margin = Rect::from_corners(Vec2::new(26.0, 56.0), size - Vec2::new(26.0, 122.0));
    let mut hidden: Vec<(f32, Vec2, Vec3)> = crafts
        .iter()
        .filter(|(entity, _)| teams.is_enemy(*entity))
        .filter_map(|(entity, look)| {
            let range = look.at.distance(focus.at);
            let on = on_screen(camera, transform, look.place(&focus, 0.0));
            let is_seen = on.is_some_and(|at| margin.contains(at));
            // The direction in the picture, from a position so near that it is in front of the camera.
            let near = look.place(&focus, 0.0).normalize_or_zero();
            let toward = on_screen(camera, transform, near)? - here;
            let toward = toward.normalize_or_zero();
            (range < REACH && !is_seen && toward != Vec2::ZERO).then(|| (range, toward, teams.color(entity)))
        })
        .collect();
    hidden.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut shown: Vec<Vec2> = Vec::new();
    // Several enemies in one direction share one arrow, that of the nearest.
    let mut kept = hidden.into_iter().filter(|(_, toward, _)| {
        let is_new = shown.iter().all(|other| other.dot(*toward) < 0.985);
        if is_new {
            shown.push(*toward);
        }
        is_new
    });
    for (mut node, mut turn, mut image, mut visibility) in &mut arrows {
        let Some((range, toward, color)) = kept.next() else {
            visibility.set_if_neq(Visibility::Hidden);
            continue;
        };
        visibility.set_if_neq(Visibility::Inherited);
        let at = here + toward * to_edge(here, toward, margin);
        node.left = Val::Px(at.x - SIDE as f32 / 2.0);
        node.top = Val::Px(at.y - SIDE as f32 / 2.0);
        turn.rotation = Rot2::radians(toward.to_angle());
        let near = 1.0 - (range / REACH) * 0.6;
        image.color = colors::ui(color.lerp(Vec3::ONE, 0.2)).with_alpha(near);
    }
}

/// Returns the distance from `here` along `toward` to the edge of a box around `here`.
fn to_edge(here: Vec2, toward: Vec2, inside: Rect) -> f32 {
    let along = |from: f32, step: f32, low: f32, high: f32| {
        if step > 0.0 {
            (high - from) / step
        } else if step < 0.0 {
            (low - from) / step
        } else {
            f32::INFINITY
        }
    };
    along(here.x, toward.x, inside.min.x, inside.max.x)
        .min(along(here.y, toward.y, inside.min.y, inside.max.y))
        .max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_distance_is_exact_for_each_direction() {
        let inside = Rect::new(0.0, 0.0, 100.0, 60.0);
        assert_eq!(to_edge(Vec2::new(50.0, 30.0), Vec2::X, inside), 50.0);
        assert_eq!(to_edge(Vec2::new(50.0, 30.0), Vec2::NEG_Y, inside), 30.0);
    }
}
