//! Batches the drawing of the world in a frame into two meshes: solid bodies, and additive light.
//!
//! Owns both meshes, their materials and their vertices, which are rewritten every frame around the point that
//! the camera looks at. So the number of draw calls, which dominates the cost of software rendering, does not
//! grow with the number of visible entities, and positions stay exact far away from the origin. Refuses to know
//! what it draws: the plugins of ships, rocks and effects fill it in [`Paint`].

use bevy::asset::{RenderAssetUsages, load_internal_asset, uuid_handle};
use bevy::camera::primitives::{Frustum, Sphere};
use bevy::camera::visibility::NoFrustumCulling;
use bevy::ecs::schedule::ScheduleLabel;
use bevy::mesh::{Indices, MeshVertexBufferLayoutRef, PrimitiveTopology};
use bevy::pbr::{MaterialPipeline, MaterialPipelineKey};
use bevy::prelude::*;
use bevy::render::render_resource::{AsBindGroup, RenderPipelineDescriptor, SpecializedMeshPipelineError};
use bevy::shader::ShaderRef;

use super::models::{Model, Palette};

/// The schedule in which the batches are filled. Runs after `Update`, when every entity is at its position.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Paint;

const SOLID_SHADER: Handle<Shader> = uuid_handle!("5a1c3a52-6c61-4d1c-9f52-0f6f3d1a7a01");
const GLOW_SHADER: Handle<Shader> = uuid_handle!("5a1c3a52-6c61-4d1c-9f52-0f6f3d1a7a02");

/// Material of lit, faceted bodies. Colours are per vertex; alpha is the share of a colour that is emitted.
#[derive(Asset, TypePath, AsBindGroup, Clone, Default)]
pub(crate) struct SolidMaterial {}

/// Material of light that is added to the picture behind it.
#[derive(Asset, TypePath, AsBindGroup, Clone, Default)]
pub(crate) struct GlowMaterial {}

impl Material for SolidMaterial {
    fn fragment_shader() -> ShaderRef {
        SOLID_SHADER.into()
    }

    fn enable_prepass() -> bool {
        false
    }

    fn enable_shadows() -> bool {
        false
    }

    fn specialize(
        _: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        _: &MeshVertexBufferLayoutRef,
        _: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        // Plates have vertices for one side only, so both sides are drawn.
        descriptor.primitive.cull_mode = None;
        Ok(())
    }
}

impl Material for GlowMaterial {
    fn fragment_shader() -> ShaderRef {
        GLOW_SHADER.into()
    }

    fn alpha_mode(&self) -> AlphaMode {
        AlphaMode::Add
    }

    fn enable_prepass() -> bool {
        false
    }

    fn enable_shadows() -> bool {
        false
    }

    fn specialize(
        _: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        _: &MeshVertexBufferLayoutRef,
        _: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        descriptor.primitive.cull_mode = None;
        Ok(())
    }
}

/// The camera's view frustum. Bodies outside it are skipped, because their vertices would cost as much as
/// visible ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CameraFrustum(Option<Frustum>);

impl CameraFrustum {
    pub(crate) fn new(frustum: Frustum) -> Self {
        Self(Some(frustum))
    }

    /// Returns whether a sphere may intersect the picture; true before there is a camera.
    fn has(&self, at: Vec3, radius: f32) -> bool {
        let ball = Sphere {
            center: at.into(),
            radius,
        };
        self.0
            .is_none_or(|frustum| frustum.intersects_sphere(&ball, false))
    }
}

/// The solid bodies of this frame, in scene coordinates.
#[derive(Resource, Default)]
pub(crate) struct SolidBatch {
    /// The frustum outside which bodies are skipped.
    pub(crate) sight: CameraFrustum,
    positions: Vec<[f32; 3]>,
    colors: Vec<[f32; 4]>,
    indices: Vec<u32>,
}

impl SolidBatch {
    /// Adds a model with transform `at`, coloured from `palette`.
    pub(crate) fn add(&mut self, model: &Model, at: &Transform, palette: &Palette) {
        if !self
            .sight
            .has(at.translation, model.reach * at.scale.max_element())
        {
            return;
        }
        let first = self.positions.len() as u32;
        let at = at.compute_affine();
        for (place, paint) in &model.vertices {
            self.positions.push(at.transform_point3(*place).to_array());
            self.colors.push(palette.color(*paint));
        }
        self.indices
            .extend(model.indices.iter().map(|index| first + index));
    }
}

