//! Random positions: within regions, and clear of the bodies there.

use std::f32::consts::PI;

use glam::Vec2;
use skirmish_shared::content::SpaceContent;
use throng_server::prelude::Random;

use super::bodies::Bodies;

/// Random stream for asteroids. Streams that belong to no entity start above the highest global id of a simulation.
pub(super) const ROCKS: u64 = 1 << 40;
/// Random stream for drones that are replaced.
pub(super) const DRONES: u64 = 2 << 40;
/// Random stream for the waypoints of flocks.
pub(super) const FLOCKS: u64 = 3 << 40;

/// Returns a random point between two radii around `centre`, uniform over the area.
pub(super) fn within(centre: Vec2, inner: f32, outer: f32, random: &mut Random) -> Vec2 {
    let (sine, cosine) = libm::sincosf(random.within(-PI, PI));
    let share = random.within(0.0, 1.0).max(random.within(0.0, 1.0));
    centre + Vec2::new(cosine, sine) * (inner + (outer - inner) * share)
}

/// Returns a position in a region that is `radius` units clear of all bodies, or, after 16 attempts, any position.
pub(super) fn free_place(
    bodies: &Bodies,
    space: &SpaceContent,
    region: usize,
    radius: f32,
    random: &mut Random,
) -> Vec2 {
    let mut found = Vec::new();
    let mut position = Vec2::ZERO;
    for _ in 0..16 {
        position = in_region(space, region, random);
        bodies.near(position, radius, &mut found);
        if found.is_empty() {
            break;
        }
    }
    position
}

pub(super) fn in_region(space: &SpaceContent, region: usize, random: &mut Random) -> Vec2 {
    let region = &space.regions[region % space.regions.len()];
    let inner = (space.station_radius.get() + space.dock.get() + 6.0).min(region.radius.get());
    within(
        Vec2::new(region.at.0, region.at.1),
        inner,
        region.radius.get(),
        random,
    )
}
