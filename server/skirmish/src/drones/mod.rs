//! Drones: they fly in flocks, patrol a region, hunt enemies in sight and flee when they are badly damaged.
//!
//! Guarantees that a drone's decision follows from the bodies as they were at the start of the tick, its own
//! [`DroneAi`] and the seed, so that drones may decide on any thread and in any order. Scanning the surroundings is
//! expensive, so a drone does it only every few ticks and steers by the result meanwhile.

mod senses;

use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Drone, Hull};
use skirmish_shared::content::DroneBreed;
use skirmish_shared::movement::{Controls, heading_of, heading_towards, wrap};
use throng_server::prelude::{Parallel, Replicated, Seed, Team, TickTime};
use throng_shared::protocol::ids::{GlobalId, TeamId};
use throng_shared::tick::Tick;

use super::bodies::Bodies;
use super::components::{Condition, CraftModel, DroneAi, DroneMode, Helm};
use super::content::{Rules, ticks};
use super::crafts::{CraftStats, craft};
use super::pilots::turn_towards;
use super::positions;

/// Drones per parallel task: some 100 us of work.
const CHUNK: usize = 128;
/// Ticks between two scans of the surroundings.
const LOOK_EVERY: u32 = 4;
/// Seconds for which a flock flies to the same waypoint.
const LEG_S: f32 = 16.0;
/// Seconds for which a badly damaged drone flees.
const FLIGHT_S: f32 = 8.0;
/// Distance that a hunting drone keeps from its target, in units.
const STAND_OFF: f32 = 9.0;

/// A drone to spawn later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RespawnRequest {
    /// Tick at which it is spawned.
    pub due: Tick,
    /// Index of its breed.
    pub breed: u8,
    /// Id of its flock.
    pub flock: u32,
    /// Index of its region.
    pub region: u8,
    /// The drone's team.
    pub team: TeamId,
}

/// The drones to spawn, in the order in which their predecessors were destroyed.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DroneRespawnQueue(pub Vec<RespawnRequest>);

/// Returns an undamaged drone.
pub(super) fn drone(
    rules: &Rules,
    request: &RespawnRequest,
    position: Vec2,
    heading: f32,
) -> impl Bundle + use<> {
    let ai = DroneAi {
        flock: request.flock,
        region: request.region,
        ..DroneAi::default()
    };
    (
        (
            Team(request.team),
            Drone { breed: request.breed },
            ai,
            Condition::default(),
        ),
        CraftStats::of(&rules.breed(request.breed).body),
        craft(position, heading),
    )
}

/// Spawns the drones that are due.
pub(super) fn replace_drones(
    mut commands: Commands,
    mut respawn_queue: ResMut<DroneRespawnQueue>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    let mut spawned = 0;
    respawn_queue.0.retain(|request| {
        if time.tick.since(request.due) < 0 {
            return true;
        }
        spawned += 1;
        let mut random = seed.of(GlobalId(positions::DRONES | spawned), time.tick);
        let space = &rules.content.space;
        let position = positions::free_place(&bodies, space, usize::from(request.region), 2.0, &mut random);
        commands.spawn(drone(&rules, request, position, random.within(-3.0, 3.0)));
        false
    });
}

/// Sets the helm of every drone for this tick.
pub(super) fn think(
    mut drones: Query<(&Replicated, &Drone, &Hull, &mut DroneAi, &mut Helm)>,
    bodies: Res<Bodies>,
    parallel: Res<Parallel>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) -> Result {
    let context = Thinking {
        bodies: &bodies,
        rules: &rules,
        seed: *seed,
        time: &time,
    };
    for (replicated, drones, hulls, mut ais, mut helms) in drones.contiguous_iter_mut()? {
        let read = replicated
            .chunks(CHUNK)
            .zip(drones.chunks(CHUNK))
            .zip(hulls.chunks(CHUNK));
        let written = ais.chunks_mut(CHUNK).zip(helms.chunks_mut(CHUNK));
        parallel.for_each(
            read.zip(written),
            |(((replicated, drones), hulls), (ais, helms))| {
                let mut found = Vec::new();
                let read = replicated.iter().zip(drones).zip(hulls);
                for (((replicated, drone), hull), (ai, helm)) in read.zip(ais.iter_mut().zip(helms)) {
                    // A drone spawned in this tick is not among the bodies yet.
                    if let Some(row) = context.bodies.find(replicated.global()) {
                        let breed = context.rules.breed(drone.breed);
                        *helm =
                            context.decide(row, CraftModel::Drone(drone.breed), breed, hull, ai, &mut found);
                    }
                }
            },
        );
    }
    Ok(())
}