/// The light of this frame, in scene coordinates.
#[derive(Resource, Default)]
pub(crate) struct GlowBatch {
    positions: Vec<[f32; 3]>,
    uvs: Vec<[f32; 2]>,
    colors: Vec<[f32; 4]>,
    indices: Vec<u32>,
    /// Position of the camera.
    pub(crate) eye: Vec3,
    /// The direction to the right of the picture.
    pub(crate) right: Vec3,
    /// The upward direction of the picture.
    pub(crate) up: Vec3,
    /// The frustum outside which bodies are skipped.
    pub(crate) sight: CameraFrustum,
}

impl GlowBatch {
    /// Adds a soft disc that faces the camera. Colours are linear, above 1 where they should bloom.
    pub(crate) fn disc(&mut self, at: Vec3, radius: f32, color: Vec3) {
        let (right, up) = (self.right * radius, self.up * radius);
        self.quad(
            [at - right - up, at + right - up, at + right + up, at - right + up],
            ROUND,
            color,
        );
    }

    /// Adds a soft disc in the plane of the game.
    pub(crate) fn flat(&mut self, at: Vec3, radius: f32, color: Vec3) {
        self.quad(lying(at, radius), ROUND, color);
    }

    /// Adds a circle in the plane of the game.
    pub(crate) fn circle(&mut self, at: Vec3, radius: f32, half_width: f32, color: Vec3) {
        if !self.sight.has(at, radius + half_width) {
            return;
        }
        let pieces = (radius * 4.0).clamp(32.0, 72.0) as usize;
        let corner = |piece: usize, out: f32| {
            let (sine, cosine) = (piece as f32 * std::f32::consts::TAU / pieces as f32).sin_cos();
            at + Vec3::new(cosine, 0.0, sine) * (radius + out)
        };
        let uvs = [[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]];
        for piece in 0..pieces {
            let next = (piece + 1) % pieces;
            let corners = [
                corner(piece, -half_width),
                corner(piece, half_width),
                corner(next, half_width),
                corner(next, -half_width),
            ];
            self.quad(corners, uvs, color);
        }
    }

    /// Adds a line of light that is brightest in its middle and fades out before `from`.
    pub(crate) fn streak(&mut self, from: Vec3, to: Vec3, half_width: f32, color: Vec3) {
        let along = to - from;
        let side = along.cross(self.eye - to).normalize_or_zero() * half_width;
        let uvs = [[-1.0, -1.0], [1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]];
        self.quad([from - side, from + side, to + side, to - side], uvs, color);
    }

    /// Adds a line of light that is equally bright from end to end.
    pub(crate) fn beam(&mut self, from: Vec3, to: Vec3, half_width: f32, color: Vec3) {
        let along = to - from;
        let side = along.cross(self.eye - to).normalize_or_zero() * half_width;
        let uvs = [[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]];
        self.quad([from - side, from + side, to + side, to - side], uvs, color);
    }

    fn quad(&mut self, corners: [Vec3; 4], uvs: [[f32; 2]; 4], color: Vec3) {
        let middle = (corners[0] + corners[2]) / 2.0;
        if self.sight.has(middle, corners[0].distance(middle)) {
            self.push(corners, uvs, color);
        }
    }

    fn push(&mut self, corners: [Vec3; 4], uvs: [[f32; 2]; 4], color: Vec3) {
        let first = self.positions.len() as u32;
        self.positions.extend(corners.map(|corner| corner.to_array()));
        self.uvs.extend(uvs);
        self.colors.extend([[color.x, color.y, color.z, 0.0]; 4]);
        self.indices
            .extend([0, 1, 2, 0, 2, 3].map(|corner| first + corner));
    }
}

const ROUND: [[f32; 2]; 4] = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];

fn lying(at: Vec3, radius: f32) -> [Vec3; 4] {
    let (x, z) = (Vec3::X * radius, Vec3::Z * radius);
    [at - x - z, at + x - z, at + x + z, at - x + z]
}

#[derive(Resource)]
struct BatchMeshes {
    solid: Handle<Mesh>,
    glow: Handle<Mesh>,
}

pub(crate) struct BatchPlugin;

