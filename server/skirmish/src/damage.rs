//! Damage: shields take it before hulls, and shields recover.
//!
//! There is one way to hurt a craft: the effect [`Damage`], sent to it by its global id. It arrives in the next tick, in
//! the simulation that has the craft then, so that the game is the same with any number of simulations. All damage of a
//! tick is applied together, in the order of victims and attackers, so that which craft destroys which does not depend
//! on the order in which effects arrive.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Hull, Shield};
use skirmish_shared::messages::Hit;
use throng_server::prelude::{EffectReceived, Replicated, Tell, TickTime};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;

use super::bodies::{Bodies, BodyKind};
use super::components::{Attacker, Condition, Craft, Pilot};
use super::content::{Rules, pulse, ticks};
use super::effects::{Damage, EffectSender, log_unsent};
use super::flight::Contacts;

/// Marks a craft as destroyed. Removed with the craft at the end of the tick.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyedBy(
    /// The attacker that dealt the most of the last damage; `None` for an accident.
    pub Option<Attacker>,
);

/// Sends damage for impacts above the safe speed, to both bodies.
pub(super) fn apply_collision_damage(
    contacts: Res<Contacts>,
    bodies: Res<Bodies>,
    mut effects: EffectSender,
    rules: Res<Rules>,
) {
    let space = &rules.content.space;
    for contact in &contacts.0 {
        let rows = [contact.a, contact.b].map(|row| &bodies.rows[row as usize]);
        let too_fast = contact.speed - space.impact_speed.get();
        if too_fast <= 0.0 || rows.iter().any(|row| row.kind == BodyKind::Missile) {
            continue;
        }
        let points = (too_fast * space.impact_damage.get()) as u32;
        // Both simulations see a collision with a ghost. Each sends the damage to its own craft.
        let crafts = rows
            .iter()
            .filter(|row| row.kind == BodyKind::Craft && row.ghost_of.is_none());
        for victim in crafts {
            effects.entity(victim.id, &Damage { by: None, points });
        }
    }
}

/// Damage that has arrived at a craft. Sorts in the order in which damage is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Impact {
    victim: GlobalId,
    entity: Entity,
    damage: Damage,
}

type Victim = (
    &'static Replicated,
    &'static Position,
    &'static mut Hull,
    &'static mut Shield,
    &'static mut Condition,
    Has<Pilot>,
);

/// Applies the damage that has arrived: to the shield first, then to the hull. A craft with no hull left is marked as
/// destroyed.
pub(super) fn take_damage(
    mut commands: Commands,
    mut received: MessageReader<EffectReceived<Damage>>,
    mut crafts: Query<Victim>,
    mut impacts: Local<Vec<Impact>>,
    mut tell: Tell,
    time: Res<TickTime>,
) {
    impacts.clear();
    impacts.extend(
        received
            .read()
            .filter_map(|&EffectReceived { entity, effect, .. }| {
                let victim = crafts.get(entity).ok()?.0.global();
                let damage = effect;
                Some(Impact {
                    victim,
                    entity,
                    damage,
                })
            }),
    );
    impacts.sort_unstable();
    for impacts in impacts.chunk_by(|one, other| one.victim == other.victim) {
        let entity = impacts[0].entity;
        let Ok((_, position, mut hull, mut shield, mut condition, is_pilot)) = crafts.get_mut(entity) else {
            continue;
        };
        if hull.now == 0 || condition.protected_until.is_after(time.tick) {
            continue;
        }
        let points: u32 = impacts.iter().map(|impact| impact.damage.points).sum();
        if points == 0 {
            continue;
        }
        condition.hit_at = time.tick;
        report_hits(&mut tell, impacts, position.0, shield.now, is_pilot);
        let absorbed = points.min(u32::from(shield.now));
        shield.set_if_neq(Shield {
            now: shield.now - absorbed as u16,
            ..*shield
        });
        let through = (points - absorbed).min(u32::from(hull.now)) as u16;
        hull.set_if_neq(Hull {
            now: hull.now - through,
            ..*hull
        });
        if hull.now == 0 {
            commands.entity(entity).insert(DestroyedBy(hardest(impacts)));
        }
    }
}

