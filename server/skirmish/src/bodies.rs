//! All entities that take up space, as one table per tick.
//!
//! The table is gathered from the components at the start of the tick and written back after the collisions.
//! Guarantees that its rows are in the order of their global ids, so that systems that iterate it in order do not
//! depend on how Bevy stores or numbers entities, and that only changes are written back: an asteroid at rest costs
//! the frame nothing.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Asteroid, Missile, Station};
use skirmish_shared::movement::Motion;
use throng_server::prelude::{Ghost, Replicated, Team, TickTime};
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use super::collision::Disc;
use super::components::{DroneAi, Mass};
use super::content::Rules;
use super::grid::Grid;

/// The kind of a body, as far as the rules distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A ship or a drone: can be hit and pursued.
    Craft,
    /// An asteroid, which may hold ore.
    Asteroid,
    /// A station, which nothing moves.
    Station,
    /// A missile: stops at what it touches, and pushes nothing.
    Missile,
}

/// One body of the table.
#[derive(Clone, Copy, Debug)]
pub struct BodyRow {
    /// Global id; the table is sorted by it.
    pub id: GlobalId,
    /// The local entity, which may be a ghost.
    pub entity: Entity,
    /// The body's row in the frames of the simulation that owns it.
    pub slot: Slot,
    /// The simulation that owns the body, if it is a ghost. That simulation decides what happens to it.
    pub ghost_of: Option<SimulationId>,
    /// The kind of the body.
    pub kind: BodyKind,
    /// The team of the body.
    pub team: TeamId,
    /// Id of the flock of a drone; 0 for other bodies.
    pub flock: u32,
    /// Heading, in radians.
    pub heading: f32,
}

/// The table of bodies and, row by row, their discs for collisions.
#[derive(Resource, Debug, Default)]
pub struct Bodies {
    /// The bodies, sorted by id.
    pub rows: Vec<BodyRow>,
    /// Position, velocity and size of the body in the same row of `rows`.
    pub discs: Vec<Disc>,
    /// Spatial index of the positions at the start of the tick. Each body is within the reach of its box.
    pub grid: Grid,
}

impl Bodies {
    /// Returns the row of a body.
    #[must_use]
    pub fn find(&self, id: GlobalId) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok()
    }

    /// Sets the motion of a row.
    pub fn set_motion(&mut self, row: usize, motion: &Motion) {
        self.rows[row].heading = motion.heading;
        self.discs[row].position = motion.position;
        self.discs[row].velocity = motion.velocity;
    }

    /// Fills `found` with the rows whose discs come within `radius` units of `centre`, in ascending order.
    pub fn near(&self, centre: Vec2, radius: f32, found: &mut Vec<u32>) {
        self.grid.candidates(centre, radius, found);
        found.retain(|&row| {
            let disc = &self.discs[row as usize];
            disc.position.distance_squared(centre) <= (radius + disc.radius) * (radius + disc.radius)
        });
        found.sort_unstable();
    }
}

type BodyData = (
    Entity,
    &'static Replicated,
    &'static Mass,
    &'static Position,
    &'static Velocity,
    &'static Heading,
    Option<&'static Team>,
    Option<&'static DroneAi>,
    Has<Asteroid>,
    Has<Station>,
    Has<Missile>,
);

type GhostBodyData = (
    Entity,
    &'static GlobalId,
    &'static Ghost,
    &'static Mass,
    &'static Position,
    &'static Velocity,
    &'static Heading,
    &'static Team,
    Has<Asteroid>,
    Has<Station>,
    Has<Missile>,
);

fn kind_of(is_asteroid: bool, is_station: bool, is_missile: bool) -> BodyKind {
    match (is_asteroid, is_station, is_missile) {
        (true, ..) => BodyKind::Asteroid,
        (_, true, _) => BodyKind::Station,
        (.., true) => BodyKind::Missile,
        _ => BodyKind::Craft,
    }
}

fn disc(kind: BodyKind, mass: &Mass, position: &Position, velocity: &Velocity) -> Disc {
    Disc {
        position: position.0,
        velocity: velocity.0,
        radius: mass.radius,
        inverse_mass: mass.inverse,
        is_sensor: kind == BodyKind::Missile,
        bumped: false,
    }
}

/// Fills the table with this tick's bodies and with the ghosts of bodies beyond the borders.
pub(super) fn gather_bodies(
    mut bodies: ResMut<Bodies>,
    entities: Query<BodyData>,
    ghosts: Query<GhostBodyData>,
    rules: Res<Rules>,
    time: Res<TickTime>,
    mut order: Local<Vec<(BodyRow, Disc)>>,
) {
    order.clear();
    for (entity, replicated, mass, position, velocity, heading, team, ai, asteroid, station, missile) in
        &entities
    {
        let Some(slot) = replicated.slot() else {
            continue;
        };
        let kind = kind_of(asteroid, station, missile);
        let body = BodyRow {
            id: replicated.global(),
            entity,
            slot,
            ghost_of: None,
            kind,
            team: team.map_or(TeamId::NONE, |team| team.0),
            flock: ai.map_or(0, |ai| ai.flock),
            heading: heading.0,
        };
        order.push((body, disc(kind, mass, position, velocity)));
    }
    for (
        entity,
        &id,
        &Ghost(location),
        mass,
        position,
        velocity,
        heading,
        team,
        asteroid,
        station,
        missile,
    ) in &ghosts
    {
        let kind = kind_of(asteroid, station, missile);
        let body = BodyRow {
            id,
            entity,
            slot: location.slot,
            ghost_of: Some(location.simulation),
            kind,
            team: team.0,
            flock: 0,
            heading: heading.0,
        };
        order.push((body, disc(kind, mass, position, velocity)));
    }
    order.sort_unstable_by_key(|(body, _)| body.id);
    let Bodies { rows, discs, grid } = &mut *bodies;
    rows.clear();
    discs.clear();
    rows.extend(order.iter().map(|(body, _)| *body));
    discs.extend(order.iter().map(|(_, disc)| *disc));
    grid.fill(discs, rules.content.space.half.get(), time.length.as_secs_f32());
}

/// Writes positions, velocities and headings back to the bodies that moved.
pub(super) fn scatter_bodies(
    bodies: Res<Bodies>,
    mut entities: Query<(&mut Position, &mut Velocity, &mut Heading)>,
) {
    for (row, disc) in bodies.rows.iter().zip(&bodies.discs) {
        if row.kind == BodyKind::Station
            || row.ghost_of.is_some()
            || (disc.velocity == Vec2::ZERO && !disc.bumped && row.kind == BodyKind::Asteroid)
        {
            continue;
        }
        if let Ok((mut position, mut velocity, mut heading)) = entities.get_mut(row.entity) {
            position.set_if_neq(Position(disc.position));
            velocity.set_if_neq(Velocity(disc.velocity));
            heading.set_if_neq(Heading(row.heading));
        }
    }
}
