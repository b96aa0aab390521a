//! The score on several simulations: every kill counts once and is paid for once, wherever killer and victim are.

use std::collections::BTreeMap;

use bevy_app::FixedUpdate;
use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::DRONE_TEAMS;
use skirmish_shared::components::{Credits, Hull, Score, Shield, Ship};
use skirmish_shared::movement::heading_towards;
use throng_seeds::seeds;
use throng_server::schedule::ServerSystems;
use throng_server::simulation::{Player, Replicated};
use throng_server::simulations::Simulations;
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::protocol::pose::Heading;
use throng_shared::tick::Tick;

use super::borders::{Process, chessboard};
use crate::bodies::{Bodies, BodyKind};
use crate::components::{Condition, Hangar, Helm, Pilot};
use crate::content::Rules;
use crate::damage::{self, DestroyedBy};
use crate::pilots::turn_towards;
use crate::{death, drones, flight, stations};

/// Ticks after a kill within which its credit arrives, wherever killer and victim are.
const CREDIT_TICKS: u32 = 1;
/// Middle of the region where the pilots start, in units.
const HOME: Vec2 = Vec2::splat(-600.0);

/// One destroyed craft: the victim, its attacker, and whether it was a ship.
#[derive(Clone, Copy, Debug)]
struct Loss {
    victim: GlobalId,
    by: Option<GlobalId>,
    is_ship: bool,
}

/// The crafts destroyed in this simulation in this tick.
#[derive(Resource, Default)]
struct Losses(Vec<Loss>);

/// Turns every pilot towards the nearest enemy, and fires.
fn hunt(
    mut helms: Query<(&Replicated, &Heading, &mut Helm), With<Pilot>>,
    bodies: Res<Bodies>,
    mut found: Local<Vec<u32>>,
) {
    for (replicated, heading, mut helm) in &mut helms {
        let Some(row) = bodies.find(replicated.global()) else {
            continue;
        };
        let (team, from) = (bodies.rows[row].team, bodies.discs[row].position);
        bodies.near(from, 40.0, &mut found);
        let enemies = found.iter().map(|&row| row as usize).filter(|&row| {
            let body = &bodies.rows[row];
            body.kind == BodyKind::Craft && !body.team.is_mate(team)
        });
        let offsets = enemies.map(|row| bodies.discs[row].position - from);
        let nearest = offsets.min_by(|a, b| a.length_squared().total_cmp(&b.length_squared()));
        let direction = nearest.unwrap_or(HOME - from);
        helm.controls.thrust = 1.0;
        helm.controls.turn = turn_towards(heading.0, direction, 0.1);
        (helm.aim, helm.fires, helm.launches) = (heading_towards(direction), true, true);
    }
}

/// Makes every hit deadly, so that two crafts that hit each other in the same tick both die.
fn make_fragile(mut crafts: Query<(&mut Hull, &mut Shield, &mut Condition)>) {
    for (mut hull, mut shield, mut condition) in &mut crafts {
        (hull.now, shield.now, condition.protected_until) = (1, 0, Tick(0));
    }
}

fn note_losses(
    lost: Query<(&Replicated, &DestroyedBy, Has<Ship>)>,
    bodies: Res<Bodies>,
    mut losses: ResMut<Losses>,
) {
    let lost = bodies.rows.iter().filter_map(|body| lost.get(body.entity).ok());
    losses.0 = lost
        .map(|(victim, by, is_ship)| Loss {
            victim: victim.global(),
            by: by.0.map(|by| by.craft),
            is_ship,
        })
        .collect();
}

/// Starts simulations in which pilots and drones fight around one station.
fn battle(simulations: u8, seed: u64) -> Process {
    let mut process = Process::new(&chessboard(simulations, 12.0), 0.0, seed, 0, 0);
    for (app, _) in &mut process.apps {
        app.init_resource::<Losses>().add_systems(
            FixedUpdate,
            (
                hunt.after(drones::think).before(flight::steer_crafts),
                make_fragile
                    .after(stations::repair_ships)
                    .before(damage::take_damage),
                note_losses
                    .after(damage::take_damage)
                    .before(death::despawn_destroyed_drones),
            )
                .in_set(ServerSystems::Simulate),
        );
    }
    (0..24).for_each(|index| process.join(index));
    process.tick();
    let world = process.apps[0].0.world_mut();
    for n in 0..120_u32 {
        let request = drones::RespawnRequest {
            due: Tick(0),
            breed: (n % 2) as u8,
            flock: n / 6 + 1,
            region: 0,
            team: DRONE_TEAMS[n as usize / 6 % DRONE_TEAMS.len()],
        };
        let position = HOME + Vec2::from_angle(n as f32) * (30.0 + n as f32 / 4.0);
        let drone = drones::drone(world.resource::<Rules>(), &request, position, 0.0);
        world.spawn(drone);
    }
    process
}

