//! Explosions of who is there no more.

use bevy::ecs::lifecycle::Remove;
use bevy::prelude::*;
use throng_shared::skirmish::components::{Asteroid, Drone, Hull, Missile, Ship};

use super::Effects;
use crate::game::camera::Rig;
use crate::game::colors;
use crate::game::content::Tables;
use crate::game::settings_file::Settings;
use crate::game::teams::Teams;
use crate::game::view::{Focus, Look};

/// More than this at once is not a battle but the end of a session.
const DEATHS_MAX: usize = 40;

/// Somebody who is there no more.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Vec2,
    velocity: Vec2,
    size: f32,
    color: Vec3,
}

/// Who went since the last frame.
#[derive(Resource, Default)]
struct Deaths(Vec<Death>);

pub(super) struct DeathsPlugin;

impl Plugin for DeathsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Deaths>()
            .add_observer(note_departure)
            .add_systems(Update, (explode_dead, smoke));
    }
}

/// Who goes near the edge of what is seen has flown out of it; who goes well inside was destroyed.
fn note_departure(
    gone: On<Remove, Look>,
    looks: Query<(
        &Look,
        Option<&Ship>,
        Option<&Drone>,
        Option<&Missile>,
        Option<&Asteroid>,
    )>,
    (teams, tables, focus): (Teams, Res<Tables>, Res<Focus>),
    mut deaths: ResMut<Deaths>,
) {
    let Ok((look, ship, drone, missile, rock)) = looks.get(gone.entity) else {
        return;
    };
    let is_inside = look.at.distance(focus.at) < tables.view() * 0.82;
    if !is_inside || rock.is_some() {
        return;
    }
    let (size, color) = if let Some(ship) = ship {
        (tables.ship_radius(ship.class) * 1.3, teams.color(gone.entity))
    } else if let Some(drone) = drone {
        (tables.drone_radius(drone.breed), teams.color(gone.entity))
    } else if missile.is_some() {
        (0.8, colors::FIRE)
    } else {
        return;
    };
    deaths.0.push(Death {
        at: look.at,
        velocity: look.velocity,
        size,
        color,
    });
}

fn explode_dead(
    mut deaths: ResMut<Deaths>,
    mut effects: ResMut<Effects>,
    mut rig: ResMut<Rig>,
    (focus, settings): (Res<Focus>, Res<Settings>),
) {
    if deaths.0.len() > DEATHS_MAX {
        deaths.0.clear();
    }
    for death in deaths.0.drain(..) {
        effects.explode(death.at, death.velocity, death.size, death.color);
        let near = 1.0 - (death.at.distance(focus.at) / 30.0).min(1.0);
        if settings.shake {
            rig.shake(near * near * 0.35 * death.size);
        }
    }
}

/// Badly hit hulls leave sparks and smoke behind.
fn smoke(time: Res<Time>, hulls: Query<(&Hull, &Look)>, mut effects: ResMut<Effects>) {
    for (hull, look) in &hulls {
        let left = f32::from(hull.now) / f32::from(hull.max.max(1));
        if left < 0.45 && effects.unit() < time.delta_secs() * 14.0 * (0.6 - left) {
            let backwards = -Vec2::from_angle(look.heading);
            effects.sparks(look.at + backwards * 0.5, backwards * 0.6, 1, colors::FIRE);
        }
    }
}