impl Plugin for BatchPlugin {
    fn build(&self, app: &mut App) {
        load_internal_asset!(app, SOLID_SHADER, "solid.wgsl", Shader::from_wgsl);
        load_internal_asset!(app, GLOW_SHADER, "glow.wgsl", Shader::from_wgsl);
        app.add_plugins((
            MaterialPlugin::<SolidMaterial>::default(),
            MaterialPlugin::<GlowMaterial>::default(),
        ))
        .init_resource::<SolidBatch>()
        .init_resource::<GlowBatch>()
        .add_systems(Startup, spawn_batches)
        .add_systems(PostUpdate, (upload_solid, upload_glow));
    }
}

fn spawn_batches(
    mut meshes: ResMut<Assets<Mesh>>,
    mut solids: ResMut<Assets<SolidMaterial>>,
    mut glows: ResMut<Assets<GlowMaterial>>,
    mut commands: Commands,
) {
    let handles = BatchMeshes {
        solid: meshes.add(solid_mesh(&mut SolidBatch::default())),
        glow: meshes.add(glow_mesh(&mut GlowBatch::default())),
    };
    commands.spawn((
        Mesh3d(handles.solid.clone()),
        MeshMaterial3d(solids.add(SolidMaterial::default())),
        NoFrustumCulling,
    ));
    commands.spawn((
        Mesh3d(handles.glow.clone()),
        MeshMaterial3d(glows.add(GlowMaterial::default())),
        NoFrustumCulling,
    ));
    commands.insert_resource(handles);
}

fn upload_solid(
    mut batch: ResMut<SolidBatch>,
    handles: Res<BatchMeshes>,
    mut meshes: ResMut<Assets<Mesh>>,
) -> Result {
    Ok(meshes.insert(&handles.solid, solid_mesh(&mut batch))?)
}

fn upload_glow(
    mut batch: ResMut<GlowBatch>,
    handles: Res<BatchMeshes>,
    mut meshes: ResMut<Assets<Mesh>>,
) -> Result {
    Ok(meshes.insert(&handles.glow, glow_mesh(&mut batch))?)
}

/// Returns the batch as a mesh and empties the batch. A mesh without a triangle is not allowed, so one triangle
/// without an area is always added.
fn solid_mesh(batch: &mut SolidBatch) -> Mesh {
    if batch.indices.is_empty() {
        batch.positions.extend([[0.0; 3]; 3]);
        batch.colors.extend([[0.0; 4]; 3]);
        batch.indices.extend([0, 1, 2]);
    }
    triangles(std::mem::take(&mut batch.indices))
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, std::mem::take(&mut batch.positions))
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, std::mem::take(&mut batch.colors))
}

fn glow_mesh(batch: &mut GlowBatch) -> Mesh {
    if batch.indices.is_empty() {
        batch.push([Vec3::ZERO; 4], ROUND, Vec3::ZERO);
    }
    triangles(std::mem::take(&mut batch.indices))
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, std::mem::take(&mut batch.positions))
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, std::mem::take(&mut batch.uvs))
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, std::mem::take(&mut batch.colors))
}

fn triangles(indices: Vec<u32>) -> Mesh {
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_indices(Indices::U32(indices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::models::Models;
    use bevy::camera::CameraProjection;

    #[test]
    fn models_outside_the_frustum_are_skipped() {
        let projection = PerspectiveProjection::default();
        let sight = CameraFrustum::new(projection.compute_frustum(&GlobalTransform::IDENTITY));
        let mut solid = SolidBatch { sight, ..default() };
        let models = Models::default();
        let palette = Palette::new(Vec3::ONE, Vec3::ONE, 0.0, 0.0);
        let mut added = |z: f32| {
            let before = solid.positions.len();
            solid.add(models.ship(0), &Transform::from_xyz(0.0, 0.0, z), &palette);
            solid.positions.len() - before
        };
        // The camera looks along -z.
        assert_eq!(added(-20.0), models.ship(0).vertices.len());
        assert_eq!(added(20.0), 0);
        // Its centre is behind the camera, its bow is not.
        assert_eq!(added(0.5), models.ship(0).vertices.len());

        let mut glow = GlowBatch { sight, ..default() };
        glow.beam(
            Vec3::new(0.0, 1.0, 20.0),
            Vec3::new(0.0, 1.0, 30.0),
            0.1,
            Vec3::ONE,
        );
        glow.circle(Vec3::Z * 20.0, 2.0, 0.1, Vec3::ONE);
        assert!(glow.indices.is_empty());
        glow.beam(
            Vec3::new(0.0, 1.0, 20.0),
            Vec3::new(0.0, 1.0, -90.0),
            0.1,
            Vec3::ONE,
        );
        assert!(!glow.indices.is_empty());
    }
}
