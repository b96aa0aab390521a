//! The entities around a ship, as far as its pilot considers them.

use glam::Vec2;
use skirmish_shared::components::{Asteroid, Cargo, Credits, Hull, Magazine, Ship, Station};
use throng_client::mirror::{ComponentBytes, Mirror, MirrorEntity};
use throng_shared::protocol::ids::{GlobalId, Team, TeamId};
use throng_shared::protocol::snapshot::ShortId;

use super::senses::{Senses, value};

/// Approximate seconds from the state of the own ship in a mirror to the tick in which an input takes effect.
const REACTION_S: f32 = 0.1;
/// Distance from hull to hull, in units, below which other entities change a course.
const ROOM: f32 = 7.0;
/// Approximate radius of a ship or drone, in units.
const CRAFT_RADIUS: f32 = 1.5;

/// The pilot's own ship, or the last one while there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OwnShip {
    /// Global id of the ship.
    pub id: Option<GlobalId>,
    /// Position in units.
    pub position: Vec2,
    /// Velocity in units a second.
    pub velocity: Vec2,
    /// Heading in radians.
    pub heading: f32,
    /// Index of the ship's class in the content.
    pub class: u8,
    /// Team of the pilot.
    pub team: TeamId,
    /// Remaining part of the hull, 0 to 1.
    pub hull: f32,
    /// Ore aboard.
    pub cargo: u32,
    /// Missiles aboard.
    pub magazine: u8,
    /// Credits of the pilot.
    pub credits: u32,
}

/// The kind of an entity, from the pilot's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibleKind {
    /// A ship or drone of another team.
    Enemy,
    /// A ship of the own team.
    Mate,
    /// An asteroid.
    Rock,
    /// A station.
    Station,
}

/// An entity that the pilot has in view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleEntity {
    /// The entity's id in the mirror.
    pub id: ShortId,
    /// The entity's kind for this pilot.
    pub kind: VisibleKind,
    /// Radius of the hull, in units.
    pub radius: f32,
    /// Distance of its hull from the own ship's centre, in units.
    pub gap: f32,
    /// Direction away from the entity, whose length grows from 0 to 1 as the entity comes too near.
    pub push: Vec2,
}

/// The entities around a ship at the last update.
#[derive(Debug, Default)]
pub struct View {
    /// The pilot's own ship.
    pub own: OwnShip,
    /// Sum of [`VisibleEntity::push`] over all entities.
    pub avoidance: Vec2,
    contacts: Vec<VisibleEntity>,
}

impl OwnShip {
    /// Copies the id, position, velocity and heading from the mirror.
    pub fn update_pose(&mut self, seen: &MirrorEntity) {
        self.id = Some(seen.global);
        self.position = seen.pose.position().0;
        self.velocity = seen.pose.velocity().0;
        self.heading = seen.pose.heading().0;
    }

    /// Returns the expected position at the time when an input that is sent now takes effect.
    #[must_use]
    pub fn ahead(&self) -> Vec2 {
        self.position + self.velocity * REACTION_S
    }

    /// Reads the ship's components.
    fn update_components(&mut self, senses: &Senses, components: &[ComponentBytes]) {
        if let Some(Ship { class }) = value(components, senses.ship) {
            self.class = class;
        }
        if let Some(hull) = value::<Hull>(components, senses.hull) {
            self.hull = f32::from(hull.now) / f32::from(hull.max.max(1));
        }
        self.team = value(components, senses.team).unwrap_or_default();
        self.cargo = value(components, senses.cargo).map_or(0, |Cargo(ore)| ore);
        self.magazine = value(components, senses.magazine).map_or(0, |Magazine(missiles)| missiles);
        self.credits = value(components, senses.credits).map_or(0, |Credits(credits)| credits);
    }
}

impl View {
    /// Reads all entities from the mirror.
    pub fn update(&mut self, senses: &Senses, mirror: &Mirror) {
        self.contacts.clear();
        self.avoidance = Vec2::ZERO;
        if let Some(own) = mirror.own() {
            self.own.update_components(senses, mirror.components(own.id));
        }
        for entity in mirror.entities().filter(|entity| !entity.is_own) {
            let Some((kind, radius)) = self.classify(senses, mirror.components(entity.id)) else {
                continue;
            };
            let away = self.own.position - entity.pose.position().0;
            let gap = away.length() - radius;
            let push = away.normalize_or_zero() * ((ROOM - gap.max(0.0)) / ROOM).max(0.0);
            self.avoidance += push;
            self.contacts.push(VisibleEntity {
                id: entity.id,
                kind,
                radius,
                gap,
                push,
            });
        }
    }

    /// Returns the avoidance of all entities except one.
    #[must_use]
    pub fn avoid_beside(&self, id: ShortId) -> Vec2 {
        self.avoidance - self.find(id).map_or(Vec2::ZERO, |contact| contact.push)
    }

    /// Returns the nearest entity of a kind.
    #[must_use]
    pub fn nearest(&self, kind: VisibleKind) -> Option<VisibleEntity> {
        let of_kind = self.contacts.iter().filter(|contact| contact.kind == kind);
        of_kind.min_by(|a, b| a.gap.total_cmp(&b.gap)).copied()
    }

    /// Returns an entity, if it was in view at the last update.
    #[must_use]
    pub fn find(&self, id: ShortId) -> Option<&VisibleEntity> {
        self.contacts.iter().find(|contact| contact.id == id)
    }

    /// Returns whether an entity was in view at the last update.
    #[must_use]
    pub fn contains(&self, id: ShortId) -> bool {
        self.find(id).is_some()
    }

    /// Returns the kind and the radius of an entity with these components. Pilots ignore missiles.
    fn classify(&self, senses: &Senses, components: &[ComponentBytes]) -> Option<(VisibleKind, f32)> {
        for component in components {
            if component.id == senses.asteroid {
                let Asteroid { radius_10 } = value(components, senses.asteroid)?;
                return Some((VisibleKind::Rock, f32::from(radius_10) * 0.1));
            } else if component.id == senses.station {
                let Station { radius_10 } = value(components, senses.station)?;
                return Some((VisibleKind::Station, f32::from(radius_10) * 0.1));
            } else if component.id == senses.missile {
                return None;
            } else if component.id == senses.ship || component.id == senses.drone {
                let Team(team) = value(components, senses.team)?;
                let kind = if team.is_mate(self.own.team) {
                    VisibleKind::Mate
                } else {
                    VisibleKind::Enemy
                };
                return Some((kind, CRAFT_RADIUS));
            }
        }
        None
    }
}