/// Returns each player's score, and checks that its credits equal its bounties.
fn scores(process: &mut Process) -> BTreeMap<PlayerId, Score> {
    let mut all = BTreeMap::new();
    process.sum(|world| {
        let mut players = world.query_filtered::<(&Player, &Score, &Credits), With<Hangar>>();
        let space = &world.resource::<Rules>().content.space;
        for (player, score, credits) in players.iter(world) {
            let bounties = space.bounties(score);
            assert_eq!(
                u64::from(credits.0),
                bounties,
                "player {}: {score:?}",
                player.id.0
            );
            assert!(
                all.insert(player.id, *score).is_none(),
                "player {} is in two simulations",
                player.id.0
            );
        }
        0
    });
    all
}

/// Returns each ship's pilot and the index of its simulation.
fn ships(process: &mut Process) -> BTreeMap<GlobalId, (PlayerId, usize)> {
    let mut all = BTreeMap::new();
    for (index, (app, _)) in process.apps.iter_mut().enumerate() {
        let world = app.world_mut();
        let mut ships = world.query::<(&Replicated, &Pilot)>();
        for (ship, pilot) in ships.iter(world) {
            let player = world
                .get::<Player>(pilot.0)
                .expect("a ship and its pilot are in the same simulation");
            all.insert(ship.global(), (player.id, index));
        }
    }
    all
}

/// Adds a tick's losses to the scores that are due. Returns how many were dealt across a border, and how many of
/// these by ships that were destroyed in the same tick.
fn tally(
    due: &mut BTreeMap<PlayerId, Score>,
    losses: &[(usize, Loss)],
    flown: &BTreeMap<GlobalId, (PlayerId, usize)>,
) -> (u32, u32) {
    let (mut across, mut late) = (0, 0);
    for &(index, loss) in losses {
        let victim = flown.get(&loss.victim).map(|(player, _)| *player);
        if loss.is_ship {
            due.entry(victim.expect("every ship has a pilot"))
                .or_default()
                .deaths += 1;
        }
        let Some(&(killer, killer_index)) = loss.by.and_then(|by| flown.get(&by)) else {
            continue;
        };
        if victim == Some(killer) {
            continue;
        }
        if killer_index != index {
            across += 1;
            late += u32::from(losses.iter().any(|(_, other)| Some(other.victim) == loss.by));
        }
        let score = due.entry(killer).or_default();
        if loss.is_ship {
            score.kills += 1;
        } else {
            score.drones += 1;
        }
    }
    (across, late)
}

/// Returns whether every number of `one` is at most that of `other`.
fn within(one: Score, other: Score) -> bool {
    one.kills <= other.kills && one.deaths <= other.deaths && one.drones <= other.drones
}

#[test]
fn kill_credit_is_given_once_wherever_killer_and_victim_are() {
    let (mut across, mut late, mut battles) = (0, 0, 0);
    for (simulations, seed) in seeds([(4, 3), (1, 1), (2, 2), (2, 4), (4, 5), (4, 6)], 1) {
        battles += u32::from(simulations > 1);
        let mut process = battle(simulations, seed);
        let mut flown = ships(&mut process);
        let mut due: Vec<BTreeMap<PlayerId, Score>> = vec![BTreeMap::new()];
        for _ in 0..300 {
            process.tick();
            flown.extend(ships(&mut process));
            let mut losses = Vec::new();
            for (index, (app, _)) in process.apps.iter_mut().enumerate() {
                let local = std::mem::take(&mut app.world_mut().resource_mut::<Losses>().0);
                losses.extend(local.into_iter().map(|loss| (index, loss)));
            }
            let mut now = due.last().expect("there is one map for each tick").clone();
            let counts = tally(&mut now, &losses, &flown);
            (across, late) = (across + counts.0, late + counts.1);
            due.push(now);
            let credited = due.len().saturating_sub(1 + CREDIT_TICKS as usize);
            for (player, score) in scores(&mut process) {
                let score = Score { ore: 0, ..score };
                let of = |tick: usize| due[tick].get(&player).copied().unwrap_or_default();
                let (least, most) = (of(credited), of(due.len() - 1));
                assert!(
                    within(least, score) && within(score, most),
                    "seed {seed}, {simulations} simulations, tick {}, player {}: {score:?} is not from {least:?} \
                     to {most:?}",
                    process.tick,
                    player.0
                );
            }
        }
        let last = due.last().expect("there is one map for each tick");
        let kills: u32 = last.values().map(|score| score.kills).sum();
        let drones: u32 = last.values().map(|score| score.drones).sum();
        assert!(
            kills > 20 && drones > 20,
            "seed {seed}: {kills} ships, {drones} drones"
        );
        let failed = process.sum(|world| {
            let simulations = world.get_resource::<Simulations>();
            simulations.map_or(0, |simulations| simulations.counters().failed)
        });
        assert_eq!(failed, 0, "seed {seed}");
    }
    assert!(
        across > 20 * battles,
        "only {across} kills across a border in {battles} battles"
    );
    assert!(
        late > battles,
        "only {late} kills by ships that were destroyed in the same tick in {battles} battles"
    );
}
