//! Swept motion: how far every disc flies before its first touch.

use glam::Vec2;

use super::state::{Disc, REACH, ROUNDS, SKIN, Solver};

/// Passes in which stops are found. Each pass only shortens ways; in a longer chain every disc stops where it is.
const PASSES: usize = 12;

/// Approach in a tick below which two discs do not stop each other, in units: lets discs fly side by side.
const APPROACH_MIN: f32 = 1e-3;

impl Solver {
    /// Moves every disc along its way until it is blocked. Afterwards `stops` has the part of the way that each
    /// disc flew.
    pub(super) fn advance(&mut self, discs: &mut [Disc], pairs: &[(u32, u32)]) {
        let ways = &self.ways;
        self.near.clear();
        self.near.extend(pairs.iter().filter(|&&(a, b)| {
            let (a, b) = (a as usize, b as usize);
            // Two discs at rest meet in the next tick, if one of them has been pushed by then.
            if self.starts[a].is_none() && self.starts[b].is_none() {
                return false;
            }
            let reach = discs[a].radius + discs[b].radius + SKIN + ways[a].length() + ways[b].length();
            discs[a].position.distance_squared(discs[b].position) <= reach * reach
        }));
        self.stops.clear();
        self.stops.resize(discs.len(), 1.0);
        for pass in 0.. {
            self.next_stops.clone_from(&self.stops);
            let mut changed = false;
            for &(a, b) in &self.near {
                let (a, b) = (a as usize, b as usize);
                let (one, two) = (&discs[a], &discs[b]);
                let stops = (self.stops[a], self.stops[b]);
                let Some(touch) = first_touch(one, two, ways[a], ways[b], stops) else {
                    continue;
                };
                // A sensor stops only itself. After the last pass, a disc that would still hit stays where it is.
                let stop = if pass < PASSES { touch } else { 0.0 };
                for (row, other) in [(a, two), (b, one)] {
                    if stop < self.next_stops[row] && !other.is_sensor {
                        self.next_stops[row] = stop;
                        changed = true;
                    }
                }
            }
            std::mem::swap(&mut self.stops, &mut self.next_stops);
            if !changed {
                break;
            }
        }
        for ((disc, way), stop) in discs.iter_mut().zip(ways).zip(&self.stops) {
            disc.position += *way * *stop;
        }
    }

    /// Sets the ways of the rest of the tick, at the new velocities.
    pub(super) fn update_ways(&mut self, discs: &[Disc], tick_s: f32, round: usize) {
        for ((way, disc), stop) in self.ways.iter_mut().zip(discs).zip(&self.stops) {
            let left = (1.0 - stop) * tick_s;
            // The way stays within the margin of the box by which pairs were found. A disc that was at rest has no
            // margin.
            let flies = round + 1 < ROUNDS && !disc.is_sensor && *way != Vec2::ZERO;
            *way = if flies {
                (disc.velocity * left).clamp_length_max(REACH * 0.5)
            } else {
                Vec2::ZERO
            };
        }
    }
}

/// Returns the part of the tick after which two discs first touch, each flying along its way until its stop. Discs
/// that touch already count only if they approach each other.
pub(super) fn first_touch(
    one: &Disc,
    two: &Disc,
    way_one: Vec2,
    way_two: Vec2,
    stops: (f32, f32),
) -> Option<f32> {
    let distance = one.radius + two.radius + SKIN * 0.5;
    let between = one.position - two.position;
    let both = stops.0.min(stops.1);
    if let Some(time) = root(between, way_one - way_two, distance).filter(|&time| time <= both) {
        return Some(time);
    }
    if stops.0 == stops.1 {
        return None;
    }
    // One disc has stopped; the other flies on.
    let between = between + (way_one - way_two) * both;
    let way = if stops.0 > stops.1 { way_one } else { -way_two };
    let time = both + root(between, way, distance)?;
    (time <= stops.0.max(stops.1)).then_some(time)
}

/// Returns the first time at which `from + way * t` is no longer than `distance`, if its length decreases at all.
fn root(from: Vec2, way: Vec2, distance: f32) -> Option<f32> {
    let approach = from.dot(way);
    if approach >= -APPROACH_MIN * from.length() {
        return None;
    }
    let beyond = from.length_squared() - distance * distance;
    if beyond <= 0.0 {
        return Some(0.0);
    }
    let discriminant = approach * approach - way.length_squared() * beyond;
    // This form of the root has no subtraction of nearly equal numbers, so no digits cancel.
    (discriminant >= 0.0).then(|| beyond / (discriminant.sqrt() - approach))
}
