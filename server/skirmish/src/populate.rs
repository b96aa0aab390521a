//! The initial entities, and free positions for entities that are spawned later.

use std::f32::consts::PI;

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::DRONE_TEAMS;
use skirmish_shared::components::Station;
use skirmish_shared::content::SpaceContent;
use throng_server::prelude::{Importance, Random, Replicated, Seed, Simulations, owns_position};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::tick::Tick;

use super::components::Mass;
use super::content::Rules;
use super::drones::{self, RespawnRequest};
use super::mining::{self, OreLedger};
use super::positions::{ROCKS, in_region, within};

/// Number of entities at the start.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// Number of drones, in all simulations together.
    pub drones: u32,
    /// Number of asteroids, in all simulations together.
    pub asteroids: u32,
}

/// Spawns stations, asteroids and drones; each simulation spawns those within its own part of the map.
pub(super) fn fill_space(
    mut commands: Commands,
    mut ledger: ResMut<OreLedger>,
    population: Res<Population>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    simulations: Option<Res<Simulations>>,
) {
    let (space, simulations) = (&rules.content.space, simulations.as_deref());
    // Ore of the asteroids that other simulations spawn is counted in their ledgers.
    let mut elsewhere = OreLedger::default();
    // Tick 0 never runs, so no other system uses its random numbers.
    let mut random = seed.of(GlobalId(ROCKS), Tick(0));
    for region in &space.regions {
        let position = Vec2::new(region.at.0, region.at.1);
        if owns_position(simulations, position) {
            commands.spawn(station(space, position));
        }
    }
    let mut taken: Vec<Vec<Vec2>> = vec![Vec::new(); space.regions.len()];
    for n in 0..population.asteroids as usize {
        let region = n % space.regions.len();
        let position = clear_place(space, region, &taken[region], &mut random);
        taken[region].push(position);
        if owns_position(simulations, position) {
            commands.spawn(mining::born(&mut ledger, space, position, &mut random));
        } else {
            let _ = mining::born(&mut elsewhere, space, position, &mut random);
        }
    }
    fill_flocks(&mut commands, population.drones, &rules, &mut random, simulations);
}

/// Returns a station at `position`.
pub(super) fn station(space: &SpaceContent, position: Vec2) -> impl Bundle + use<> {
    let radius = space.station_radius.get();
    let mass = Mass { radius, inverse: 0.0 };
    let seen = Station {
        radius_10: (radius * 10.0) as u8,
    };
    (
        mass,
        seen,
        Position(position),
        Importance(4),
        Replicated::default(),
    )
}

/// Spawns flocks in all regions, alternating between the teams.
fn fill_flocks(
    commands: &mut Commands,
    drones: u32,
    rules: &Rules,
    random: &mut Random,
    simulations: Option<&Simulations>,
) {
    let space = &rules.content.space;
    let (mut left, mut flock) = (drones, 0);
    while left > 0 {
        let region = flock as usize % space.regions.len();
        let team = DRONE_TEAMS[flock as usize / space.regions.len() % DRONE_TEAMS.len()];
        let breed = pick_breed(rules, random);
        let row = rules.breed(breed);
        flock += 1;
        let area = &space.regions[region];
        let middle = within(
            Vec2::new(area.at.0, area.at.1),
            area.radius.get() * 0.25,
            area.radius.get(),
            random,
        );
        for _ in 0..u32::from(row.flock.max(1)).min(left) {
            left -= 1;
            let position = within(middle, 0.0, row.spacing.get() * 2.0, random);
            let request = RespawnRequest {
                due: Tick(0),
                breed,
                flock,
                region: region as u8,
                team,
            };
            let heading = random.within(-PI, PI);
            if owns_position(simulations, position) {
                commands.spawn(drones::drone(rules, &request, position, heading));
            }
        }
    }
}

fn pick_breed(rules: &Rules, random: &mut Random) -> u8 {
    let breeds = &rules.content.drones;
    let all: u64 = breeds.iter().map(|breed| u64::from(breed.weight)).sum();
    let mut remaining = random.bits() % all;
    for (index, breed) in breeds.iter().enumerate() {
        let weight = u64::from(breed.weight);
        if remaining < weight {
            return index as u8;
        }
        remaining -= weight;
    }
    0
}

/// Returns a position clear of those `taken`, for the start, when there is no table of bodies yet.
fn clear_place(space: &SpaceContent, region: usize, taken: &[Vec2], random: &mut Random) -> Vec2 {
    let gap = space.asteroid_radius.1.get() * 2.0;
    let mut position = Vec2::ZERO;
    for _ in 0..16 {
        position = in_region(space, region, random);
        if taken
            .iter()
            .all(|other| other.distance_squared(position) > gap * gap)
        {
            break;
        }
    }
    position
}
