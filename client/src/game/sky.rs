//! What is behind the world: stars, two nebulas, and dust that shows how fast the ship is.
//!
//! The sky is far away, so it turns with the camera and never moves. Dust fills the space around the focus: a
//! grain's place follows from its number, so that it stays where it is while the ship flies past.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;

use super::batch::{GlowBatch, GlowMaterial, Paint};
use super::camera::PaintOrder;
use super::view::Focus;
use crate::seeded::Seeded;

const STARS: usize = 1_500;
/// How far away the sky is, in units.
const FAR: f32 = 900.0;
/// Grains of dust on the side of the square that they fill, and units between two.
const GRAINS: (i32, f32) = (13, 11.0);

/// Draws the sky.
pub struct SkyPlugin;

/// What stays around the camera.
#[derive(Component)]
struct Sky;

impl Plugin for SkyPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn_sky)
            .add_systems(Paint, (carry_sky, paint_dust).in_set(PaintOrder));
    }
}

fn spawn_sky(
    mut meshes: ResMut<Assets<Mesh>>,
    mut glows: ResMut<Assets<GlowMaterial>>,
    mut commands: Commands,
) {
    commands.spawn((
        Sky,
        Mesh3d(meshes.add(sky_mesh())),
        MeshMaterial3d(glows.add(GlowMaterial::default())),
        NoFrustumCulling,
    ));
}

fn carry_sky(glow: Res<GlowBatch>, mut sky: Single<&mut Transform, With<Sky>>) {
    sky.translation = glow.eye;
}

/// A mesh of quads that face the origin.
#[derive(Default)]
struct Quads {
    positions: Vec<[f32; 3]>,
    uvs: Vec<[f32; 2]>,
    colors: Vec<[f32; 4]>,
    indices: Vec<u32>,
}

impl Quads {
    fn add(&mut self, toward: Vec3, radius: f32, color: Vec3) {
        let (right, up) = toward.any_orthonormal_pair();
        let first = self.positions.len() as u32;
        for (x, y) in [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)] {
            let place = (toward + (right * x + up * y) * radius) * FAR;
            self.positions.push(place.to_array());
            self.uvs.push([x, y]);
            self.colors.push([color.x, color.y, color.z, 0.0]);
        }
        self.indices
            .extend([0, 1, 2, 0, 2, 3].map(|corner| first + corner));
    }
}

fn sky_mesh() -> Mesh {
    let mut random = Seeded::new(0x5f4a_11d0);
    let mut quads = Quads::default();
    let direction = |random: &mut Seeded| loop {
        let place = Vec3::new(random.signed_unit(), random.signed_unit(), random.signed_unit());
        if (0.05..=1.0).contains(&place.length_squared()) {
            return place.normalize();
        }
    };
    // Clouds: many large, faint discs along two bands. Most of the sky that is seen is below the horizon.
    let bands = [
        (
            Vec3::new(0.3, 0.85, -0.4).normalize(),
            Vec3::new(0.010, 0.016, 0.046),
        ),
        (
            Vec3::new(-0.7, 0.6, 0.25).normalize(),
            Vec3::new(0.034, 0.008, 0.030),
        ),
    ];
    for (pole, color) in bands {
        for _ in 0..70 {
            let around = direction(&mut random);
            let along = (around - pole * around.dot(pole)).normalize_or(Vec3::X);
            let toward = (along + pole * random.signed_unit() * 0.22).normalize();
            let radius = 0.10 + 0.24 * random.unit() as f32;
            quads.add(toward, radius, color * (0.35 + 0.65 * random.unit() as f32));
        }
    }
    for _ in 0..STARS {
        let toward = direction(&mut random);
        // Few stars are bright, most are faint.
        let bright = (random.unit() as f32).powi(5);
        let warm = random.unit() as f32;
        let tint = Vec3::new(0.65, 0.78, 1.0).lerp(Vec3::new(1.0, 0.8, 0.6), warm * warm);
        quads.add(toward, 0.0010 + 0.0016 * bright, tint * (0.16 + 1.1 * bright));
    }
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_indices(Indices::U32(quads.indices))
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, quads.positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, quads.uvs)
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, quads.colors)
}

fn paint_dust(focus: Res<Focus>, mut glow: ResMut<GlowBatch>) {
    let (grains, apart) = GRAINS;
    let (here_x, here_y) = (
        (focus.at.x / apart).floor() as i32,
        (focus.at.y / apart).floor() as i32,
    );
    let stretch = Vec3::new(focus.velocity.x, 0.0, -focus.velocity.y) * 0.018;
    for x in here_x - grains / 2..=here_x + grains / 2 {
        for y in here_y - grains / 2..=here_y + grains / 2 {
            let mut random = Seeded::new((u64::from(x as u32) << 32) | u64::from(y as u32));
            let inside = Vec2::new(random.unit() as f32, random.unit() as f32);
            let height = -1.5 - 16.0 * random.unit() as f32;
            let place = focus.scene((Vec2::new(x as f32, y as f32) + inside) * apart, height);
            let faint = 1.0 - (place.length() / (apart * grains as f32 * 0.5)).min(1.0);
            let color = Vec3::new(0.32, 0.42, 0.6) * (faint * (0.25 + 0.75 * random.unit() as f32));
            glow.beam(place - stretch, place + stretch + Vec3::X * 0.07, 0.05, color);
        }
    }
}
