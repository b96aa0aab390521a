//! The appearance of every entity in this frame: position, rotation and effects.
//!
//! Owns [`Appearance`], which every mirrored entity gets, and [`Focus`], the point that the scene is drawn
//! around. Scene coordinates are relative to it, x to the right, y up, z towards the viewer, so the game's y is
//! -z.

use std::f32::consts::{PI, TAU};

use bevy::prelude::*;
use skirmish_shared::components::{Hull, Missile, Shield};
use throng_client::blend::Shown;
use throng_client::world::Own;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

/// Seconds in which an entity that comes into view grows to full size.
const ARRIVAL_S: f32 = 0.35;
/// Seconds that a hit is visible.
const FLASH_S: f32 = 0.22;

/// The appearance of an entity in this frame.
#[derive(Component, Clone, Copy, Debug, Default)]
pub(crate) struct Appearance {
    /// Position in the plane of the game, in units.
    pub(crate) at: Vec2,
    /// Velocity, in units per second.
    pub(crate) velocity: Vec2,
    /// Heading in radians, counter-clockwise from +x.
    pub(crate) heading: f32,
    /// Bank angle in a turn, in radians to the left.
    pub(crate) bank: f32,
    /// Thrust of the engine, 0..=1.
    pub(crate) push: f32,
    /// Seconds since it came into view.
    pub(crate) age_s: f32,
    /// Strength of the hit effect, 0..=1.
    pub(crate) flash: f32,
    /// Whether a shield absorbed that hit.
    pub(crate) shielded: bool,
}

impl Appearance {
    /// Returns the factor of its size, which grows after it comes into view.
    pub(crate) fn growth(&self) -> f32 {
        let part = (self.age_s / ARRIVAL_S).min(1.0);
        1.0 - (1.0 - part) * (1.0 - part)
    }

    /// Returns its position in the scene, `height` above the plane.
    pub(crate) fn place(&self, focus: &Focus, height: f32) -> Vec3 {
        focus.scene(self.at, height)
    }

    /// Returns its transform in the scene, for a model of radius 1 drawn with radius `size`.
    pub(crate) fn transform(&self, focus: &Focus, size: f32) -> Transform {
        Transform {
            translation: self.place(focus, 0.0),
            rotation: Quat::from_rotation_y(self.heading) * Quat::from_rotation_x(-self.bank),
            scale: Vec3::splat(size * self.growth()),
        }
    }
}

/// The point that the scene is drawn around: the own ship's position, or its last one.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct Focus {
    /// Position in the plane of the game, in units.
    pub(crate) at: Vec2,
    /// Velocity, in units per second.
    pub(crate) velocity: Vec2,
    /// Heading of the own ship, in radians.
    pub(crate) heading: f32,
    /// Whether the own ship exists.
    pub(crate) alive: bool,
}

impl Focus {
    /// Returns the scene position of a position in the game.
    pub(crate) fn scene(&self, at: Vec2, height: f32) -> Vec3 {
        let from_here = at - self.at;
        Vec3::new(from_here.x, height, -from_here.y)
    }
}

/// Updates [`Appearance`] and [`Focus`] every frame.
pub(crate) struct ViewPlugin;

impl Plugin for ViewPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Focus>().add_systems(
            Update,
            (insert_appearances, update_appearances, note_hits, update_own).chain(),
        );
    }
}

fn insert_appearances(
    fresh: Query<(Entity, &Shown<Position>, &Shown<Heading>, &Velocity, Has<Missile>), Without<Appearance>>,
    mut commands: Commands,
) {
    for (entity, position, heading, velocity, is_missile) in &fresh {
        commands.entity(entity).insert(Appearance {
            at: position.0.0,
            heading: heading.0.0,
            velocity: velocity.0,
            // Missiles are launched from a ship and do not come into view, so they do not grow.
            age_s: if is_missile { ARRIVAL_S } else { 0.0 },
            ..default()
        });
    }
}

fn update_appearances(
    time: Res<Time>,
    mut looks: Query<(
        &mut Appearance,
        &Shown<Position>,
        &Shown<Heading>,
        &Velocity,
        Has<Missile>,
    )>,
) {
    let delta_s = time.delta_secs();
    let soft = |rate: f32| 1.0 - (-delta_s * rate).exp();
    for (mut look, position, heading, velocity, is_missile) in &mut looks {
        look.age_s += delta_s;
        look.flash = (look.flash - delta_s / FLASH_S).max(0.0);
        look.at = position.0.0;
        let turn = wrapped(heading.0.0 - look.heading);
        look.heading = heading.0.0;
        let rate = turn / delta_s.max(1e-3);
        look.bank += ((rate * 0.16).clamp(-0.7, 0.7) - look.bank) * soft(5.0);
        let gained = (velocity.0 - look.velocity).dot(Vec2::from_angle(look.heading));
        let wanted = (velocity.0.length() / 30.0 + gained * 0.2).clamp(0.0, 1.0);
        let wanted = if is_missile { 1.0 } else { wanted };
        look.push += (wanted - look.push) * soft(8.0);
        look.velocity = velocity.0;
    }
}

/// Starts the hit effect when a hull or shield has lost points.
fn note_hits(
    mut hulls: Query<(&mut Appearance, Ref<Hull>, Option<Ref<Shield>>)>,
    mut before: Local<std::collections::HashMap<Entity, (u16, u16)>>,
    entities: Query<Entity, With<Hull>>,
) {
    before.retain(|entity, _| entities.contains(*entity));
    for entity in &entities {
        let Ok((mut look, hull, shield)) = hulls.get_mut(entity) else {
            continue;
        };
        let is_changed = hull.is_changed() || shield.as_ref().is_some_and(DetectChanges::is_changed);
        if !is_changed {
            continue;
        }
        let now = (hull.now, shield.map_or(0, |shield| shield.now));
        if let Some((hull_before, shield_before)) = before.insert(entity, now)
            && (now.0 < hull_before || now.1 < shield_before)
        {
            look.flash = 1.0;
            look.shielded = now.0 >= hull_before;
        }
    }
}

fn update_own(own: Query<&Appearance, With<Own>>, mut focus: ResMut<Focus>) {
    let Ok(look) = own.single() else {
        focus.alive = false;
        return;
    };
    *focus = Focus {
        at: look.at,
        velocity: look.velocity,
        heading: look.heading,
        alive: true,
    };
}

/// Wraps an angle into -pi..pi.
pub(crate) fn wrapped(radians: f32) -> f32 {
    (radians + PI).rem_euclid(TAU) - PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scene_is_centred_on_the_focus_with_north_away() {
        let focus = Focus {
            at: Vec2::new(1000.0, 500.0),
            ..default()
        };
        assert_eq!(
            focus.scene(Vec2::new(1003.0, 504.0), 2.0),
            Vec3::new(3.0, 2.0, -4.0)
        );
    }

    #[test]
    fn north_facing_model_points_away_from_the_viewer() {
        let look = Appearance {
            heading: PI / 2.0,
            age_s: 9.0,
            ..default()
        };
        let bow = look.transform(&Focus::default(), 1.0).transform_point(Vec3::X);
        assert!(bow.distance(Vec3::NEG_Z) < 1e-5, "{bow}");
    }

    #[test]
    fn angles_are_wrapped_into_a_half_turn_each_way() {
        for (angle, expected) in [
            (3.0 * PI / 2.0, -PI / 2.0),
            (-3.0 * PI / 2.0, PI / 2.0),
            (0.5, 0.5),
        ] {
            assert!((wrapped(angle) - expected).abs() < 1e-5, "{angle}");
        }
    }
}
