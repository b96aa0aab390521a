//! Pilots: their teams, names and ships, and the inputs that steer the ships.

use std::collections::BTreeSet;
use std::f32::consts::{PI, TAU};

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::PILOT_TEAMS;
use skirmish_shared::chat::{ChatNotice, clean};
use skirmish_shared::components::{Callsign, Cargo, Credits, Score};
use skirmish_shared::input::PilotInput;
use skirmish_shared::movement::{heading_towards, wrap};
use throng_server::prelude::{
    ActiveInput, Avatar, Away, Owner, PeerKind, Player, PlayerJoined, PlayerLeft, PlayerReturned, Seed,
    Simulations, Team, Tell, TickTime, Viewer,
};
use throng_shared::limits::PLAYER_NAME_BYTES_MAX;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Position, YAW_STEPS};

use super::bodies::{Bodies, BodyKind};
use super::chat::ChatLimiter;
use super::components::{Hangar, Helm, Pilot};
use super::content::{Rules, ticks};
use super::crafts::Loadout;
use super::effects::log_unsent;
use super::mining::{Wreck, Wrecks};
use super::roster::{Roster, name_key};
use super::standings::Rank;

/// Pilots who join one after the other, of both teams, and start at the same station: few enough to find room, many
/// enough to meet.
const HOME_CROWD: u32 = 32;

/// Index of the class with which pilots start, also after the loss of a better ship.
const FREE_CLASS: u8 = 0;

/// Positions that are tried for a new ship, each a little farther out than the one before.
const LAUNCH_ATTEMPTS: u32 = 24;
/// Share of a region's radius beyond which no ship starts.
const LAUNCH_SHARE: f32 = 0.75;
/// Wanted distance between a new ship and the next craft, in units.
const LAUNCH_GAP: f32 = 12.0;

/// Despawns the ships of players who left for good. Their ore stays as rocks. The ship of a pilot who is away stays in
/// space, where it drifts and can be shot.
pub(super) fn release_pilots(
    mut left: MessageReader<PlayerLeft>,
    mut commands: Commands,
    mut wrecks: ResMut<Wrecks>,
    ships: Query<(&Position, &Cargo)>,
) {
    for ship in left.read().filter_map(|left| left.avatar) {
        if let Ok((position, cargo)) = ships.get(ship) {
            wrecks.0.push(Wreck {
                at: position.0,
                ore: cargo.0,
            });
            commands.entity(ship).despawn();
        }
    }
}

/// Gives new players a team, a name, a view and, in the same tick, a ship.
pub(super) fn equip_pilots(
    mut joined: MessageReader<PlayerJoined>,
    mut commands: Commands,
    players: Query<&Player>,
    present: Query<(&Team, &Callsign), With<Hangar>>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    simulations: Option<Res<Simulations>>,
    roster: Res<Roster>,
    mut tell: Tell,
) {
    if joined.is_empty() {
        return;
    }
    let mut strengths =
        PILOT_TEAMS.map(|team| (present.iter().filter(|present| present.0.0 == team).count(), team));
    let mut taken: BTreeSet<String> = present.iter().map(|(_, name)| name_key(&name.0)).collect();
    if let Some(simulations) = &simulations {
        let elsewhere = roster.elsewhere(simulations.me());
        taken.extend(elsewhere.map(|entry| name_key(&entry.standing.name)));
    }
    for joined in joined.read() {
        // A session can end in the tick in which it began, and a stock renet peer does not play.
        if joined.player.kind != PeerKind::Throng || !players.contains(joined.entity) {
            continue;
        }
        // With several simulations, no simulation knows all pilots, so pilots alternate between the teams by their ids.
        let smaller = simulations.as_ref().map_or_else(
            || usize::from(strengths[1].0 < strengths[0].0),
            |simulations| {
                let nth = (joined.player.id.0 - 1) / u32::from(simulations.partition().simulations());
                nth as usize % PILOT_TEAMS.len()
            },
        );
        strengths[smaller].0 += 1;
        let team = strengths[smaller].1;
        let name = callsign(joined.player.name.as_str(), &mut taken);
        let radius = rules.content.space.view.get();
        let hangar = Hangar {
            next_ship: Some(time.tick),
        };
        commands.entity(joined.entity).insert((
            (Team(team), Viewer { radius }, hangar, Callsign(name.clone())),
            (Score::default(), Credits::default()),
            (ChatLimiter::default(), Rank::default()),
        ));
        rules.announce(&mut tell, &joined.player);
        log_unsent(tell.player(&joined.player, &ChatNotice::Welcome { name, team }));
    }
}

/// Sends pilots who returned what they were sent when they joined.
pub(super) fn greet_returned_pilots(
    mut returned: MessageReader<PlayerReturned>,
    mut pilots: Query<(&Player, &Callsign, &Team, &mut Rank)>,
    rules: Res<Rules>,
    mut tell: Tell,
) {
    for returned in returned.read() {
        let Ok((player, name, team, mut rank)) = pilots.get_mut(returned.entity) else {
            continue;
        };
        rules.announce(&mut tell, player);
        let (name, team) = (name.0.clone(), team.0);
        log_unsent(tell.player(player, &ChatNotice::Welcome { name, team }));
        rank.forget_sent();
    }
}

