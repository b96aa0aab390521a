//! Missiles: launched at the nearest enemy ahead, they home on it until they touch something or burn out.

use bevy_ecs::prelude::*;
use skirmish_shared::components::{Magazine, Missile, Ship};
use skirmish_shared::messages::Exploded;
use skirmish_shared::movement::{Motion, heading_of, wrap};
use throng_server::prelude::{Owner, Replicated, Team, Tell, TickTime};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use super::bodies::{Bodies, BodyKind};
use super::components::{Attacker, AttackerKind, Condition, Guns, Helm, Mass, Warhead};
use super::content::{Rules, ticks};
use super::effects::{Damage, EffectSender};
use super::flight::Contacts;
use super::pilots::turn_towards;
use super::reports::report_explosion;

/// Radius of a missile, in units.
const RADIUS: f32 = 0.3;
/// Cosine of the half angle ahead of a ship in which a missile looks for its target.
const SEEK_COSINE: f32 = 0.7;

/// Turns missiles towards their targets. A missile whose target is gone flies straight on.
pub(super) fn steer_missiles(
    missiles: Query<(&Missile, &Warhead)>,
    mut bodies: ResMut<Bodies>,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    let tick_s = time.length.as_secs_f32();
    for row in 0..bodies.rows.len() {
        let body = bodies.rows[row];
        let Ok((missile, warhead)) = missiles.get(body.entity) else {
            continue;
        };
        let kind = kind(&rules, missile);
        let position = bodies.discs[row].position;
        let target = warhead.target.and_then(|target| bodies.find(target));
        let per_tick = kind.turn.get() * tick_s;
        let turn = target.map_or(0.0, |target| {
            turn_towards(body.heading, bodies.discs[target].position - position, per_tick)
        });
        let heading = wrap(body.heading + turn * per_tick);
        let motion = Motion {
            position,
            velocity: heading_of(heading) * kind.speed.get(),
            heading,
            boost_ms: 0,
        };
        bodies.set_motion(row, &motion.snapped());
    }
}

/// Launches missiles, in the order of their ships' ids.
pub(super) fn launch_missiles(
    mut commands: Commands,
    mut ships: Query<(&Ship, &Owner, &Helm, &mut Guns, &mut Magazine, &mut Condition)>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut found: Local<Vec<u32>>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok((ship, owner, helm, mut guns, mut magazine, mut condition)) = ships.get_mut(body.entity)
        else {
            continue;
        };
        if !helm.launches || magazine.0 == 0 || time.tick.since(guns.missile) < 0 {
            continue;
        }
        let (index, kind) = rules.missile(ship.class);
        magazine.0 -= 1;
        guns.missile = time.tick + ticks(kind.cooldown_s.get(), &time);
        condition.protected_until = time.tick;
        let (ahead, from) = (heading_of(body.heading), bodies.discs[row].position);
        let warhead = Warhead {
            by: Attacker {
                craft: body.id,
                kind: AttackerKind::Ship(owner.0),
            },
            target: seek(&bodies, row, kind.seek.get(), &mut found),
            until: time.tick + ticks(kind.life_s.get(), &time),
        };
        let start = from + ahead * bodies.discs[row].radius;
        commands.spawn((
            (Missile { kind: index }, warhead, Team(body.team)),
            (
                Position(start),
                Velocity(ahead * kind.speed.get()),
                Heading(body.heading),
            ),
            Mass {
                radius: RADIUS,
                inverse: 0.0,
            },
            Replicated::default(),
        ));
    }
}

/// Returns the nearest enemy ahead of the ship in `row`. Ties go to the lower row.
fn seek(bodies: &Bodies, row: usize, range: f32, found: &mut Vec<u32>) -> Option<GlobalId> {
    let (body, from) = (&bodies.rows[row], bodies.discs[row].position);
    let ahead = heading_of(body.heading);
    bodies.near(from, range, found);
    let mut nearest: Option<(f32, GlobalId)> = None;
    for &other in &*found {
        let other = other as usize;
        let is_enemy =
            bodies.rows[other].kind == BodyKind::Craft && !bodies.rows[other].team.is_mate(body.team);
        let to = bodies.discs[other].position - from;
        let distance = to.length();
        if other == row || !is_enemy || to.dot(ahead) < distance * SEEK_COSINE {
            continue;
        }
        if nearest.is_none_or(|(best, _)| distance < best) {
            nearest = Some((distance, bodies.rows[other].id));
        }
    }
    nearest.map(|(_, id)| id)
}

/// Detonates missiles that touched something or burnt out. The blast hits all crafts but those of the missile's team:
/// with full damage on contact, with half at the edge of the blast.
pub(super) fn detonate_missiles(
    mut commands: Commands,
    missiles: Query<(&Missile, &Warhead)>,
    bodies: Res<Bodies>,
    contacts: Res<Contacts>,
    mut effects: EffectSender,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut tell: Tell,
    mut touched: Local<Vec<u32>>,
    mut found: Local<Vec<u32>>,
) {
    touched.clear();
    let ends = contacts.0.iter().flat_map(|contact| [contact.a, contact.b]);
    touched.extend(ends.filter(|&row| bodies.rows[row as usize].kind == BodyKind::Missile));
    touched.sort_unstable();
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Missile {
            continue;
        }
        let Ok((missile, warhead)) = missiles.get(body.entity) else {
            continue;
        };
        let is_spent = time.tick.since(warhead.until) >= 0;
        if !is_spent && touched.binary_search(&(row as u32)).is_err() {
            continue;
        }
        let kind = kind(&rules, missile);
        let centre = bodies.discs[row].position;
        bodies.near(centre, kind.blast.get(), &mut found);
        for &other in &*found {
            let (victim, disc) = (&bodies.rows[other as usize], &bodies.discs[other as usize]);
            if victim.kind != BodyKind::Craft || victim.team.is_mate(body.team) {
                continue;
            }
            let gap = (disc.position.distance(centre) - disc.radius).max(0.0);
            let share = 1.0 - 0.5 * (gap / kind.blast.get()).min(1.0);
            let damage = Damage {
                by: Some(warhead.by),
                points: (kind.damage.get() * share) as u32,
            };
            effects.entity(victim.id, &damage);
        }
        let exploded = Exploded::Missile(missile.kind);
        report_explosion(&mut tell, &bodies, row, exploded, Some(warhead.by.craft));
        commands.entity(body.entity).despawn();
    }
}

fn kind<'a>(rules: &'a Rules, missile: &Missile) -> &'a skirmish_shared::content::MissileKind {
    let kinds = &rules.content.missiles;
    kinds.get(usize::from(missile.kind)).unwrap_or(&kinds[0])
}
