//! A drone's scan of its surroundings: flock mates, enemies, obstacles.

use glam::Vec2;
use skirmish_shared::components::Hull;
use skirmish_shared::content::DroneBreed;
use throng_shared::protocol::ids::GlobalId;

use super::{FLIGHT_S, Thinking};
use crate::bodies::BodyKind;
use crate::components::{DroneAi, DroneMode};
use crate::content::ticks;

/// Gap below which a drone steers away from an obstacle, in units.
const AVOIDANCE_GAP: f32 = 7.0;
/// Factor by which the current target stays in sight beyond the sight for new targets.
const KEEP_SIGHT: f32 = 1.4;

/// Sums over the bodies in sight.
#[derive(Default)]
struct Surroundings {
    mates: f32,
    apart: Vec2,
    velocity: Vec2,
    centre: Vec2,
    avoidance: Vec2,
    nearest: Option<(f32, GlobalId)>,
    keeps: bool,
}

impl Thinking<'_> {
    /// Scans the surroundings, and updates steering and behaviour.
    pub(super) fn look_around(
        &self,
        row: usize,
        breed: &DroneBreed,
        hull: &Hull,
        ai: &mut DroneAi,
        found: &mut Vec<u32>,
    ) {
        let disc = &self.bodies.discs[row];
        let sight = breed.sight.get();
        let hunted = match ai.mode {
            DroneMode::Hunt(target) => Some(target),
            _ => None,
        };
        self.bodies.near(disc.position, sight * KEEP_SIGHT, found);
        let mut seen = Surroundings::default();
        for &other in &*found {
            if other as usize != row {
                self.see(row, other as usize, breed, ai.flock, hunted, &mut seen);
            }
        }
        ai.avoidance = seen.avoidance;
        ai.cohesion = seen.cohesion(disc.position, disc.velocity);
        let tick = self.time.tick;
        let region = &self.rules.content.space.regions;
        let reach = region[usize::from(ai.region) % region.len()].radius.get() + breed.leash.get();
        let strayed = disc.position.distance_squared(self.home(ai)) > reach * reach;
        let is_hurt = f32::from(hull.now) < breed.flees_below.get() * f32::from(hull.max);
        if is_hurt && hunted.is_some() && !ai.has_fled {
            ai.has_fled = true;
            ai.mode = DroneMode::Flee(tick + ticks(FLIGHT_S, self.time));
            return;
        }
        ai.mode = match ai.mode {
            DroneMode::Flee(until) if tick.since(until) < 0 => ai.mode,
            _ if strayed => DroneMode::Patrol,
            DroneMode::Hunt(_) if seen.keeps => ai.mode,
            _ => seen
                .nearest
                .map_or(DroneMode::Patrol, |(_, id)| DroneMode::Hunt(id)),
        };
    }

    fn see(
        &self,
        row: usize,
        other: usize,
        breed: &DroneBreed,
        flock: u32,
        hunted: Option<GlobalId>,
        seen: &mut Surroundings,
    ) {
        let (body, disc) = (&self.bodies.rows[row], &self.bodies.discs[row]);
        let (other_body, other_disc) = (&self.bodies.rows[other], &self.bodies.discs[other]);
        let from = disc.position - other_disc.position;
        let distance = from.length();
        let away = from / distance.max(0.01);
        let gap = distance - disc.radius - other_disc.radius;
        if other_body.kind != BodyKind::Missile && gap < AVOIDANCE_GAP && other_body.flock != flock {
            // Only obstacles ahead are in the way.
            let ahead = disc.velocity.dot(-away).max(0.0) / (disc.velocity.length() + 1.0);
            seen.avoidance += away * ((1.0 - gap / AVOIDANCE_GAP) * (0.5 + 2.5 * ahead));
        }
        if other_body.flock == flock {
            let spacing = breed.spacing.get();
            seen.mates += 1.0;
            seen.velocity += other_disc.velocity;
            seen.centre += other_disc.position;
            if distance < spacing {
                seen.apart += away * (1.0 - distance / spacing);
            }
        } else if other_body.kind == BodyKind::Craft && !other_body.team.is_mate(body.team) {
            seen.keeps |= Some(other_body.id) == hunted;
            // Rows ascend by id, so the lower id wins a tie.
            let is_nearer = seen.nearest.is_none_or(|(best, _)| distance < best);
            if distance <= breed.sight.get() && is_nearer {
                seen.nearest = Some((distance, other_body.id));
            }
        }
    }
}

impl Surroundings {
    /// Returns the steering of separation, alignment and cohesion (Reynolds 1987).
    fn cohesion(&self, position: Vec2, velocity: Vec2) -> Vec2 {
        if self.mates == 0.0 {
            return Vec2::ZERO;
        }
        let along = (self.velocity / self.mates - velocity) * 0.03;
        let together = (self.centre / self.mates - position) * 0.02;
        self.apart * 1.5 + along.clamp_length_max(0.5) + together.clamp_length_max(0.6)
    }
}
