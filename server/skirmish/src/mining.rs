//! Ore: from asteroids into cargo holds and to stations. No ore is created or lost on the way.

use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Asteroid, Cargo, Ore, Ship};
use skirmish_shared::content::SpaceContent;
use skirmish_shared::movement::heading_of;
use throng_server::prelude::{
    EffectReceived, EffectReturned, Importance, Random, Replicated, Seed, TickTime,
};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::tick::Tick;

use super::bodies::{Bodies, BodyKind};
use super::components::{Helm, Mass};
use super::content::{Rules, pulse, ticks};
use super::effects::{Dig, Dug, EffectSender};
use super::positions;

/// Seconds until an asteroid that was mined out is replaced by another one elsewhere.
const REPLACED_AFTER_S: f32 = 20.0;
/// Cosine of the half angle ahead of a ship in which it mines.
const MINING_COSINE: f32 = 0.8;

/// The balance of all ore since the start: `seeded` ore is in asteroids, in holds, `sold`, or, with several
/// simulations, for a tick or two in transit: `shipped` but not yet `landed`.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OreLedger {
    /// Ore that asteroids were spawned with.
    pub seeded: u64,
    /// Ore that stations bought.
    pub sold: u64,
    /// Ore that ships of other simulations mined here.
    pub shipped: u64,
    /// Ore that arrived from other simulations, or was returned by them.
    pub landed: u64,
    /// Ticks at which replacement asteroids are due, in the order in which asteroids were mined out.
    pub due: Vec<Tick>,
    /// Number of asteroids that were ever spawned as replacements.
    pub born: u64,
}

/// Ore left behind by a craft.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wreck {
    /// Position, in units.
    pub at: Vec2,
    /// Ore, in units of cargo.
    pub ore: u32,
}

/// The wrecks of this tick, which become rocks at its end.
#[derive(Resource, Debug, Default)]
pub struct Wrecks(pub Vec<Wreck>);

/// Returns an asteroid of `radius` units with this much ore.
pub(super) fn rock(position: Vec2, radius: f32, ore: u32) -> impl Bundle {
    let radius_10 = (radius * 10.0).round().clamp(1.0, 255.0) as u8;
    let radius = f32::from(radius_10) * 0.1;
    let mass = Mass {
        radius,
        inverse: 1.0 / (10.0 * radius * radius),
    };
    let seen = (Asteroid { radius_10 }, Ore(ore), Importance(1));
    (mass, seen, Position(position), Replicated::default())
}

/// Returns a new asteroid at `position`, and adds its ore to the ledger.
pub(super) fn born(
    ledger: &mut OreLedger,
    space: &SpaceContent,
    position: Vec2,
    random: &mut Random,
) -> impl Bundle + use<> {
    let (small, large) = space.asteroid_radius;
    // Most are small.
    let share = random.within(0.0, 1.0);
    let radius = small.get() + (large.get() - small.get()) * share * share;
    let ore = (space.ore.get() * radius * radius).round().max(1.0) as u32;
    ledger.seeded += u64::from(ore);
    rock(position, radius, ore)
}

/// Spawns new asteroids for those that were mined out.
pub(super) fn replace_asteroids(
    mut commands: Commands,
    mut ledger: ResMut<OreLedger>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    while ledger.due.first().is_some_and(|due| time.tick.since(*due) >= 0) {
        ledger.due.remove(0);
        ledger.born += 1;
        let mut random = seed.of(GlobalId(positions::ROCKS | ledger.born), time.tick);
        let region = random.bits() as usize % rules.content.space.regions.len();
        let position = positions::free_place(&bodies, &rules.content.space, region, 5.0, &mut random);
        commands.spawn(born(&mut ledger, &rules.content.space, position, &mut random));
    }
}

/// Mines the asteroids ahead of ships that want to, in the order of ids, as far as there is ore and room for it.
pub(super) fn mine_asteroids(
    mut commands: Commands,
    mut ships: Query<(&Ship, &Helm, &mut Cargo)>,
    mut asteroids: Query<&mut Ore>,
    bodies: Res<Bodies>,
    mut effects: EffectSender,
    mut ledger: ResMut<OreLedger>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut found: Local<Vec<u32>>,
) {
    for (row, body) in bodies.rows.iter().enumerate() {
        if body.kind != BodyKind::Craft {
            continue;
        }
        let Ok((ship, helm, mut cargo)) = ships.get_mut(body.entity) else {
            continue;
        };
        let class = rules.class(ship.class);
        let Some(amount) = pulse(class.mining_per_s.get(), body.id.0, &time).filter(|_| helm.mines) else {
            continue;
        };
        let Some(rock) = rock_ahead(
            &bodies,
            row,
            rules.content.space.mining_range.get(),
            &asteroids,
            &mut found,
        ) else {
            continue;
        };
        let amount = amount.min(class.cargo.saturating_sub(cargo.0));
        if amount == 0 {
            continue;
        }
        let rock = &bodies.rows[rock];
        if rock.ghost_of.is_some() {
            effects.entity(rock.id, &Dig { by: body.id, amount });
        } else if let Ok(mut ore) = asteroids.get_mut(rock.entity) {
            cargo.0 += dig(&mut commands, &mut ledger, &time, rock.entity, &mut ore, amount);
        }
    }
}

