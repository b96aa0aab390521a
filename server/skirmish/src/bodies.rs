//! Everything that takes up room, as one table per tick.
//!
//! Gathered from the components at the start of the tick and written back after the collisions. Guarantees
//! that its rows are in the order of their global ids, so that whatever goes through the table in order does
//! not depend on how Bevy stores or numbers entities, and that only what changed is written back: an asteroid
//! at rest costs the frame nothing.

use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Asteroid, Missile, Station};
use skirmish_shared::movement::Motion;
use throng_server::prelude::{Ghost, Replicated, Team, TickTime};
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use super::collision::Disc;
use super::content::Rules;
use super::drones::DroneAi;
use super::grid::Grid;

/// Makes an entity a body.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Mass {
    /// Radius, in units.
    pub radius: f32,
    /// 1 / mass; 0 for what nothing moves.
    pub inverse: f32,
}

/// What a body is, as far as others care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A ship or a drone: can be hit, and pursued.
    Craft,
    /// A rock.
    Asteroid,
    /// A station.
    Station,
    /// A missile: passes through nothing, pushes nobody.
    Missile,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct BodyRow {
    /// Who it is.
    pub id: GlobalId,
    /// Its entity.
    pub entity: Entity,
    /// Its row in the frames of its simulation.
    pub slot: Slot,
    /// The simulation whose it is when it is not of this one: what happens to it is decided there.
    pub ghost_of: Option<SimulationId>,
    /// What it is.
    pub kind: BodyKind,
    /// Whose side it is on.
    pub team: TeamId,
    /// Which flock it flies with; 0 for none.
    pub flock: u32,
    /// Where it looks, in radians.
    pub heading: f32,
}

/// The table: bodies and, row by row, the discs that stand for them in collisions.
#[derive(Resource, Debug, Default)]
pub struct Bodies {
    /// In the order of their ids.
    pub rows: Vec<BodyRow>,
    /// Position, velocity and size of each row.
    pub discs: Vec<Disc>,
    /// Where they are: as of the start of the tick, each within the reach of its box.
    pub grid: Grid,
}

impl Bodies {
    /// The row of a body.
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

    /// Fills `found` with the rows whose discs come within `radius` of `centre`, in order.
    pub fn near(&self, centre: Vec2, radius: f32, found: &mut Vec<u32>) {
        self.grid.candidates(centre, radius, found);
        found.retain(|&row| {
            let disc = &self.discs[row as usize];
            disc.position.distance_squared(centre) <= (radius + disc.radius) * (radius + disc.radius)
        });
        found.sort_unstable();
    }
}

type Gathered = (
    Entity,
    &'static Replicated,
    &'static Mass,
    &'static Position,
    &'static Velocity,
    &'static Heading,
    &'static Team,
    Option<&'static DroneAi>,
    Has<Asteroid>,
    Has<Station>,
    Has<Missile>,
);

type Ghostly = (
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

/// Fills the table with this tick's bodies, and with the ghosts of those near the border.
pub(super) fn gather_bodies(
    mut bodies: ResMut<Bodies>,
    entities: Query<Gathered>,
    ghosts: Query<Ghostly>,
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
            team: team.0,
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

/// Writes back what moved.
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
