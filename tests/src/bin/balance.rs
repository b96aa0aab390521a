//! How Skirmish plays: duels of all classes and a match in the default world, flown by pilots in memory. Prints
//! the tables of `docs/skirmish.md`. The same seeds print the same tables.
//!
//! Run with `cargo run --release -p throng-tests --bin balance`.

#![expect(clippy::print_stdout, reason = "this program's output is its result")]

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_server::local::LocalPlayer;
use throng_server::runner::TickTime;
use throng_server::simulation::{Avatar, Player};
use throng_server::skirmish::content::Rules;
use throng_server::skirmish::pilots::Hangar;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::skirmish::components::{Hull, Score, Shield};
use throng_tests::pilots::matches::Match;
use throng_tests::pilots::{Mode, Pilot};

/// Ticks a second.
const HZ: u32 = 20;
/// Duels of each pair of classes.
const DUELS: u64 = 12;
/// The longest that a duel lasts, in seconds.
const DUEL_S: u32 = 60;
/// Between the two at the start, in units.
const APART: f32 = 45.0;
/// Pilots of the match, and how long it lasts, in seconds.
const PILOTS: u64 = 64;
const MATCH_S: u32 = 180;

fn main() {
    let rules = Rules::built_in();
    let names: Vec<&str> = rules
        .content
        .ships
        .iter()
        .map(|class| class.name.as_str())
        .collect();
    println!(
        "| duel | won by the first | seconds from the first hit to the end | undecided |\n|---|---|---|---|"
    );
    for (a, first) in names.iter().enumerate() {
        for (b, second) in names.iter().enumerate().skip(a) {
            let ends: Vec<_> = (0..DUELS).map(|seed| duel(seed, [a as u8, b as u8])).collect();
            let decided: Vec<_> = ends.iter().flatten().collect();
            let won = decided.iter().filter(|(winner, _)| *winner == 0).count();
            let mut seconds: Vec<f32> = decided.iter().map(|(_, seconds)| *seconds).collect();
            seconds.sort_by(f32::total_cmp);
            let at = |share: usize| seconds.get((seconds.len().max(1) - 1) * share / 100).copied();
            println!(
                "| {first} - {second} | {won} of {} | {:.1} ({:.1} to {:.1}) | {} |",
                decided.len(),
                at(50).unwrap_or(f32::NAN),
                at(0).unwrap_or(f32::NAN),
                at(100).unwrap_or(f32::NAN),
                ends.len() - decided.len(),
            );
        }
    }
    println!();
    play_match();
}

/// Who won, and how long it took from the first hit; none when nobody was destroyed.
fn duel(seed: u64, classes: [u8; 2]) -> Option<(usize, f32)> {
    let hunters = (0..2).map(|n| Pilot::hunter(seed * 2 + n)).collect();
    let mut played = Match::new(seed, hunters, 0, 0);
    let players = [played.pilots[0].0, played.pilots[1].0];
    for (n, (&player, class)) in players.iter().zip(classes).enumerate() {
        change_ship(&mut played, player, class);
        played.tick();
        let side = if n == 0 { 1.0 } else { -1.0 };
        line_up(&mut played, player, side);
    }
    let whole = players.map(|player| strength(&mut played, player));
    let mut began = None;
    for tick in 0..DUEL_S * HZ {
        played.tick();
        let left = players.map(|player| strength(&mut played, player));
        if began.is_none() && left != whole {
            began = Some(tick);
        }
        let lost = left.iter().position(Option::is_none);
        if let (Some(lost), Some(began)) = (lost, began) {
            return Some((1 - lost, (tick - began) as f32 / HZ as f32));
        }
    }
    None
}

/// Gives a player a new ship of a class in the next tick.
fn change_ship(played: &mut Match, player: LocalPlayer, class: u8) {
    let entity = played.game.player(player).expect("it plays");
    let world = played.game.server();
    let next_ship = Some(world.resource::<TickTime>().tick);
    if let Some(Avatar(ship)) = world.entity_mut(entity).take::<Avatar>() {
        world.despawn(ship);
    }
    world.entity_mut(entity).insert(Hangar { class, next_ship });
}

