//! Drones: they fly in flocks, patrol a region, hunt what they see and flee when they are badly hit.
//!
//! Guarantees that what a drone decides follows from the bodies as they were at the start of the tick, its
//! own mind and the seed: drones may think on any thread, in any order. Looking around is dear, so a drone
//! does it only every few ticks; what it saw steers it meanwhile.

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
use super::content::{Model, Rules, ticks};
use super::pilots::{self, Helm, turn_towards};
use super::populate;

/// Drones that one task lets think: some 100 us.
const CHUNK: usize = 128;
/// Ticks between two looks around.
const LOOK_EVERY: u64 = 4;
/// Seconds for which a flock flies to the same place.
const LEG_S: f32 = 16.0;
/// Seconds for which one that is badly hit flees.
const FLIGHT_S: f32 = 8.0;
/// Nearer than this a hunter does not go, in units.
const STAND_OFF: f32 = 9.0;

/// What a drone is up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Mode {
    /// Flies with its flock from place to place.
    #[default]
    Patrol,
    /// After somebody.
    Hunt(GlobalId),
    /// Away, until the tick.
    Flee(Tick),
}

/// What a drone knows.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Mind {
    /// Its flock; from 1.
    pub flock: u32,
    /// Place of its region in the content.
    pub region: u8,
    /// What it is up to.
    pub mode: Mode,
    /// Whether it has fled before: it does so once, and then fights to the end.
    pub has_fled: bool,
    /// Where its mates draw it: directions, weighted.
    pub herd: Vec2,
    /// Where obstacles push it: directions, weighted.
    pub shun: Vec2,
}

/// A drone that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Egg {
    /// When.
    pub hatches: Tick,
    /// Its breed.
    pub breed: u8,
    /// Its flock.
    pub flock: u32,
    /// Its region.
    pub region: u8,
    /// Its team.
    pub team: TeamId,
}

/// Drones that are to come, in the order in which those before them were destroyed.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Nursery(pub Vec<Egg>);

/// A whole drone.
pub(super) fn drone(rules: &Rules, egg: &Egg, place: Vec2, heading: f32) -> impl Bundle + use<> {
    let mind = Mind {
        flock: egg.flock,
        region: egg.region,
        ..Mind::default()
    };
    (
        (
            (Team(egg.team), egg.team),
            Drone { breed: egg.breed },
            mind,
            pilots::Condition::default(),
        ),
        pilots::craft(rules, Model::Drone(egg.breed), place, heading),
    )
}

/// Brings in the drones that are due.
pub(super) fn replace_drones(
    mut commands: Commands,
    mut nursery: ResMut<Nursery>,
    bodies: Res<Bodies>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) {
    let mut hatched = 0;
    nursery.0.retain(|egg| {
        if time.tick.since(egg.hatches) < 0 {
            return true;
        }
        hatched += 1;
        let mut random = seed.of(GlobalId(populate::DRONES | hatched), time.tick);
        let space = &rules.content.space;
        let place = populate::free_place(&bodies, space, usize::from(egg.region), 2.0, &mut random);
        commands.spawn(drone(&rules, egg, place, random.within(-3.0, 3.0)));
        false
    });
}

/// Lets every drone decide what it does in this tick.
pub(super) fn think(
    mut drones: Query<(&Replicated, &Drone, &Hull, &mut Mind, &mut Helm)>,
    bodies: Res<Bodies>,
    parallel: Res<Parallel>,
    rules: Res<Rules>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) -> Result {
    let thinking = Thinking {
        bodies: &bodies,
        rules: &rules,
        seed: *seed,
        time: &time,
    };
    for (replicated, drones, hulls, mut minds, mut helms) in drones.contiguous_iter_mut()? {
        let seen = replicated
            .chunks(CHUNK)
            .zip(drones.chunks(CHUNK))
            .zip(hulls.chunks(CHUNK));
        let decided = minds.chunks_mut(CHUNK).zip(helms.chunks_mut(CHUNK));
        parallel.for_each(
            seen.zip(decided),
            |(((replicated, drones), hulls), (minds, helms))| {
                let mut found = Vec::new();
                let seen = replicated.iter().zip(drones).zip(hulls);
                for (((replicated, drone), hull), (mind, helm)) in seen.zip(minds.iter_mut().zip(helms)) {
                    // One that came in this tick is not among the bodies yet.
                    if let Some(row) = thinking.bodies.find(replicated.global()) {
                        let breed = thinking.rules.breed(drone.breed);
                        *helm =
                            thinking.decide(row, Model::Drone(drone.breed), breed, hull, mind, &mut found);
                    }
                }
            },
        );
    }
    Ok(())
}

/// What all drones think with.
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
        model: Model,
        breed: &DroneBreed,
        hull: &Hull,
        mind: &mut Mind,
        found: &mut Vec<u32>,
    ) -> Helm {
        let id = self.bodies.rows[row].id;
        let tick = self.time.tick;
        if (u64::from(tick.0) + id.0).is_multiple_of(LOOK_EVERY) {
            self.look_around(row, breed, hull, mind, found);
        }
        match mind.mode {
            Mode::Flee(until) if tick.since(until) < 0 => {
                let away = self.home(mind) - self.bodies.discs[row].position;
                self.fly(row, breed, away.normalize_or_zero() * 2.0 + mind.shun, 1.0)
            }
            Mode::Hunt(target) => match self.bodies.find(target) {
                Some(target) => self.hunt(row, model, breed, mind, target),
                None => self.patrol(row, breed, mind),
            },
            Mode::Patrol | Mode::Flee(_) => self.patrol(row, breed, mind),
        }
    }

    fn patrol(&self, row: usize, breed: &DroneBreed, mind: &mut Mind) -> Helm {
        mind.mode = Mode::Patrol;
        let to = self.waypoint(mind) - self.bodies.discs[row].position;
        let course = to.normalize_or_zero() + mind.herd + mind.shun;
        let hurry = if to.length_squared() < 400.0 { 0.4 } else { 0.8 };
        self.fly(row, breed, course, hurry)
    }

    /// Towards the target, then around it, firing whenever the guns bear.
    fn hunt(&self, row: usize, model: Model, breed: &DroneBreed, mind: &Mind, target: usize) -> Helm {
        let (body, disc) = (&self.bodies.rows[row], &self.bodies.discs[row]);
        let to = self.bodies.discs[target].position - disc.position;
        let distance = to.length();
        let towards = to.normalize_or_zero();
        // Half of them go around it one way, half the other.
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
            ..self.fly(row, breed, course + mind.herd * 0.3 + mind.shun, 1.0)
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

    fn home(&self, mind: &Mind) -> Vec2 {
        let regions = &self.rules.content.space.regions;
        let region = &regions[usize::from(mind.region) % regions.len()];
        Vec2::new(region.at.0, region.at.1)
    }

    /// Where the flock flies now: the same for all its mates, another one every leg.
    fn waypoint(&self, mind: &Mind) -> Vec2 {
        let regions = &self.rules.content.space.regions;
        let radius = regions[usize::from(mind.region) % regions.len()].radius.get();
        let leg = (self.time.tick.0 + mind.flock.wrapping_mul(37)) / ticks(LEG_S, self.time);
        let mut random = self
            .seed
            .of(GlobalId(populate::FLOCKS | u64::from(mind.flock)), Tick(leg));
        populate::within(self.home(mind), radius * 0.25, radius, &mut random)
    }
}