/// Takes up to `amount` of ore out of an asteroid, and despawns it when it is empty. Returns the amount taken.
fn dig(
    commands: &mut Commands,
    ledger: &mut OreLedger,
    time: &TickTime,
    asteroid: Entity,
    ore: &mut Ore,
    amount: u32,
) -> u32 {
    let mined = amount.min(ore.0);
    ore.0 -= mined;
    if mined > 0 && ore.0 == 0 {
        commands.entity(asteroid).despawn();
        ledger.due.push(time.tick + ticks(REPLACED_AFTER_S, time));
    }
    mined
}

/// Mines for ships of other simulations, after the ships of this one, and sends them the ore.
pub(super) fn ship_ore(
    mut received: MessageReader<EffectReceived<Dig>>,
    mut commands: Commands,
    mut asteroids: Query<(&mut Ore, &Position)>,
    mut ledger: ResMut<OreLedger>,
    mut effects: EffectSender,
    time: Res<TickTime>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        let Ok((mut ore, position)) = asteroids.get_mut(*entity) else {
            continue;
        };
        let mined = dig(
            &mut commands,
            &mut ledger,
            &time,
            *entity,
            &mut ore,
            effect.amount,
        );
        if mined > 0 {
            ledger.shipped += u64::from(mined);
            effects.entity(
                effect.by,
                &Dug {
                    ore: mined,
                    at: position.0,
                },
            );
        }
    }
}

/// Stows ore that was mined in another simulation. Ore that does not fit the hold is dropped at the ship. Ore for a
/// ship that no longer exists is dropped where it was mined.
pub(super) fn stow_ore(
    mut received: MessageReader<EffectReceived<Dug>>,
    mut returned: MessageReader<EffectReturned<Dug>>,
    mut ships: Query<(&Ship, &mut Cargo, &Position)>,
    mut ledger: ResMut<OreLedger>,
    mut wrecks: ResMut<Wrecks>,
    rules: Res<Rules>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        let Dug { mut ore, mut at } = *effect;
        ledger.landed += u64::from(ore);
        if let Ok((ship, mut cargo, position)) = ships.get_mut(*entity) {
            let room = rules.class(ship.class).cargo.saturating_sub(cargo.0);
            let stowed = ore.min(room);
            cargo.0 += stowed;
            (ore, at) = (ore - stowed, position.0);
        }
        wrecks.0.push(Wreck { at, ore });
    }
    for EffectReturned { effect, .. } in returned.read() {
        let Dug { ore, at } = *effect;
        ledger.landed += u64::from(ore);
        wrecks.0.push(Wreck { at, ore });
    }
}

/// Turns the wrecks of this tick into rocks.
pub(super) fn leave_wrecks(mut commands: Commands, mut wrecks: ResMut<Wrecks>) {
    for wreck in wrecks.0.drain(..).filter(|wreck| wreck.ore > 0) {
        commands.spawn(rock(wreck.at, 0.6, wreck.ore));
    }
}

/// Returns the row of the nearest asteroid ahead that has ore, by the gap to its surface. Ties go to the lower row.
fn rock_ahead(
    bodies: &Bodies,
    row: usize,
    range: f32,
    asteroids: &Query<&mut Ore>,
    found: &mut Vec<u32>,
) -> Option<usize> {
    let from = bodies.discs[row].position;
    let ahead = heading_of(bodies.rows[row].heading);
    bodies.near(from, range, found);
    let mut nearest: Option<(f32, usize)> = None;
    for &other in &*found {
        let other = other as usize;
        let to = bodies.discs[other].position - from;
        // The ghost of an asteroid has ore as long as the ghost exists.
        let has_ore = || {
            let ore = asteroids.get(bodies.rows[other].entity);
            bodies.rows[other].ghost_of.is_some() || ore.is_ok_and(|ore| ore.0 > 0)
        };
        if bodies.rows[other].kind != BodyKind::Asteroid
            || to.dot(ahead) < to.length() * MINING_COSINE
            || !has_ore()
        {
            continue;
        }
        let distance = to.length() - bodies.discs[other].radius;
        if nearest.is_none_or(|(best, _)| distance < best) {
            nearest = Some((distance, other));
        }
    }
    nearest.map(|(_, rock)| rock)
}
