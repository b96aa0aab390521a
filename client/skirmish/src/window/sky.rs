//! The background: stars, nebulas, and dust that shows how fast the ship is.
//!
//! The sky is far away, so it turns with the camera and never moves. Dust fills the space around the focus. A
//! grain's position is derived from its number, so that the grain stays in place while the ship flies past.

use bevy::asset::RenderAssetUsages;
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use throng_shared::random::Random;

use super::batch::{GlowBatch, GlowMaterial, Paint};
use super::camera::PaintOrder;
use super::view::Focus;

const STARS: usize = 1_500;
/// Distance of the sky, in units.
const FAR: f32 = 900.0;
/// Segments of the dome, around and from top to bottom.
const DOME: (u32, u32) = (96, 56);
/// Grains of dust per side of the square that they fill, and units between two of them.
const GRAINS: (i32, f32) = (13, 11.0);

pub(crate) struct SkyPlugin;

/// Marks the sky, which stays centred on the camera.
#[derive(Component)]
struct Sky;

impl Plugin for SkyPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn_sky)
            .add_systems(Paint, (move_sky, paint_dust).in_set(PaintOrder));
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

fn move_sky(glow: Res<GlowBatch>, mut sky: Single<&mut Transform, With<Sky>>) {
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
    let mut random = Random::new(0x5f4a_11d0);
    let mut quads = dome();
    let direction = |random: &mut Random| loop {
        let place = Vec3::new(random.signed_unit(), random.signed_unit(), random.signed_unit());
        if (0.05..=1.0).contains(&place.length_squared()) {
            return place.normalize();
        }
    };
    for _ in 0..STARS {
        let toward = direction(&mut random);
        // Few stars are bright, most are faint: the fifth power of a uniform number.
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

/// Returns a sphere around the camera whose vertices have the colours of the nebulas.
fn dome() -> Quads {
    let mut quads = Quads::default();
    for row in 0..=DOME.1 {
        let (out, up) = (row as f32 / DOME.1 as f32 * std::f32::consts::PI).sin_cos();
        for column in 0..=DOME.0 {
            let (sine, cosine) = (column as f32 / DOME.0 as f32 * std::f32::consts::TAU).sin_cos();
            let toward = Vec3::new(cosine * out, up, sine * out);
            let color = nebula(toward);
            quads.positions.push((toward * FAR).to_array());
            quads.uvs.push([0.0, 0.0]);
            quads.colors.push([color.x, color.y, color.z, 0.0]);
        }
    }
    let across = DOME.0 + 1;
    for row in 0..DOME.1 {
        for column in 0..DOME.0 {
            let corner = row * across + column;
            let below = corner + across;
            quads
                .indices
                .extend([corner, below, below + 1, corner, below + 1, corner + 1]);
        }
    }
    quads
}

/// Returns the colour of the sky in a direction: clouds of two colours, and dark lanes between them.
fn nebula(toward: Vec3) -> Vec3 {
    let cloud = |scale: f32, seed: f32| {
        let place = toward * scale + Vec3::splat(seed);
        noise(place) * 0.55 + noise(place * 2.1) * 0.28 + noise(place * 4.3) * 0.17
    };
    let blue = (cloud(1.7, 11.0) - 0.38).max(0.0) * 2.4;
    let violet = (cloud(1.4, 47.0) - 0.44).max(0.0) * 2.6;
    let dust = 1.0 - 0.7 * ((cloud(2.6, 83.0) - 0.45).max(0.0) * 3.0).min(1.0);
    let light = Vec3::new(0.006, 0.017, 0.046) * blue * blue
        + Vec3::new(0.040, 0.009, 0.042) * violet * violet
        + Vec3::new(0.0022, 0.0035, 0.008);
    light * dust
}

/// Returns smooth noise, 0..=1: random values at integer positions, blended between them.
fn noise(place: Vec3) -> f32 {
    let (corner, part) = (place.floor(), place - place.floor());
    let ease = part * part * (Vec3::splat(3.0) - part * 2.0);
    let value = |x: f32, y: f32, z: f32| {
        let at = (corner + Vec3::new(x, y, z)).as_ivec3();
        let number = (at.x as u64 & 0xffff) | (at.y as u64 & 0xffff) << 16 | (at.z as u64 & 0xffff) << 32;
        Random::new(number).unit() as f32
    };
    let blend = |from: f32, to: f32, part: f32| from + (to - from) * part;
    let edge = |y: f32, z: f32| blend(value(0.0, y, z), value(1.0, y, z), ease.x);
    let face = |z: f32| blend(edge(0.0, z), edge(1.0, z), ease.y);
    blend(face(0.0), face(1.0), ease.z)
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
            let mut random = Random::new((u64::from(x as u32) << 32) | u64::from(y as u32));
            let inside = Vec2::new(random.unit() as f32, random.unit() as f32);
            let height = -1.5 - 16.0 * random.unit() as f32;
            let place = focus.scene((Vec2::new(x as f32, y as f32) + inside) * apart, height);
            let faint = 1.0 - (place.length() / (apart * grains as f32 * 0.5)).min(1.0);
            let color = Vec3::new(0.32, 0.42, 0.6) * (faint * (0.25 + 0.75 * random.unit() as f32));
            glow.beam(place - stretch, place + stretch + Vec3::X * 0.07, 0.05, color);
        }
    }
}
