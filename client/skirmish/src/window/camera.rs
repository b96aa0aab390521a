//! The camera: from above at a slant, or behind the ship. The wheel changes its distance.

use bevy::camera::ClearColorConfig;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::input::mouse::MouseWheel;
use bevy::prelude::*;
use bevy::window::PrimaryWindow;

use super::batch::{CameraFrustum, GlowBatch, Paint, SolidBatch};
use super::keys::{Action, ActionInput};
use super::view::{Focus, wrapped};

/// Nearest and farthest distance, in units.
const DISTANCE: (f32, f32) = (14.0, 78.0);

/// The camera's position relative to the ship.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CameraMode {
    /// From above; north is up.
    #[default]
    Above,
    /// From behind; the bow is up.
    Behind,
}

/// The camera's state: its mode, distance, rotation and the point that the mouse aims at.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct Rig {
    /// The mode that the player has chosen.
    pub(crate) seat: CameraMode,
    /// Distance from the ship, in units.
    pub(crate) distance: f32,
    wanted: f32,
    /// Rotation of the picture in radians, as a heading.
    yaw: f32,
    lead: Vec2,
    shake: f32,
    /// The position in the plane of the game that the mouse points at.
    pub(crate) aim: Vec2,
}

impl Default for Rig {
    fn default() -> Self {
        Self {
            seat: CameraMode::Above,
            distance: 30.0,
            wanted: 42.0,
            yaw: std::f32::consts::FRAC_PI_2,
            lead: Vec2::ZERO,
            shake: 0.0,
            aim: Vec2::ZERO,
        }
    }
}

impl Rig {
    /// Shakes the picture, for an explosion nearby.
    pub(crate) fn shake(&mut self, strength: f32) {
        self.shake = (self.shake + strength).min(1.0);
    }
}

pub(crate) struct CameraPlugin;

impl Plugin for CameraPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Rig>()
            .add_systems(Startup, spawn_camera)
            .add_systems(Update, steer_camera)
            .add_systems(Paint, (place_camera, point_aim).chain().before(PaintOrder));
    }
}

/// The set of the systems that position the camera; painting the scene comes after it.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PaintOrder;

fn spawn_camera(mut commands: Commands) {
    commands.spawn((
        Camera3d::default(),
        Camera {
            clear_color: ClearColorConfig::Custom(Color::srgb(0.006, 0.009, 0.02)),
            ..default()
        },
        Projection::Perspective(PerspectiveProjection {
            fov: 50f32.to_radians(),
            near: 0.5,
            ..default()
        }),
        Tonemapping::None,
        IsDefaultUiCamera,
        Transform::from_xyz(0.0, 30.0, 20.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
}

fn steer_camera(controls: ActionInput, mut wheel: MessageReader<MouseWheel>, mut rig: ResMut<Rig>) {
    let mut steps: f32 = wheel.read().map(|turned| turned.y.clamp(-3.0, 3.0)).sum();
    if controls.is_typing() {
        return;
    }
    if controls.pressed(Action::ZoomIn) {
        steps += 0.15;
    }
    if controls.pressed(Action::ZoomOut) {
        steps -= 0.15;
    }
    rig.wanted = (rig.wanted * 0.88f32.powf(steps)).clamp(DISTANCE.0, DISTANCE.1);
    if controls.just_pressed(Action::Camera) {
        rig.seat = match rig.seat {
            CameraMode::Above => CameraMode::Behind,
            CameraMode::Behind => CameraMode::Above,
        };
    }
}

fn place_camera(
    time: Res<Time>,
    focus: Res<Focus>,
    mut rig: ResMut<Rig>,
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
    camera: Single<(&mut Transform, &Projection), With<Camera3d>>,
) {
    let (mut camera, projection) = camera.into_inner();
    let delta_s = time.delta_secs();
    let soft = |rate: f32| 1.0 - (-delta_s * rate).exp();
    rig.distance += (rig.wanted - rig.distance) * soft(6.0);
    let (yaw, pitch, reach) = match rig.seat {
        CameraMode::Above => (std::f32::consts::FRAC_PI_2, 62f32.to_radians(), 1.0),
        CameraMode::Behind => (focus.heading, 30f32.to_radians(), 0.62),
    };
    rig.yaw = wrapped(rig.yaw + wrapped(yaw - rig.yaw) * soft(5.0));
    let lead = match rig.seat {
        CameraMode::Above => focus.velocity * 0.22,
        CameraMode::Behind => Vec2::from_angle(focus.heading) * rig.distance * 0.16,
    };
    rig.lead = rig.lead + (lead - rig.lead) * soft(2.5);
    rig.shake = (rig.shake - delta_s * 1.8).max(0.0);

    let target = Vec3::new(rig.lead.x, 0.0, -rig.lead.y);
    let back = Vec2::from_angle(rig.yaw) * -(rig.distance * reach * pitch.cos());
    let mut eye = target + Vec3::new(back.x, rig.distance * reach * pitch.sin(), -back.y);
    let trembling = rig.shake * rig.shake * 0.5;
    let seconds = time.elapsed_secs();
    eye += Vec3::new(
        (seconds * 61.0).sin(),
        (seconds * 47.0).sin(),
        (seconds * 53.0).cos(),
    ) * trembling;
    *camera = Transform::from_translation(eye).looking_at(target, Vec3::Y);
    glow.eye = eye;
    glow.right = camera.right().into();
    glow.up = camera.up().into();
    let sight = CameraFrustum::new(projection.compute_frustum(&GlobalTransform::from(*camera)));
    solid.sight = sight;
    glow.sight = sight;
}

fn point_aim(
    window: Query<&Window, With<PrimaryWindow>>,
    camera: Single<(&Camera, &Transform), With<Camera3d>>,
    focus: Res<Focus>,
    mut rig: ResMut<Rig>,
) {
    let (camera, transform) = *camera;
    let cursor = window.single().ok().and_then(Window::cursor_position);
    let ray = cursor.and_then(|cursor| {
        camera
            .viewport_to_world(&GlobalTransform::from(*transform), cursor)
            .ok()
    });
    let hit = ray.and_then(|ray| {
        let distance = ray.intersect_plane(Vec3::ZERO, InfinitePlane3d::new(Vec3::Y))?;
        Some(ray.get_point(distance))
    });
    rig.aim = match hit {
        Some(place) => focus.at + Vec2::new(place.x, -place.z),
        None => focus.at + Vec2::from_angle(focus.heading) * 20.0,
    };
}

/// Returns the window position of a scene position, in logical pixels, if it is in front of the camera.
pub(crate) fn on_screen(camera: &Camera, transform: &Transform, place: Vec3) -> Option<Vec2> {
    camera
        .world_to_viewport(&GlobalTransform::from(*transform), place)
        .ok()
}
