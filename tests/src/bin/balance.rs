//! Measures Skirmish's balance: bot pilots fight duels of all classes and a match in the default world, in memory.
//! Prints the tables of `docs/skirmish.md`. The same seeds and the same content print the same tables.
//!
//! Run with `cargo run --release -p throng-tests --bin balance`; see `--help`.

use std::io::{self, Write};

use anyhow::Context;
use bevy_ecs::prelude::*;
use clap::Parser;
use glam::Vec2;
use skirmish_server::SkirmishPlugin;
use skirmish_server::components::Hangar;
use skirmish_server::content::{Rules, Sources};
use skirmish_server::crafts::ShipStats;
use skirmish_shared::components::{Hull, Score, Shield};
use throng_local::LocalPlayer;
use throng_server::runner::TickTime;
use throng_server::simulation::{Avatar, ContentSource};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_tests::balance_flags::BalanceFlags;
use throng_tests::pilots::matches::Match;
use throng_tests::pilots::{BotPilot, PilotMode};

/// Number of ticks a second.
const HZ: u32 = 20;
/// The longest duration of a duel, in seconds.
const DUEL_S: u32 = 90;
/// Distance between the two ships at the start, in units.
const APART: f32 = 45.0;
/// Seed of the match with all pilots.
const SEED: u64 = 7;

fn main() -> anyhow::Result<()> {
    let flags = BalanceFlags::parse();
    let sources = match &flags.content {
        Some(folder) => Sources::read(folder)?,
        None => Sources::built_in(),
    };
    let rules = sources.rules().context("the content is invalid")?;
    print_duels(&rules, flags.duels)?;
    if flags.pilots > 0 {
        writeln!(io::stdout())?;
        play_match(&rules, flags.pilots, flags.seconds)?;
    }
    Ok(())
}

/// Returns the game with this content.
fn game(rules: &Rules, drones: u32, asteroids: u32) -> SkirmishPlugin {
    SkirmishPlugin {
        content: ContentSource::Texts(rules.files.0.to_vec()),
        ..SkirmishPlugin::new(drones, asteroids)
    }
}

fn print_duels(rules: &Rules, duels: u64) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(
        out,
        "| duel | won by the first | seconds from the first hit to the end | undecided |\n|---|---|---|---|"
    )?;
    let classes = &rules.content.ships;
    for (a, first) in classes.iter().enumerate() {
        for (b, second) in classes.iter().enumerate().skip(a) {
            let ends: Vec<_> = (0..duels)
                .map(|seed| duel(rules, seed, [a as u8, b as u8]))
                .collect();
            let decided: Vec<_> = ends.iter().flatten().collect();
            let won = decided.iter().filter(|(winner, _)| *winner == 0).count();
            let mut seconds: Vec<f32> = decided.iter().map(|(_, seconds)| *seconds).collect();
            seconds.sort_by(f32::total_cmp);
            let quantile = |share: usize| seconds.get((seconds.len().max(1) - 1) * share / 100).copied();
            writeln!(
                out,
                "| {} - {} | {won} of {} | {:.0} ({:.0} to {:.0}) | {} |",
                first.name,
                second.name,
                decided.len(),
                quantile(50).unwrap_or(f32::NAN),
                quantile(10).unwrap_or(f32::NAN),
                quantile(90).unwrap_or(f32::NAN),
                ends.len() - decided.len(),
            )?;
        }
    }
    Ok(())
}

/// Runs a duel. Returns the winner and the seconds from the first hit, or `None` if no ship was destroyed.
fn duel(rules: &Rules, seed: u64, classes: [u8; 2]) -> Option<(usize, f32)> {
    let duellists = (0..2).map(|n| BotPilot::duellist(seed * 2 + n)).collect();
    let mut played = Match::of(seed, duellists, game(rules, 0, 0));
    let players = [played.pilots[0].0, played.pilots[1].0];
    for (n, (&player, class)) in players.iter().zip(classes).enumerate() {
        replace_ship(&mut played, player);
        played.tick();
        let side = if n == 0 { 1.0 } else { -1.0 };
        line_up(&mut played, player, side, ShipStats::of(rules, class));
    }
    let full = players.map(|player| strength(&mut played, player));
    let mut began = None;
    for tick in 0..DUEL_S * HZ {
        played.tick();
        let left = players.map(|player| strength(&mut played, player));
        if began.is_none() && left != full {
            began = Some(tick);
        }
        let lost = left.iter().position(Option::is_none);
        if let (Some(lost), Some(began)) = (lost, began) {
            return Some((1 - lost, (tick - began) as f32 / HZ as f32));
        }
    }
    None
}

/// Gives a player a new ship in the next tick.
fn replace_ship(played: &mut Match, player: LocalPlayer) {
    let entity = played.game.player(player).expect("it plays");
    let world = played.game.server();
    let next_ship = Some(world.resource::<TickTime>().tick);
    if let Some(Avatar(ship)) = world.entity_mut(entity).take::<Avatar>() {
        world.despawn(ship);
    }
    world.entity_mut(entity).insert(Hangar { next_ship });
}

