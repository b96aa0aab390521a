//! Lasers: a ray from the bow that instantly hits the first body in its way, where the pilot saw that body.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Beam, BeamHit};
use skirmish_shared::movement::heading_of;
use throng_server::prelude::{Owner, Rewind, TickTime};
use throng_shared::protocol::ids::{GlobalId, TeamId};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};

use super::bodies::{Bodies, BodyKind};
use super::components::{Attacker, Condition, Craft, Guns, Helm};
use super::content::{Rules, ticks};
use super::effects::{Damage, EffectSender};
use super::pilots::gun_direction;
use super::rewind::Past;

/// Highest speed of any body, in units per second: limits how far rewinding can move a body.
const SPEED_MAX: f32 = 120.0;

/// The ray of one shot.
#[derive(Clone, Copy, Debug)]
pub struct Ray {
    /// The craft that fires; the ray never hits it.
    pub shooter: GlobalId,
    /// The shooter's team; the ray passes through its crafts.
    pub team: TeamId,
    /// Origin of the ray, in units.
    pub from: Vec2,
    /// Direction of the ray; of length 1.
    pub direction: Vec2,
    /// Length of the ray, in units.
    pub range: f32,
    /// Half the width of the ray, in units. Only the middle of the beam is stopped by asteroids and stations.
    pub width: f32,
}

/// The first body that a ray hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RayHit {
    /// Row of the body.
    pub row: usize,
    /// Distance from the origin, in units.
    pub distance: f32,
}

impl Ray {
    /// Returns the first body in the ray's way at the moment that the pilot saw. Ties go to the lower row.
    #[must_use]
    pub fn first_hit(
        &self,
        bodies: &Bodies,
        past: &Past<'_>,
        found: &mut Vec<u32>,
        tick_s: f32,
    ) -> Option<RayHit> {
        let back = past.age() as f32 * tick_s * SPEED_MAX;
        let middle = self.from + self.direction * (self.range * 0.5);
        bodies
            .grid
            .candidates(middle, self.range * 0.5 + self.width + back, found);
        let mut first: Option<RayHit> = None;
        for &row in &*found {
            let (body, disc) = (&bodies.rows[row as usize], &bodies.discs[row as usize]);
            let is_target = body.kind == BodyKind::Craft;
            if body.id == self.shooter
                || body.kind == BodyKind::Missile
                || (is_target && body.team.is_mate(self.team))
            {
                continue;
            }
            let width = if is_target { self.width } else { 0.0 };
            let position = past.position(body, disc.position);
            let Some(distance) = self.meets(position, disc.radius + width) else {
                continue;
            };
            let row = row as usize;
            let is_first = first.is_none_or(|first| (distance, row) < (first.distance, first.row));
            if is_first {
                first = Some(RayHit { row, distance });
            }
        }
        first
    }

    /// Returns the distance in units at which the ray meets a disc; 0 if it starts inside.
    fn meets(&self, centre: Vec2, radius: f32) -> Option<f32> {
        let to = centre - self.from;
        let along = to.dot(self.direction);
        let across2 = to.length_squared() - along * along;
        let depth2 = radius * radius - across2;
        if depth2 < 0.0 {
            return None;
        }
        let half = depth2.sqrt();
        if along + half < 0.0 {
            return None;
        }
        let distance = (along - half).max(0.0);
        (distance <= self.range).then_some(distance)
    }
}

type Armed = (
    Craft,
    &'static Owner,
    &'static Helm,
    &'static mut Guns,
    &'static mut Beam,
    &'static mut Condition,
);

/// Fires the lasers that are ready, in the order of global ids.
pub(super) fn fire_lasers(
    mut crafts: Query<Armed>,
    bodies: Res<Bodies>,
    mut effects: EffectSender,
    rewind: Rewind,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut found: Local<Vec<u32>>,
) {
    let tick_s = time.length.as_secs_f32();
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok((craft, owner, helm, mut guns, mut beam, mut condition)) = crafts.get_mut(body.entity) else {
            continue;
        };
        if !helm.fires || time.tick.since(guns.laser) < 0 {
            continue;
        }
        let laser = rules.laser(craft.model());
        guns.laser = time.tick + ticks(laser.cooldown_s.get(), &time);
        // A craft that shoots loses its protection.
        condition.protected_until = time.tick;
        let angle = gun_direction(body.heading, helm.aim, laser.arc.get());
        let ray = Ray {
            shooter: body.id,
            team: body.team,
            from: bodies.discs[row].position,
            direction: heading_of(angle),
            range: laser.range.get(),
            width: laser.width.get(),
        };
        let past = Past {
            rewind: &rewind,
            now: time.tick,
            seen_at: helm.seen_at,
        };
        let hit = ray.first_hit(&bodies, &past, &mut found, tick_s);
        if let Some(victim) = hit.filter(|hit| bodies.rows[hit.row].kind == BodyKind::Craft) {
            let damage = Damage {
                by: Some(Attacker::new(body.id, craft.model(), owner.0)),
                points: laser.damage.get() as u32,
            };
            effects.entity(bodies.rows[victim.row].id, &damage);
        }
        let reach = hit.map_or(ray.range, |hit| hit.distance);
        let hit = hit.map_or(BeamHit::Nothing, |hit| beam_hit(bodies.rows[hit.row].kind));
        *beam = Beam {
            tick: time.tick.wire(),
            yaw: Pose::quantize(&Position::default(), &Velocity::default(), &Heading(angle)).yaw,
            reach_10: (reach * 10.0) as u16,
            hit,
        };
    }
}

/// Returns the effect with which clients draw the end of a beam at such a body. Beams pass through missiles.
const fn beam_hit(kind: BodyKind) -> BeamHit {
    match kind {
        BodyKind::Craft => BeamHit::Craft,
        BodyKind::Asteroid => BeamHit::Asteroid,
        BodyKind::Station => BeamHit::Station,
        BodyKind::Missile => BeamHit::Nothing,
    }
}