/// Puts a player's ship to its start, its bow on the other's, which is as far on the other side.
fn line_up(played: &mut Match, player: LocalPlayer, side: f32) {
    let ship = ship(played, player).expect("it has a ship");
    let place = Vec2::new(side * APART * 0.5, side * 3.0);
    let heading = (-place).to_angle();
    let bow = (Position(place), Heading(heading), Velocity(Vec2::ZERO));
    played.game.server().entity_mut(ship).insert(bow);
}

fn ship(played: &mut Match, player: LocalPlayer) -> Option<Entity> {
    let entity = played.game.player(player)?;
    let world = played.game.server();
    let ship = world.get::<Avatar>(entity)?.0;
    world.get_entity(ship).is_ok().then_some(ship)
}

/// Hull and shield points; none once it is destroyed.
fn strength(played: &mut Match, player: LocalPlayer) -> Option<u32> {
    let ship = ship(played, player)?;
    let world = played.game.server();
    let (hull, shield) = (world.get::<Hull>(ship)?.now, world.get::<Shield>(ship)?.now);
    (hull > 0).then_some(u32::from(hull) + u32::from(shield))
}

/// The default world with pilots of all kinds.
fn play_match() {
    let pilots = (0..PILOTS).map(|n| Pilot::new(7 ^ (n << 32))).collect();
    let mut played = Match::new(7, pilots, 2_000, 5_000);
    let mut modes = [0_u64; 5];
    let mut first_fight = vec![None; PILOTS as usize];
    for tick in 0..MATCH_S * HZ {
        played.tick();
        for (first, (_, pilot)) in first_fight.iter_mut().zip(&played.pilots) {
            modes[match pilot.mode() {
                Mode::Roam(_) => 0,
                Mode::Mine(_) => 1,
                Mode::Fight(_) => 2,
                Mode::Flee => 3,
                Mode::Sell => 4,
            }] += 1;
            let has_fought = pilot.deeds().hits + pilot.deeds().wounds > 0;
            if has_fought && first.is_none() {
                *first = Some(tick);
            }
        }
    }
    let deeds = played.deeds();
    let world = played.game.server();
    let mut scores = world.query_filtered::<&Score, With<Player>>();
    let (mut drones, mut ore) = (0, 0);
    for score in scores.iter(world) {
        drones += u64::from(score.drones);
        ore += u64::from(score.ore);
    }
    let minutes = (PILOTS * u64::from(MATCH_S)) as f64 / 60.0;
    let rate = |count: u64| count as f64 / minutes;
    let shares = modes.map(|ticks| 100.0 * ticks as f64 / (PILOTS * u64::from(MATCH_S * HZ)) as f64);
    let mut first: Vec<f32> = first_fight
        .iter()
        .flatten()
        .map(|&tick| tick as f32 / HZ as f32)
        .collect();
    first.sort_by(f32::total_cmp);
    println!("| {PILOTS} pilots, {MATCH_S} s, the default world | |\n|---|---|");
    println!(
        "| seconds to the first shot that hits, median | {:.0} |",
        first.get(first.len() / 2).unwrap_or(&f32::NAN)
    );
    println!("| fights begun, a pilot and minute | {:.1} |", rate(deeds.fights));
    println!(
        "| hits dealt and taken | {:.1}, {:.1} |",
        rate(deeds.hits),
        rate(deeds.wounds)
    );
    println!(
        "| pilots and drones destroyed | {:.2}, {:.1} |",
        rate(deeds.kills),
        rate(drones)
    );
    println!("| lives lost | {:.2} |", rate(deeds.deaths));
    println!("| ore sold | {:.0} |", rate(ore));
    println!(
        "| time spent roaming, mining, fighting, fleeing, selling | {:.0} %, {:.0} %, {:.0} %, {:.0} %, {:.0} % |",
        shares[0], shares[1], shares[2], shares[3], shares[4]
    );
}