/// Returns a name like `wanted` that is not in `taken`, and adds it there.
fn callsign(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let mut base = clean(wanted);
    if base.is_empty() {
        "Pilot".clone_into(&mut base);
    }
    let mut name = base.clone();
    let mut number = 1;
    while !taken.insert(name_key(&name)) {
        number += 1;
        let suffix = format!("-{number}");
        let room = base.floor_char_boundary(PLAYER_NAME_BYTES_MAX - suffix.len());
        name = format!("{}{suffix}", &base[..room]);
    }
    name
}

type WaitingPilot = (
    Entity,
    &'static Player,
    &'static Callsign,
    &'static Team,
    &'static mut Hangar,
    &'static Score,
    &'static Credits,
);

/// Spawns the ships that are due, in the order of player ids. A pilot who is away gets a ship on the return.
pub(super) fn give_ships(
    mut commands: Commands,
    mut players: Query<WaitingPilot, Without<Away>>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    let is_due = |hangar: &Hangar| hangar.next_ship.is_some_and(|tick| time.tick.since(tick) >= 0);
    let mut waiting: Vec<_> = players
        .iter_mut()
        .filter(|(.., hangar, _, _)| is_due(hangar))
        .collect();
    waiting.sort_unstable_by_key(|(_, player, ..)| player.id);
    // Ships spawned in this tick are not among the bodies yet.
    let mut launched = Vec::new();
    for (entity, player, name, team, mut hangar, score, credits) in waiting {
        hangar.next_ship = None;
        let (position, heading) = launch_position(&bodies, &launched, &rules, *seed, player, &time);
        launched.push(position);
        let loadout = Loadout {
            class: FREE_CLASS,
            place: position,
            heading,
            team: team.0,
            protected_until: time.tick + ticks(rules.content.space.protected_s.get(), &time),
        };
        let ship = commands.spawn(loadout.ship(&rules)).id();
        let owned = (Owner(player.id), Pilot(entity), name.clone(), *score, *credits);
        commands.entity(ship).insert(owned);
        commands.entity(entity).insert(Avatar(ship));
    }
}

/// Returns a position at the station of the pilot's region, and the heading away from it. If it is crowded, ships
/// start farther out: many ships in one view cost every client bandwidth, and leave no room to fight.
fn launch_position(
    bodies: &Bodies,
    launched: &[Vec2],
    rules: &Rules,
    seed: Seed,
    player: &Player,
    time: &TickTime,
) -> (Vec2, f32) {
    let space = &rules.content.space;
    let region = &space.regions[(player.id.0 / HOME_CROWD) as usize % space.regions.len()];
    let mut random = seed.of(GlobalId(u64::from(player.id.0) << 32), time.tick);
    let (station, berth) = (space.station_radius.get(), space.dock.get());
    let outskirts = (region.radius.get() * LAUNCH_SHARE - station - berth).max(0.0);
    let mut found = Vec::new();
    let (mut position, mut angle) = (Vec2::ZERO, 0.0);
    for attempt in 0..LAUNCH_ATTEMPTS {
        angle = random.within(-PI, PI);
        let out = station + random.within(0.4, 1.0) * berth;
        let out = out + outskirts * attempt as f32 / LAUNCH_ATTEMPTS as f32;
        let (sine, cosine) = libm::sincosf(angle);
        position = Vec2::new(region.at.0 + cosine * out, region.at.1 + sine * out);
        bodies.near(position, LAUNCH_GAP, &mut found);
        let is_in_the_way = |&row: &u32| {
            let row = row as usize;
            let gap = bodies.discs[row].position.distance(position) - bodies.discs[row].radius;
            bodies.rows[row].kind == BodyKind::Craft || gap < 3.0
        };
        let is_crowded = found.iter().any(is_in_the_way)
            || launched.iter().any(|other| other.distance(position) < LAUNCH_GAP);
        if !is_crowded {
            break;
        }
    }
    (position, angle)
}

/// Copies the pilots' inputs to their ships. Each player has one ship and each ship one player, so the order does not
/// matter.
pub(super) fn read_inputs(
    players: Query<(&Avatar, &ActiveInput<PilotInput>)>,
    mut ships: Query<&mut Helm, With<Pilot>>,
) {
    for (avatar, active) in &players {
        if let Ok(mut helm) = ships.get_mut(avatar.0) {
            let input = &active.input;
            *helm = Helm {
                controls: input.controls(),
                aim: wrap(f32::from(input.aim) * (TAU / f32::from(YAW_STEPS))),
                fires: input.holds(PilotInput::FIRE),
                launches: input.holds(PilotInput::LAUNCH),
                mines: input.holds(PilotInput::MINE),
                seen_at: super::rewind::seen_at(active),
            };
        }
    }
}

/// Returns the direction of the guns: `aim`, limited to `arc` on either side of the heading. All in radians.
#[must_use]
pub fn gun_direction(heading: f32, aim: f32, arc: f32) -> f32 {
    let off = wrap(aim - heading).clamp(-arc, arc);
    wrap(heading + off)
}

/// Returns the turn input, -1 to 1, that brings a heading towards a direction within one tick.
#[must_use]
pub fn turn_towards(heading: f32, direction: Vec2, turn_per_tick: f32) -> f32 {
    if direction == Vec2::ZERO {
        return 0.0;
    }
    (wrap(heading_towards(direction) - heading) / turn_per_tick).clamp(-1.0, 1.0)
}
