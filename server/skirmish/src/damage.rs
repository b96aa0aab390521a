//! Damage: shields take it before hulls, and shields recover.
//!
//! Damage events are collected during the tick and applied together, in the order of victims and attackers, so that
//! which craft destroys which does not depend on the order of the systems.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Drone, Hull, Shield};
use skirmish_shared::messages::Hit;
use throng_server::prelude::{EffectReceived, Replicated, TickTime};
use throng_shared::protocol::ids::GlobalId;

use super::bodies::{Bodies, BodyKind};
use super::components::{Condition, DestroyedShips, Pilot};
use super::content::{CraftModel, Rules, pulse, ticks};
use super::effects::{RemoteDamage, RemoteEffects};
use super::flight::Contacts;
use super::reports::Hits;

/// Damage from one attacker to one victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DamageEvent {
    /// The craft that is hit.
    pub victim: GlobalId,
    /// The attacker; `None` for an accident.
    pub by: Option<GlobalId>,
    /// Damage in points of shield and hull.
    pub damage: u32,
}

/// The damage events of this tick.
#[derive(Resource, Debug, Default)]
pub struct DamageEvents(pub Vec<DamageEvent>);

/// Marks a craft as destroyed and says by what. Removed with the craft at the end of the tick.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyedBy {
    /// The attacker that dealt the most damage in the last tick; `None` for an accident.
    pub id: Option<GlobalId>,
    /// The kind of attacker, looked up before the attacker may be destroyed in the same tick.
    pub damage_source: DamageSource,
}

/// The cause of a craft's destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageSource {
    /// An accident without an attacker.
    Nobody,
    /// A drone of this breed (an index into the content's breeds).
    Drone(u8),
    /// The ship of this player. The ship may have been destroyed by now.
    Pilot(Entity),
    /// An attacker without an entity here: a drone that was destroyed before its shot hit, or a craft of another
    /// simulation.
    Gone,
}

/// Adds damage for impacts above the safe speed, to both bodies.
pub(super) fn apply_collision_damage(
    contacts: Res<Contacts>,
    bodies: Res<Bodies>,
    mut events: ResMut<DamageEvents>,
    rules: Res<Rules>,
) {
    let space = &rules.content.space;
    for contact in &contacts.0 {
        let rows = [contact.a, contact.b].map(|row| &bodies.rows[row as usize]);
        let too_fast = contact.speed - space.impact_speed.get();
        if too_fast <= 0.0 || rows.iter().any(|row| row.kind == BodyKind::Missile) {
            continue;
        }
        let damage = (too_fast * space.impact_damage.get()) as u32;
        // The simulation that owns a ghost computes the damage to it.
        let crafts = rows
            .iter()
            .filter(|row| row.kind == BodyKind::Craft && row.ghost_of.is_none());
        for victim in crafts {
            events.0.push(DamageEvent {
                victim: victim.id,
                by: None,
                damage,
            });
        }
    }
}

/// Adds damage from other simulations to the events of this tick.
pub(super) fn apply_remote_damage(
    mut received: MessageReader<EffectReceived<RemoteDamage>>,
    crafts: Query<&Replicated, With<Hull>>,
    mut events: ResMut<DamageEvents>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        if let Ok(victim) = crafts.get(*entity) {
            events.0.push(DamageEvent {
                victim: victim.global(),
                by: effect.by,
                damage: effect.damage,
            });
        }
    }
}

/// Applies the damage events: to the shield first, then to the hull. A craft with no hull left is marked as
/// destroyed.
pub(super) fn take_damage(
    mut commands: Commands,
    mut events: ResMut<DamageEvents>,
    bodies: Res<Bodies>,
    mut remote: RemoteEffects,
    mut hits: ResMut<Hits>,
    mut crafts: Query<(&mut Hull, &mut Shield, &mut Condition)>,
    attackers: Query<(Option<&Drone>, Option<&Pilot>)>,
    destroyed_ships: Res<DestroyedShips>,
    time: Res<TickTime>,
) {
    events.0.sort_unstable();
    for events in events.0.chunk_by(|one, other| one.victim == other.victim) {
        let Some(row) = bodies.find(events[0].victim) else {
            continue;
        };
        if bodies.rows[row].ghost_of.is_some() {
            for &DamageEvent { victim, by, damage } in events {
                remote.tell(victim, &RemoteDamage { by, damage });
            }
            continue;
        }
        let entity = bodies.rows[row].entity;
        let Ok((mut hull, mut shield, mut condition)) = crafts.get_mut(entity) else {
            continue;
        };
        if hull.now == 0 || condition.protected_until.is_after(time.tick) {
            continue;
        }
        let damage: u32 = events.iter().map(|event| event.damage).sum();
        if damage == 0 {
            continue;
        }
        condition.hit_at = time.tick;
        note_hits(&mut hits, events, bodies.discs[row].position, shield.now);
        let absorbed = damage.min(u32::from(shield.now));
        shield.set_if_neq(Shield {
            now: shield.now - absorbed as u16,
            ..*shield
        });
        let through = (damage - absorbed).min(u32::from(hull.now)) as u16;
        hull.set_if_neq(Hull {
            now: hull.now - through,
            ..*hull
        });
        if hull.now == 0 {
            let id = hardest(events);
            let damage_source = damage_source(id, &bodies, &attackers, &destroyed_ships);
            commands.entity(entity).insert(DestroyedBy { id, damage_source });
        }
    }
    events.0.clear();
}

