//! Explosions, as the server reports them, and sparks of badly damaged hulls.

use bevy::prelude::*;
use skirmish_shared::components::Hull;
use skirmish_shared::messages::{Exploded, Explosion};
use throng_shared::protocol::registry::FromServer;

use super::particles::VisualEffects;
use crate::window::camera::Rig;
use crate::window::colors::Colors;
use crate::window::content::Tables;
use crate::window::settings_file::SavedSettings;
use crate::window::view::{Appearance, Focus};

/// Explosions that start in one frame at most.
const AT_ONCE_MAX: usize = 16;

pub(super) struct ExplosionsPlugin;

impl Plugin for ExplosionsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, (show_explosions, emit_damage_sparks));
    }
}

fn show_explosions(
    mut explosions: MessageReader<FromServer<Explosion>>,
    (tables, focus, settings, colors): (Tables, Res<Focus>, Res<SavedSettings>, Res<Colors>),
    mut effects: ResMut<VisualEffects>,
    mut rig: ResMut<Rig>,
) {
    for FromServer(explosion) in explosions.read().take(AT_ONCE_MAX) {
        let (size, color) = match explosion.kind {
            Exploded::Ship(class) => (tables.ship_radius(class) * 1.4, colors.shield),
            Exploded::Drone(breed) => (tables.drone_radius(breed), colors.breed(breed)),
            Exploded::Missile(_) => (0.9, colors.fire),
        };
        let at = Vec2::from(explosion.at);
        effects.explode(at, Vec2::ZERO, size, (color, colors.fire));
        let near = 1.0 - (at.distance(focus.at) / 30.0).min(1.0);
        if settings.shake {
            rig.shake(near * near * 0.35 * size);
        }
    }
}

/// Emits sparks behind badly damaged hulls.
fn emit_damage_sparks(
    (time, colors): (Res<Time>, Res<Colors>),
    hulls: Query<(&Hull, &Appearance)>,
    mut effects: ResMut<VisualEffects>,
) {
    for (hull, look) in &hulls {
        let left = f32::from(hull.now) / f32::from(hull.max.max(1));
        if left < 0.45 && effects.unit() < time.delta_secs() * 14.0 * (0.6 - left) {
            let backwards = -Vec2::from_angle(look.heading);
            effects.sparks(look.at + backwards * 0.5, backwards * 0.6, 1, colors.fire);
        }
    }
}