/// Sends the hits of each attacker on the victim at `position` to all clients in sight. Only hits that a pilot dealt or
/// took are sent: those between thousands of drones would cost more bandwidth than they are worth. The remaining
/// `shield` points absorb the first hits.
fn report_hits(tell: &mut Tell, impacts: &[Impact], position: Vec2, shield: u16, is_pilot: bool) {
    let mut shield = u32::from(shield);
    for dealt in by_attacker(impacts) {
        let Impact { victim, damage, .. } = dealt[0];
        let points = dealt.iter().map(|impact| impact.damage.points).sum();
        let absorbed = shield.min(points);
        shield -= absorbed;
        let hit = Hit {
            victim,
            by: damage.by.map(|by| by.craft),
            damage: points,
            absorbed,
        };
        if is_pilot || damage.by.is_some_and(|by| by.player().is_some()) {
            log_unsent(tell.in_sight(position, &hit));
        }
    }
}

fn by_attacker(impacts: &[Impact]) -> impl Iterator<Item = &[Impact]> {
    impacts.chunk_by(|one, other| one.damage.by == other.damage.by)
}

/// Returns the attacker that dealt the most of this damage to one victim, which is sorted by attacker. Ties go to the
/// lower id. Returns `None` if all of the damage was accidental.
fn hardest(impacts: &[Impact]) -> Option<Attacker> {
    let mut best: Option<(u32, Attacker)> = None;
    for dealt in by_attacker(impacts) {
        let Some(by) = dealt[0].damage.by else {
            continue;
        };
        let sum = dealt.iter().map(|impact| impact.damage.points).sum();
        if best.is_none_or(|(most, _)| sum > most) {
            best = Some((sum, by));
        }
    }
    best.map(|(_, by)| by)
}

/// Recharges shields whose craft has not been hit for the content's waiting time. Each craft is independent.
pub(super) fn recover_shields(
    mut crafts: Query<(&Replicated, Craft, &mut Shield, &Condition)>,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for (replicated, craft, mut shield, condition) in &mut crafts {
        let body = rules.body(craft.model());
        let wait = ticks(body.shield_wait_s.get(), &time);
        if shield.now >= shield.max || time.tick.since(condition.hit_at) < wait as i32 {
            continue;
        }
        if let Some(points) = pulse(body.shield_per_s.get(), replicated.global().0, &time) {
            let now = u32::from(shield.now)
                .saturating_add(points)
                .min(u32::from(shield.max));
            shield.now = now as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::AttackerKind;

    fn attacker(craft: u64) -> Attacker {
        Attacker {
            craft: GlobalId(craft),
            kind: AttackerKind::Drone(0),
        }
    }

    #[test]
    fn kill_goes_to_the_attacker_that_dealt_the_most_damage() {
        let impact = |by: Option<u64>, points| Impact {
            victim: GlobalId(1),
            entity: Entity::PLACEHOLDER,
            damage: Damage {
                by: by.map(attacker),
                points,
            },
        };
        let hardest_of = |mut impacts: Vec<Impact>| {
            impacts.sort_unstable();
            hardest(&impacts)
        };
        assert_eq!(hardest_of(vec![impact(None, 90)]), None);
        assert_eq!(
            hardest_of(vec![impact(None, 90), impact(Some(5), 1)]),
            Some(attacker(5))
        );
        assert_eq!(
            hardest_of(vec![impact(Some(5), 4), impact(Some(3), 6), impact(Some(5), 3)]),
            Some(attacker(5))
        );
        assert_eq!(
            hardest_of(vec![impact(Some(5), 6), impact(Some(3), 6)]),
            Some(attacker(3))
        );
    }
}