/// Read-only data that all decisions share.
struct Thinking<'a> {
    bodies: &'a Bodies,
    rules: &'a Rules,
    seed: Seed,
    time: &'a TickTime,
}

impl Thinking<'_> {
    fn decide(
        &self,
        row: usize,
        model: CraftModel,
        breed: &DroneBreed,
        hull: &Hull,
        ai: &mut DroneAi,
        found: &mut Vec<u32>,
    ) -> Helm {
        let id = self.bodies.rows[row].id;
        let tick = self.time.tick;
        if self.time.is_due(LOOK_EVERY, id.0) {
            self.look_around(row, breed, hull, ai, found);
        }
        match ai.mode {
            DroneMode::Flee(until) if tick.since(until) < 0 => {
                let away = self.home(ai) - self.bodies.discs[row].position;
                self.fly(row, breed, away.normalize_or_zero() * 2.0 + ai.avoidance, 1.0)
            }
            DroneMode::Hunt(target) => match self.bodies.find(target) {
                Some(target) => self.hunt(row, model, breed, ai, target),
                None => self.patrol(row, breed, ai),
            },
            DroneMode::Patrol | DroneMode::Flee(_) => self.patrol(row, breed, ai),
        }
    }

    fn patrol(&self, row: usize, breed: &DroneBreed, ai: &mut DroneAi) -> Helm {
        ai.mode = DroneMode::Patrol;
        let to = self.waypoint(ai) - self.bodies.discs[row].position;
        let course = to.normalize_or_zero() + ai.cohesion + ai.avoidance;
        let hurry = if to.length_squared() < 400.0 { 0.4 } else { 0.8 };
        self.fly(row, breed, course, hurry)
    }

    /// Flies towards the target, then around it, and fires whenever the guns bear.
    fn hunt(&self, row: usize, model: CraftModel, breed: &DroneBreed, ai: &DroneAi, target: usize) -> Helm {
        let (body, disc) = (&self.bodies.rows[row], &self.bodies.discs[row]);
        let to = self.bodies.discs[target].position - disc.position;
        let distance = to.length();
        let towards = to.normalize_or_zero();
        // Half of the drones circle one way, half the other.
        let around = if body.id.0.is_multiple_of(2) {
            towards.perp()
        } else {
            -towards.perp()
        };
        let course = if distance > STAND_OFF * 2.0 {
            towards
        } else if distance > STAND_OFF {
            towards + around * 0.7
        } else {
            around - towards
        };
        let laser = self.rules.laser(model);
        let mut random = self.seed.of(body.id, self.time.tick);
        let spread = breed.spread.get();
        let aim = wrap(heading_towards(to) + random.within(-spread, spread));
        let bears = wrap(aim - body.heading).abs() <= laser.arc.get();
        Helm {
            aim,
            fires: bears && distance <= laser.range.get(),
            ..self.fly(row, breed, course + ai.cohesion * 0.3 + ai.avoidance, 1.0)
        }
    }

    fn fly(&self, row: usize, breed: &DroneBreed, course: Vec2, hurry: f32) -> Helm {
        let heading = self.bodies.rows[row].heading;
        let per_tick = breed.handling.turn.get() * self.time.length.as_secs_f32();
        let ahead = course.normalize_or_zero().dot(heading_of(heading));
        Helm {
            controls: Controls {
                turn: turn_towards(heading, course, per_tick),
                thrust: if ahead > 0.3 { hurry } else { 0.15 },
                boost: false,
            },
            aim: heading,
            ..Helm::default()
        }
    }

    fn home(&self, ai: &DroneAi) -> Vec2 {
        let regions = &self.rules.content.space.regions;
        let region = &regions[usize::from(ai.region) % regions.len()];
        Vec2::new(region.at.0, region.at.1)
    }

    /// Returns the current waypoint of the flock: the same for all its members, and a new one after every leg.
    fn waypoint(&self, ai: &DroneAi) -> Vec2 {
        let regions = &self.rules.content.space.regions;
        let radius = regions[usize::from(ai.region) % regions.len()].radius.get();
        let leg = (self.time.tick.0 + ai.flock.wrapping_mul(37)) / ticks(LEG_S, self.time);
        let mut random = self
            .seed
            .of(GlobalId(positions::FLOCKS | u64::from(ai.flock)), Tick(leg));
        positions::within(self.home(ai), radius * 0.25, radius, &mut random)
    }
}