/// Makes a player's ship one of a class and moves it to its start, with its bow towards the other ship on the opposite side.
fn line_up(played: &mut Match, player: LocalPlayer, side: f32, stats: ShipStats) {
    let ship = ship(played, player).expect("it has a ship");
    let position = Vec2::new(side * APART * 0.5, side * 3.0);
    let heading = (-position).to_angle();
    let bow = (Position(position), Heading(heading), Velocity(Vec2::ZERO));
    played.game.server().entity_mut(ship).insert((bow, stats));
}

fn ship(played: &mut Match, player: LocalPlayer) -> Option<Entity> {
    let entity = played.game.player(player)?;
    let world = played.game.server();
    let ship = world.get::<Avatar>(entity)?.0;
    world.get_entity(ship).is_ok().then_some(ship)
}

/// Returns the hull and shield points of a player's ship, or `None` if it is destroyed.
fn strength(played: &mut Match, player: LocalPlayer) -> Option<u32> {
    let ship = ship(played, player)?;
    let world = played.game.server();
    let (hull, shield) = (world.get::<Hull>(ship)?.now, world.get::<Shield>(ship)?.now);
    (hull > 0).then_some(u32::from(hull) + u32::from(shield))
}

/// Sums of the results of all pilots of one kind.
#[derive(Default)]
struct Earned {
    pilots: u64,
    points: u64,
    credits: u64,
    kills: u64,
    drones: u64,
    deaths: u64,
    ore: u64,
}

impl Earned {
    fn add(&mut self, score: &Score, credits: u64) {
        self.pilots += 1;
        self.points += score.points();
        self.credits += credits;
        self.kills += u64::from(score.kills);
        self.drones += u64::from(score.drones);
        self.deaths += u64::from(score.deaths);
        self.ore += u64::from(score.ore);
    }

    fn row(&self, what: &str, seconds: u32) -> io::Result<()> {
        let minutes = (self.pilots * u64::from(seconds)) as f64 / 60.0;
        let rate = |count: u64| count as f64 / minutes;
        writeln!(
            io::stdout(),
            "| {what} | {} | {:.1} | {:.0} | {:.2} | {:.1} | {:.2} | {:.0} |",
            self.pilots,
            rate(self.points),
            rate(self.credits),
            rate(self.kills),
            rate(self.drones),
            rate(self.deaths),
            rate(self.ore)
        )
    }
}

/// Runs a match of both kinds of pilots in the default world, and prints its results.
fn play_match(rules: &Rules, count: u64, seconds: u32) -> io::Result<()> {
    let mut out = io::stdout();
    let pilots = (0..count).map(|n| BotPilot::new(SEED ^ (n << 32))).collect();
    let mut played = Match::of(SEED, pilots, game(rules, 2_000, 5_000));
    let mut modes = [0_u64; 5];
    let mut first_fight = vec![None; count as usize];
    for tick in 0..seconds * HZ {
        played.tick();
        for (first, (_, pilot)) in first_fight.iter_mut().zip(&played.pilots) {
            modes[match pilot.mode() {
                PilotMode::Roam(_) => 0,
                PilotMode::Mine(_) => 1,
                PilotMode::Fight(_) => 2,
                PilotMode::Flee => 3,
                PilotMode::Sell => 4,
            }] += 1;
            let has_fought = pilot.counts().hits + pilot.counts().wounds > 0;
            if has_fought && first.is_none() {
                *first = Some(tick);
            }
        }
    }
    let ticks: u64 = modes.iter().sum();
    let shares = modes.map(|mode| format!("{:.0} %", 100.0 * mode as f64 / ticks.max(1) as f64));
    let mut first: Vec<_> = first_fight.iter().flatten().map(|tick| tick / HZ).collect();
    first.sort_unstable();
    let median = first
        .get(first.len() / 2)
        .map_or("never".to_owned(), |first| format!("after {first} s"));
    writeln!(
        out,
        "{count} pilots, {seconds} s, the default world. Half of them had hit or been hit {median}. They spent {} of \
         their time roaming, {} mining, {} fighting, {} fleeing, {} selling. A pilot and minute:\n",
        shares[0], shares[1], shares[2], shares[3], shares[4]
    )?;
    let mut kinds = [Earned::default(), Earned::default()];
    for index in 0..played.pilots.len() {
        let (player, pilot) = &played.pilots[index];
        let (kind, credits) = (usize::from(pilot.is_miner()), pilot.counts().earned);
        let Some(entity) = played.game.player(*player) else {
            continue;
        };
        if let Some(score) = played.game.server().get::<Score>(entity) {
            kinds[kind].add(score, credits + rules.content.space.bounties(score));
        }
    }
    writeln!(
        out,
        "| who | pilots | points | credits | pilots destroyed | drones destroyed | lives lost | ore sold |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    kinds[0].row("hunters", seconds)?;
    kinds[1].row("miners", seconds)
}
