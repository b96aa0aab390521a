//! Laser beams: the own one appears as soon as the trigger is pulled, all others when the server reports them.
//!
//! The own beam is drawn along its most likely path, up to the first body in its way. The server decides
//! whether it hit; the server's beam of the same shot is then not drawn a second time.

use bevy::prelude::*;
use skirmish_shared::components::{Asteroid, Beam, Drone, Ship, Station};
use throng_client::world::Own;

use super::particles::VisualEffects;
use crate::window::batch::{GlowBatch, Paint};
use crate::window::camera::{PaintOrder, Rig};
use crate::window::content::Tables;
use crate::window::keys::{Action, ActionInput};
use crate::window::pilot::yaw_radians;
use crate::window::session::GamePhase;
use crate::window::teams::Teams;
use crate::window::view::{Appearance, Focus, wrapped};

/// Seconds that a beam is visible.
const BEAM_S: f32 = 0.17;
/// Largest number of visible beams.
const BEAMS_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Shot {
    shooter: Entity,
    /// Position of the shooter, which is updated while it is in view.
    from: Vec2,
    toward: Vec2,
    reach: f32,
    half_width: f32,
    age_s: f32,
    color: Vec3,
}

/// The beams that are visible now.
#[derive(Resource, Default)]
struct Shots(Vec<Shot>);

/// The own laser's predicted state.
#[derive(Resource, Default)]
struct OwnLaser {
    cools_s: f32,
    since_shot_s: f32,
}

pub(super) struct BeamsPlugin;

impl Plugin for BeamsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Shots>()
            .init_resource::<OwnLaser>()
            .add_systems(
                Update,
                (predict_own_beam, show_beams, fade_beams)
                    .chain()
                    .run_if(in_state(GamePhase::Play)),
            )
            .add_systems(
                Paint,
                (paint_beams, paint_mining, paint_crosshair).in_set(PaintOrder),
            );
    }
}

fn predict_own_beam(
    own: Query<(Entity, &Ship, &Appearance), With<Own>>,
    bodies: Query<(Entity, &Appearance, AnyOf<(&Ship, &Drone, &Asteroid, &Station)>)>,
    (controls, rig, tables, teams, time): (ActionInput, Res<Rig>, Tables, Teams, Res<Time>),
    (mut laser, mut shots, mut effects): (ResMut<OwnLaser>, ResMut<Shots>, ResMut<VisualEffects>),
) {
    laser.cools_s -= time.delta_secs();
    laser.since_shot_s += time.delta_secs();
    let Ok((shooter, ship, look)) = own.single() else {
        return;
    };
    let row = tables
        .ship(ship.class)
        .and_then(|class| tables.laser(&class.laser));
    let Some(row) = row.filter(|_| controls.pressed(Action::Fire) && laser.cools_s <= 0.0) else {
        return;
    };
    laser.cools_s = row.cooldown_s.get();
    laser.since_shot_s = 0.0;
    let wanted = (rig.aim - look.at).to_angle();
    let arc = row.arc.get();
    let toward = Vec2::from_angle(look.heading + wrapped(wanted - look.heading).clamp(-arc, arc));
    let others = bodies.iter().filter(|(entity, ..)| *entity != shooter);
    let first = others
        .filter_map(|(_, other, (ship, drone, rock, station))| {
            let radius = ship
                .map(|ship| tables.ship_radius(ship.class))
                .or(drone.map(|drone| tables.drone_radius(drone.breed)))
                .or(rock.map(|rock| f32::from(rock.radius_10) / 10.0))
                .or(station.map(|station| f32::from(station.radius_10) / 10.0))?;
            touch(other.at - look.at, toward, radius + row.width.get())
        })
        .fold(row.range.get(), f32::min);
    if first < row.range.get() {
        effects.sparks(look.at + toward * first, -toward, 5, Vec3::new(1.0, 0.8, 0.5));
    }
    push(
        &mut shots,
        Shot {
            shooter,
            from: look.at,
            toward,
            reach: first,
            half_width: row.width.get(),
            age_s: 0.0,
            color: teams.color(shooter),
        },
    );
}

/// Returns the distance along `toward` at which a ray from the origin touches a disc around `center`.
fn touch(center: Vec2, toward: Vec2, radius: f32) -> Option<f32> {
    let along = center.dot(toward);
    let aside_squared = center.length_squared() - along * along;
    let inside = radius * radius - aside_squared;
    (along > 0.0 && inside > 0.0).then(|| (along - inside.sqrt()).max(0.0))
}

