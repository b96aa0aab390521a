//! What a drone sees when it looks around: mates, enemies, obstacles.

use glam::Vec2;
use skirmish_shared::components::Hull;
use skirmish_shared::content::DroneBreed;
use throng_shared::protocol::ids::GlobalId;

use super::{DroneAi, DroneMode, FLIGHT_S, Thinking};
use crate::bodies::BodyKind;
use crate::content::ticks;

/// Gap to an obstacle in which it is shunned, in units.
const AVOIDANCE_GAP: f32 = 7.0;
/// How much farther than a new one an enemy is still seen that is being hunted.
const KEEP_SIGHT: f32 = 1.4;

/// What is summed up over those in sight.
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
    /// Sees who is around, and makes up its mind.
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
        let (who, there) = (&self.bodies.rows[other], &self.bodies.discs[other]);
        let from = disc.position - there.position;
        let distance = from.length();
        let away = from / distance.max(0.01);
        let gap = distance - disc.radius - there.radius;
        if who.kind != BodyKind::Missile && gap < AVOIDANCE_GAP && who.flock != flock {
            // Only what lies ahead is in the way.
            let ahead = disc.velocity.dot(-away).max(0.0) / (disc.velocity.length() + 1.0);
            seen.avoidance += away * ((1.0 - gap / AVOIDANCE_GAP) * (0.5 + 2.5 * ahead));
        }
        if who.flock == flock {
            let spacing = breed.spacing.get();
            seen.mates += 1.0;
            seen.velocity += there.velocity;
            seen.centre += there.position;
            if distance < spacing {
                seen.apart += away * (1.0 - distance / spacing);
            }
        } else if who.kind == BodyKind::Craft && !who.team.is_mate(body.team) {
            seen.keeps |= Some(who.id) == hunted;
            // Rows come in the order of ids, so of two equally far the lower one stays.
            let is_nearer = seen.nearest.is_none_or(|(best, _)| distance < best);
            if distance <= breed.sight.get() && is_nearer {
                seen.nearest = Some((distance, who.id));
            }
        }
    }
}

impl Surroundings {
    /// Apart, along and together (Reynolds 1987).
    fn cohesion(&self, position: Vec2, velocity: Vec2) -> Vec2 {
        if self.mates == 0.0 {
            return Vec2::ZERO;
        }
        let along = (self.velocity / self.mates - velocity) * 0.03;
        let together = (self.centre / self.mates - position) * 0.02;
        self.apart * 1.5 + along.clamp_length_max(0.5) + together.clamp_length_max(0.6)
    }
}
