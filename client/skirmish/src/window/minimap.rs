//! The minimap: entities nearby, and the directions of the regions.

use bevy::asset::RenderAssetUsages;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use skirmish_shared::components::{Asteroid, Drone, Missile, Ship, Station};
use throng_client::world::Own;

use super::content::Tables;
use super::raster::Raster;
use super::session::GamePhase;
use super::teams::Teams;
use super::theme;
use super::view::{Appearance, Focus};

/// Side length of the map, in pixels.
const SIDE: u32 = 180;
/// Seconds between two redraws.
const EVERY_S: f32 = 0.08;

pub(crate) struct MinimapPlugin;

impl Plugin for MinimapPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(OnEnter(GamePhase::Play), spawn_map)
            .add_systems(Update, draw_map.run_if(in_state(GamePhase::Play)));
    }
}

/// The image that the map is drawn into.
#[derive(Resource)]
struct MapImage(Handle<Image>);

fn spawn_map(mut images: ResMut<Assets<Image>>, mut commands: Commands) {
    let picture = images.add(blank(SIDE, SIDE));
    commands.spawn((
        DespawnOnExit(GamePhase::Play),
        Name::new("minimap"),
        ImageNode::new(picture.clone()),
        Node {
            position_type: PositionType::Absolute,
            right: Val::Px(14.0),
            bottom: Val::Px(14.0),
            width: Val::Px(SIDE as f32),
            height: Val::Px(SIDE as f32),
            ..default()
        },
    ));
    commands.insert_resource(MapImage(picture));
}

/// Returns an image that the processor draws into.
pub(crate) fn blank(width: u32, height: u32) -> Image {
    let size = Extent3d {
        width,
        height,
        depth_or_array_layers: 1,
    };
    Image::new_fill(
        size,
        TextureDimension::D2,
        &[0, 0, 0, 0],
        TextureFormat::Rgba8UnormSrgb,
        RenderAssetUsages::default(),
    )
}

type Blip = (
    Entity,
    &'static Appearance,
    Option<&'static Ship>,
    Option<&'static Drone>,
    Option<&'static Station>,
    Option<&'static Asteroid>,
    Has<Missile>,
    Has<Own>,
);

fn draw_map(
    blips: Query<Blip>,
    teams: Teams,
    (tables, focus, map, time): (Tables, Res<Focus>, Res<MapImage>, Res<Time>),
    mut images: ResMut<Assets<Image>>,
    mut since_s: Local<f32>,
) {
    *since_s += time.delta_secs();
    if *since_s < EVERY_S {
        return;
    }
    *since_s = 0.0;
    let Some(mut image) = images.get_mut(&map.0) else {
        return;
    };
    let Some(data) = &mut image.data else { return };
    let mut raster = Raster::new(data, SIDE as i32, SIDE as i32);
    let half = SIDE as f32 / 2.0;
    let view = tables.view();
    let scale = (half - 12.0) / view;
    let place = |at: Vec2| {
        let from_here = (at - focus.at) * scale;
        Vec2::new(half + from_here.x, half - from_here.y)
    };
    raster.clear();
    let middle = Vec2::splat(half);
    raster.disc(middle, half - 2.0, [6, 11, 19, 205]);
    raster.circle(middle, half - 2.5, 1.2, [92, 158, 216, 130]);
    raster.circle(middle, view * scale, 0.8, [92, 158, 216, 60]);
    raster.circle(middle, view * scale / 2.0, 0.8, [92, 158, 216, 40]);
    for (entity, look, ship, drone, station, rock, is_missile, is_own) in &blips {
        let at = place(look.at);
        if at.distance(middle) > half - 5.0 {
            continue;
        }
        let ink = |color: Vec3| color_bytes(color.lerp(Vec3::ONE, 0.15));
        if let Some(rock) = rock {
            let size = (f32::from(rock.radius_10) / 10.0 * scale).clamp(0.8, 6.0);
            raster.disc(at, size, [104, 94, 84, 200]);
        } else if let Some(station) = station {
            let radius = f32::from(station.radius_10) / 10.0 * scale;
            raster.circle(at, radius, 2.0, [86, 224, 200, 255]);
        } else if drone.is_some() {
            raster.disc(at, 1.6, ink(teams.color(entity)));
        } else if is_missile {
            raster.disc(at, 1.0, [255, 210, 120, 255]);
        } else if ship.is_some() && !is_own {
            raster.disc(at, 2.4, ink(teams.color(entity)));
        }
    }
    for region in tables.space().into_iter().flat_map(|space| &space.regions) {
        let from_here = Vec2::from(region.at) - focus.at;
        if from_here.length() > view {
            let toward = from_here.normalize() * Vec2::new(1.0, -1.0);
            raster.disc(middle + toward * (half - 7.0), 2.6, [86, 224, 200, 255]);
        }
    }
    if focus.alive {
        let bow = Vec2::from_angle(focus.heading) * Vec2::new(1.0, -1.0);
        let side = bow.perp();
        raster.triangle(
            [
                middle + bow * 6.0,
                middle - bow * 4.0 + side * 4.0,
                middle - bow * 4.0 - side * 4.0,
            ],
            [255, 255, 255, 255],
        );
    }
}

/// Converts a linear colour to the bytes of a pixel.
pub(crate) fn color_bytes(color: Vec3) -> [u8; 4] {
    Color::linear_rgb(color.x, color.y, color.z)
        .to_srgba()
        .to_u8_array()
}

/// Returns the accent colour as bytes; lines of plots have it too.
pub(crate) fn accent_bytes() -> [u8; 4] {
    theme::ACCENT.to_srgba().to_u8_array()
}
