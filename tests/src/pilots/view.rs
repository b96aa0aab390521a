//! What is around a ship, as far as its pilot cares.

use glam::Vec2;
use skirmish_shared::components::{Asteroid, Cargo, Credits, Hull, Magazine, Ship, Station};
use throng_client::mirror::{ComponentBytes, Mirror, MirrorEntity};
use throng_shared::protocol::ids::{GlobalId, TeamId};
use throng_shared::protocol::snapshot::ShortId;

use super::senses::{Senses, value};

/// Seconds between what a mirror shows of the own ship and the tick in which an input takes effect, about.
const REACTION_S: f32 = 0.1;
/// How near others come before they push a course aside, in units from hull to hull.
const ROOM: f32 = 7.0;
/// Radius of a ship or drone, near enough, in units.
const CRAFT_RADIUS: f32 = 1.5;

/// The own ship.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OwnShip {
    /// Its id; the last ship's, while there is none.
    pub id: Option<GlobalId>,
    /// In units.
    pub place: Vec2,
    /// In units a second.
    pub velocity: Vec2,
    /// In radians.
    pub heading: f32,
    /// Place of its class in the content.
    pub class: u8,
    /// Its side.
    pub team: TeamId,
    /// Part of the hull that is left.
    pub hull: f32,
    /// Ore aboard.
    pub cargo: u32,
    /// Missiles aboard.
    pub magazine: u8,
    /// Money.
    pub credits: u32,
}

/// What something is to the pilot.
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

/// Something in view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleEntity {
    /// Its name in the mirror.
    pub id: ShortId,
    /// What it is.
    pub kind: VisibleKind,
    /// Radius, in units.
    pub radius: f32,
    /// Distance of its hull from the own ship's middle, in units.
    pub gap: f32,
    /// Where it pushes the ship, if it is too near: a direction, weighted.
    pub push: Vec2,
}

/// What a pilot saw when it last looked around.
#[derive(Debug, Default)]
pub struct View {
    /// The own ship.
    pub own: OwnShip,
    /// Where those that are too near push it: directions, weighted.
    pub avoidance: Vec2,
    contacts: Vec<VisibleEntity>,
}

impl OwnShip {
    /// Notes where the ship is.
    pub fn meet(&mut self, seen: &MirrorEntity) {
        self.id = Some(seen.global);
        self.place = seen.pose.position().0;
        self.velocity = seen.pose.velocity().0;
        self.heading = seen.pose.heading().0;
    }

    /// Where the ship will be when an input of now takes effect.
    #[must_use]
    pub fn ahead(&self) -> Vec2 {
        self.place + self.velocity * REACTION_S
    }

    fn inspect(&mut self, senses: &Senses, components: &[ComponentBytes]) {
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
    /// Looks around.
    pub fn look(&mut self, senses: &Senses, mirror: &Mirror) {
        self.contacts.clear();
        self.avoidance = Vec2::ZERO;
        if let Some(own) = mirror.own() {
            self.own.inspect(senses, mirror.components(own.id));
        }
        for entity in mirror.entities().filter(|entity| !entity.is_own) {
            let Some((kind, radius)) = self.judge(senses, mirror.components(entity.id)) else {
                continue;
            };
            let away = self.own.place - entity.pose.position().0;
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

    /// Where all that are too near push the ship, but one.
    #[must_use]
    pub fn avoid_beside(&self, id: ShortId) -> Vec2 {
        self.avoidance - self.find(id).map_or(Vec2::ZERO, |contact| contact.push)
    }

    /// The nearest of a kind.
    #[must_use]
    pub fn nearest(&self, kind: VisibleKind) -> Option<VisibleEntity> {
        let of_kind = self.contacts.iter().filter(|contact| contact.kind == kind);
        of_kind.min_by(|a, b| a.gap.total_cmp(&b.gap)).copied()
    }

    /// A contact of the last look.
    #[must_use]
    pub fn find(&self, id: ShortId) -> Option<&VisibleEntity> {
        self.contacts.iter().find(|contact| contact.id == id)
    }

    /// Whether it was there at the last look.
    #[must_use]
    pub fn knows(&self, id: ShortId) -> bool {
        self.find(id).is_some()
    }

    /// What something with these components is, and how large. Missiles are nothing that a pilot minds.
    fn judge(&self, senses: &Senses, components: &[ComponentBytes]) -> Option<(VisibleKind, f32)> {
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
                let team: TeamId = value(components, senses.team)?;
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