/// Records the hits of each attacker on the victim at `position`. The remaining `shield` points absorb the first
/// hits.
fn note_hits(hits: &mut Hits, events: &[DamageEvent], position: Vec2, shield: u16) {
    let mut shield = u32::from(shield);
    for dealt in events.chunk_by(|one, other| one.by == other.by) {
        let damage = dealt.iter().map(|event| event.damage).sum();
        let absorbed = shield.min(damage);
        shield -= absorbed;
        let hit = Hit {
            victim: dealt[0].victim,
            by: dealt[0].by,
            damage,
            absorbed,
        };
        hits.0.push((position, hit));
    }
}

fn damage_source(
    id: Option<GlobalId>,
    bodies: &Bodies,
    attackers: &Query<(Option<&Drone>, Option<&Pilot>)>,
    destroyed_ships: &DestroyedShips,
) -> DamageSource {
    let Some(id) = id else {
        return DamageSource::Nobody;
    };
    let is_local = |row: &usize| bodies.rows[*row].ghost_of.is_none();
    let row = bodies.find(id).filter(is_local);
    match row.and_then(|row| attackers.get(bodies.rows[row].entity).ok()) {
        Some((Some(drone), _)) => DamageSource::Drone(drone.breed),
        Some((_, Some(pilot))) => DamageSource::Pilot(pilot.0),
        _ => destroyed_ships
            .pilot(id)
            .map_or(DamageSource::Gone, DamageSource::Pilot),
    }
}

/// Returns the attacker that dealt the most damage in these events, which are sorted by attacker. Ties go to the
/// lower id. Returns `None` if all of the damage was accidental.
fn hardest(events: &[DamageEvent]) -> Option<GlobalId> {
    let mut best: Option<(u32, GlobalId)> = None;
    for dealt in events.chunk_by(|one, other| one.by == other.by) {
        let Some(by) = dealt[0].by else {
            continue;
        };
        let sum = dealt.iter().map(|event| event.damage).sum();
        if best.is_none_or(|(most, _)| sum > most) {
            best = Some((sum, by));
        }
    }
    best.map(|(_, by)| by)
}

/// Recharges shields whose craft has not been hit for the content's waiting time. Each craft is independent.
pub(super) fn recover_shields(
    mut crafts: Query<(&Replicated, &CraftModel, &mut Shield, &Condition)>,
    rules: Res<Rules>,
    time: Res<TickTime>,
) {
    for (replicated, model, mut shield, condition) in &mut crafts {
        let body = rules.body(*model);
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

    #[test]
    fn kill_goes_to_the_attacker_that_dealt_the_most_damage() {
        let event = |by: Option<u64>, damage| DamageEvent {
            victim: GlobalId(1),
            by: by.map(GlobalId),
            damage,
        };
        let hardest_of = |mut events: Vec<DamageEvent>| {
            events.sort_unstable();
            hardest(&events)
        };
        assert_eq!(hardest_of(vec![event(None, 90)]), None);
        assert_eq!(
            hardest_of(vec![event(None, 90), event(Some(5), 1)]),
            Some(GlobalId(5))
        );
        assert_eq!(
            hardest_of(vec![event(Some(5), 4), event(Some(3), 6), event(Some(5), 3)]),
            Some(GlobalId(5))
        );
        assert_eq!(
            hardest_of(vec![event(Some(5), 6), event(Some(3), 6)]),
            Some(GlobalId(3))
        );
    }
}
