//! Draws the bodies: ships, drones, missiles, rocks, stations, and the light of their engines.

use bevy::prelude::*;
use skirmish_shared::components::{Asteroid, Drone, Missile, Ore, Ship, Station};
use throng_client::world::Own;
use throng_shared::hash::GOLDEN;
use throng_shared::protocol::ids::GlobalId;

use super::batch::{GlowBatch, Paint, SolidBatch};
use super::camera::PaintOrder;
use super::colors::Colors;
use super::content::Tables;
use super::models::{Models, Palette};
use super::teams::Teams;
use super::view::{Appearance, Focus};

pub(crate) struct BodiesPlugin;

impl Plugin for BodiesPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Models>().add_systems(
            Paint,
            (
                paint_ships,
                paint_drones,
                paint_missiles,
                paint_rocks,
                paint_stations,
            )
                .in_set(PaintOrder),
        );
    }
}

fn paint_ships(
    ships: Query<(Entity, &Ship, &Appearance, Has<Own>)>,
    teams: Teams,
    (models, tables, focus, colors): (Res<Models>, Tables, Res<Focus>, Res<Colors>),
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
) {
    for (entity, ship, look, is_own) in &ships {
        let radius = tables.ship_radius(ship.class);
        let team = teams.color(entity);
        let flash = if look.shielded { 0.0 } else { look.flash };
        let palette = Palette::new(colors.hull.lerp(team, 0.08), team, look.push, flash);
        let at = look.transform(&focus, radius);
        solid.add(models.ship(ship.class), &at, &palette);
        let lanes: &[f32] = match ship.class % 4 {
            1 => &[0.0],
            2 => &[-0.72, -0.26, 0.26, 0.72],
            _ => &[-0.42, 0.42],
        };
        burn(&mut glow, &at, lanes, look.push, team);
        shield_glow(&mut glow, look, &focus, radius, colors.shield);
        if is_own {
            glow.circle(
                look.place(&focus, -0.4),
                radius * 2.0,
                0.07,
                team * 0.35 + Vec3::splat(0.05),
            );
        }
    }
}

fn paint_drones(
    drones: Query<(&Drone, &Appearance)>,
    (models, tables, focus, colors): (Res<Models>, Tables, Res<Focus>, Res<Colors>),
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
) {
    for (drone, look) in &drones {
        let radius = tables.drone_radius(drone.breed) * 1.15;
        let team = colors.breed(drone.breed);
        let flash = if look.shielded { 0.0 } else { look.flash };
        let at = look.transform(&focus, radius);
        let palette = Palette::new(colors.drone_hull, team, look.push, flash);
        solid.add(models.drone(drone.breed), &at, &palette);
        burn(&mut glow, &at, &[0.0], look.push * 0.8, team);
        shield_glow(&mut glow, look, &focus, radius, colors.shield);
    }
}

fn paint_missiles(
    missiles: Query<(&Missile, &Appearance)>,
    (models, focus, colors): (Res<Models>, Res<Focus>, Res<Colors>),
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
) {
    for (missile, look) in &missiles {
        let size = 0.45 + 0.2 * f32::from(missile.kind.min(3));
        let at = look.transform(&focus, size);
        let palette = Palette::new(Vec3::splat(0.7), colors.fire, 1.0, 0.0);
        solid.add(&models.missile, &at, &palette);
        let tail = at.transform_point(Vec3::NEG_X);
        glow.disc(tail, size * 2.2, colors.fire * 0.9);
        glow.streak(
            at.transform_point(Vec3::NEG_X * 7.0),
            tail,
            size * 0.5,
            colors.fire * 1.6,
        );
    }
}

/// Draws the flames of engines, one for each lane, and their light.
fn burn(glow: &mut GlowBatch, at: &Transform, lanes: &[f32], push: f32, team: Vec3) {
    let color = team * 0.7 + Vec3::splat(0.12);
    for lane in lanes {
        let nozzle = at.transform_point(Vec3::new(-0.95, 0.0, *lane));
        glow.disc(
            nozzle,
            at.scale.x * (0.22 + push * 0.22),
            color * (0.3 + push * 0.9),
        );
        if push > 0.05 {
            let end = at.transform_point(Vec3::new(-1.2 - push * 2.2, 0.0, *lane));
            glow.streak(end, nozzle, at.scale.x * 0.17, color * (0.4 + push * 1.4));
        }
    }
}

