//! Contact response: the velocities of discs that touch, and the separation of discs that overlap.

use glam::Vec2;

use super::state::{Disc, RESTITUTION, SKIN, Solver, Touch};

/// Iterations of the impulses over all contacts in one round.
const ITERATIONS: usize = 4;
/// Approach speed below which nothing rebounds, in units per second: lets piles come to rest.
const QUIET: f32 = 1.0;
/// Overlap that is tolerated, in units.
const SLOP: f32 = 0.03;
/// Longest distance by which one tick separates overlapping discs, in units.
const PART_MAX: f32 = 0.25;

impl Solver {
    /// Finds the pairs that touch and approach each other.
    pub(super) fn find_touches(&mut self, discs: &[Disc]) {
        self.touching.clear();
        for &(a, b) in &self.near {
            let (one, two) = (&discs[a as usize], &discs[b as usize]);
            let reach = one.radius + two.radius + SKIN;
            let between = one.position - two.position;
            if between.length_squared() > reach * reach {
                continue;
            }
            // Two discs at the same position separate along x.
            let normal = between.try_normalize().unwrap_or(Vec2::X);
            let speed = (two.velocity - one.velocity).dot(normal);
            let is_sensed = one.is_sensor || two.is_sensor;
            if speed > 0.0 {
                self.touching.push(Touch {
                    a,
                    b,
                    normal,
                    speed,
                    is_sensed,
                });
            }
        }
    }

    /// Pushes touching discs apart. A disc with several contacts gives each an equal share of its mass.
    pub(super) fn respond(&mut self, discs: &mut [Disc]) {
        for iteration in 0..ITERATIONS {
            self.counts.clear();
            self.counts.resize(discs.len(), 0);
            let approaching = |touch: &&Touch, discs: &[Disc]| {
                let (one, two) = (&discs[touch.a as usize], &discs[touch.b as usize]);
                !touch.is_sensed
                    && one.inverse_mass + two.inverse_mass > 0.0
                    && (two.velocity - one.velocity).dot(touch.normal) > 1e-4
            };
            for touch in self.touching.iter().filter(|touch| approaching(touch, discs)) {
                self.counts[touch.a as usize] += 1;
                self.counts[touch.b as usize] += 1;
            }
            self.pushes.clear();
            self.pushes.resize(discs.len(), Vec2::ZERO);
            let mut any = false;
            for touch in self.touching.iter().filter(|touch| approaching(touch, discs)) {
                let (a, b) = (touch.a as usize, touch.b as usize);
                let speed = (discs[b].velocity - discs[a].velocity).dot(touch.normal);
                let inverse = discs[a].inverse_mass * f32::from(self.counts[a])
                    + discs[b].inverse_mass * f32::from(self.counts[b]);
                let bounce = if iteration == 0 && speed > QUIET {
                    RESTITUTION
                } else {
                    0.0
                };
                let impulse = touch.normal * (speed * (1.0 + bounce) / inverse);
                self.pushes[a] += impulse * discs[a].inverse_mass;
                self.pushes[b] -= impulse * discs[b].inverse_mass;
                any = true;
            }
            if !any {
                break;
            }
            for ((disc, push), &count) in discs.iter_mut().zip(&self.pushes).zip(&self.counts) {
                if count > 0 && disc.inverse_mass > 0.0 {
                    disc.velocity += *push;
                    disc.bumped = true;
                }
            }
        }
    }

    /// Separates discs that overlap, because of rounding or because one was just spawned, by a small distance. Their
    /// velocities do not change.
    pub(super) fn separate(&mut self, discs: &mut [Disc], pairs: &[(u32, u32)]) {
        self.pushes.clear();
        self.pushes.resize(discs.len(), Vec2::ZERO);
        self.counts.clear();
        self.counts.resize(discs.len(), 0);
        let mut any = false;
        for &(a, b) in pairs {
            let (a, b) = (a as usize, b as usize);
            let (one, two) = (&discs[a], &discs[b]);
            let inverse = one.inverse_mass + two.inverse_mass;
            let reach = one.radius + two.radius;
            let between = one.position - two.position;
            let is_apart = between.length_squared() > reach * reach;
            let at_rest = self.starts[a].is_none() && self.starts[b].is_none();
            if is_apart || at_rest || inverse == 0.0 || one.is_sensor || two.is_sensor {
                continue;
            }
            let overlap = reach - between.length() - SLOP;
            if overlap <= 0.0 {
                continue;
            }
            let push = between.try_normalize().unwrap_or(Vec2::X) * (overlap.min(PART_MAX) / inverse);
            self.pushes[a] += push * one.inverse_mass;
            self.pushes[b] -= push * two.inverse_mass;
            self.counts[a] += 1;
            self.counts[b] += 1;
            any = true;
        }
        if !any {
            return;
        }
        for ((disc, push), &count) in discs.iter_mut().zip(&self.pushes).zip(&self.counts) {
            if count > 0 && disc.inverse_mass > 0.0 {
                disc.position += *push / f32::from(count);
                disc.bumped = true;
            }
        }
    }
}