fn show_beams(
    fired: Query<(Entity, &Beam, &Appearance, Has<Own>), Changed<Beam>>,
    teams: Teams,
    laser: Res<OwnLaser>,
    (mut shots, mut effects): (ResMut<Shots>, ResMut<VisualEffects>),
) {
    for (shooter, beam, look, is_own) in &fired {
        // An entity that has just come into view still has its last beam, which is old.
        let is_old = beam.reach_10 == 0 || look.age_s < 0.3;
        if is_old || (is_own && laser.since_shot_s < 1.0) {
            continue;
        }
        let toward = Vec2::from_angle(yaw_radians(beam.yaw));
        let reach = f32::from(beam.reach_10) / 10.0;
        effects.sparks(look.at + toward * reach, -toward, 2, teams.color(shooter));
        push(
            &mut shots,
            Shot {
                shooter,
                from: look.at,
                toward,
                reach,
                half_width: 0.25,
                age_s: 0.0,
                color: teams.color(shooter),
            },
        );
    }
}

fn push(shots: &mut Shots, shot: Shot) {
    if shots.0.len() < BEAMS_MAX {
        shots.0.push(shot);
    }
}

fn fade_beams(time: Res<Time>, looks: Query<&Appearance>, mut shots: ResMut<Shots>) {
    for shot in &mut shots.0 {
        shot.age_s += time.delta_secs();
        if let Ok(look) = looks.get(shot.shooter) {
            shot.from = look.at;
        }
    }
    shots.0.retain(|shot| shot.age_s < BEAM_S);
}

fn paint_beams(shots: Res<Shots>, focus: Res<Focus>, mut glow: ResMut<GlowBatch>) {
    for shot in &shots.0 {
        let left = 1.0 - shot.age_s / BEAM_S;
        let from = focus.scene(shot.from + shot.toward * 0.9, 0.05);
        let to = focus.scene(shot.from + shot.toward * shot.reach, 0.05);
        let wide = shot.half_width * (0.8 + left);
        glow.beam(from, to, wide * 1.9, shot.color * left * 0.75);
        glow.beam(
            from,
            to,
            wide * 0.42,
            (shot.color * 0.6 + Vec3::splat(0.9)) * left * 1.5,
        );
        glow.disc(to, 0.9, (shot.color + Vec3::splat(0.25)) * left);
        glow.disc(from, 0.7, shot.color * left);
    }
}

/// Draws the beam of the mining tool while it is used.
fn paint_mining(
    own: Query<(&Ship, &Appearance), With<Own>>,
    rocks: Query<(&Asteroid, &Appearance)>,
    (controls, tables, focus, time): (ActionInput, Tables, Res<Focus>, Res<Time>),
    (mut glow, mut effects): (ResMut<GlowBatch>, ResMut<VisualEffects>),
) {
    let (Ok((_, look)), true) = (own.single(), controls.pressed(Action::Mine)) else {
        return;
    };
    let range = tables.space().map_or(14.0, |space| space.mining_range.get());
    let toward = Vec2::from_angle(look.heading);
    let reach = rocks
        .iter()
        .filter_map(|(rock, other)| touch(other.at - look.at, toward, f32::from(rock.radius_10) / 10.0))
        .fold(range, f32::min);
    let (from, to) = (look.at + toward, look.at + toward * reach);
    let flicker = 0.7 + 0.3 * (time.elapsed_secs() * 31.0).sin();
    glow.beam(
        focus.scene(from, 0.0),
        focus.scene(to, 0.0),
        0.28,
        Vec3::new(0.9, 0.6, 0.15) * flicker,
    );
    if reach < range {
        glow.disc(focus.scene(to, 0.2), 1.1, Vec3::new(0.9, 0.55, 0.15) * flicker);
        effects.sparks(to, -toward, 1, Vec3::new(1.0, 0.6, 0.15));
    }
}

/// Draws a small mark where the mouse points.
fn paint_crosshair(
    rig: Res<Rig>,
    focus: Res<Focus>,
    phase: Res<State<GamePhase>>,
    mut glow: ResMut<GlowBatch>,
) {
    if *phase.get() != GamePhase::Play || !focus.alive {
        return;
    }
    let at = focus.scene(rig.aim, 0.0);
    let size = rig.distance * 0.018;
    let color = Vec3::new(0.5, 0.75, 0.9) * 0.7;
    glow.circle(at, size, size * 0.1, color);
    for side in [Vec3::X, Vec3::NEG_X, Vec3::Z, Vec3::NEG_Z] {
        glow.beam(at + side * size * 0.6, at + side * size * 1.5, size * 0.09, color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ray_touches_the_near_side_of_a_disc_ahead() {
        let touched = touch(Vec2::new(10.0, 0.5), Vec2::X, 1.0).unwrap();
        assert!((touched - (10.0 - 0.75f32.sqrt())).abs() < 1e-4, "{touched}");
        assert_eq!(touch(Vec2::new(10.0, 1.5), Vec2::X, 1.0), None);
        assert_eq!(touch(Vec2::new(-10.0, 0.0), Vec2::X, 1.0), None);
    }
}