/// Draws a shield's glow while it takes a hit.
fn shield_glow(glow: &mut GlowBatch, look: &Appearance, focus: &Focus, radius: f32, color: Vec3) {
    if look.shielded && look.flash > 0.0 {
        let place = look.place(focus, 0.0);
        glow.disc(place, radius * 1.9, color * look.flash * 0.55);
        glow.circle(place, radius * 1.6, 0.12, color * look.flash);
    }
}

fn paint_rocks(
    rocks: Query<(&Asteroid, Option<&Ore>, &Appearance, &GlobalId)>,
    (models, focus, colors, time): (Res<Models>, Res<Focus>, Res<Colors>, Res<Time>),
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
) {
    for (rock, ore, look, id) in &rocks {
        let radius = f32::from(rock.radius_10) / 10.0;
        // The differences between rocks are derived from the id, so they are equal on every screen.
        let number = id.0.wrapping_mul(GOLDEN) >> 24;
        let part = |shift: u32| (number >> shift & 0xff) as f32 / 255.0;
        let rich = ore.map_or(0.0, |ore| {
            (ore.0 as f32 / (60.0 * radius * radius).max(1.0)).min(1.0)
        });
        let axis = Vec3::new(part(0) - 0.5, part(8) - 0.5, part(16) - 0.5).normalize_or(Vec3::Y);
        let spin = (0.05 + 0.22 * part(24)) * (time.elapsed_secs() + 100.0 * part(4));
        let at = Transform {
            translation: look.place(&focus, (part(12) - 0.5) * 0.6),
            rotation: Quat::from_axis_angle(axis, spin),
            scale: Vec3::splat(radius * look.growth()),
        };
        let dust = colors.rock * (0.75 + 0.5 * part(20));
        let palette = Palette::new(dust.lerp(colors.ore, rich * 0.45), colors.ore_light, 0.0, 0.0);
        solid.add(models.rock(number >> 3), &at, &palette);
        if rich > 0.0 {
            let glint = 0.55 + 0.45 * (time.elapsed_secs() * (0.7 + part(9)) + 6.0 * part(17)).sin();
            let side = at.transform_point(axis.cross(Vec3::X).normalize_or(Vec3::Z) * 0.9);
            glow.disc(
                side + Vec3::Y * radius * 0.3,
                0.3 * radius,
                colors.ore_light * rich * glint * 0.5,
            );
        }
    }
}

fn paint_stations(
    stations: Query<(&Station, &Appearance)>,
    (models, tables, focus, colors, time): (Res<Models>, Tables, Res<Focus>, Res<Colors>, Res<Time>),
    (mut solid, mut glow): (ResMut<SolidBatch>, ResMut<GlowBatch>),
) {
    let dock = tables.space().map_or(0.0, |space| space.dock.get());
    for (station, look) in &stations {
        let radius = f32::from(station.radius_10) / 10.0;
        let mut at = look.transform(&focus, radius);
        at.rotation = Quat::from_rotation_y(time.elapsed_secs() * 0.07);
        let palette = Palette::new(colors.station, colors.station_light, 0.5, 0.0);
        solid.add(&models.station, &at, &palette);
        let pulse = 0.7 + 0.3 * (time.elapsed_secs() * 2.0).sin();
        glow.disc(
            look.place(&focus, radius * 0.55),
            1.6,
            colors.station_light * pulse,
        );
        glow.flat(
            look.place(&focus, -2.0),
            radius * 1.6,
            colors.station_light * 0.045,
        );
        glow.circle(
            look.place(&focus, -1.0),
            radius + dock,
            0.16,
            colors.station_light * 0.22,
        );
    }
}
