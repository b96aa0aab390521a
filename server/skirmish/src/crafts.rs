//! New crafts: their figures by class or breed, and their first state.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Beam, Boost, Cargo, Hull, Magazine, Shield, Ship};
use skirmish_shared::content::Body;
use throng_server::prelude::{Replicated, Team};
use throng_shared::protocol::ids::TeamId;
use throng_shared::protocol::pose::{Heading, Position};
use throng_shared::tick::Tick;

use super::components::{Condition, Guns, Helm, Mass};
use super::content::Rules;

/// The figures of an undamaged craft that follow from its class or breed.
#[derive(Bundle, Clone, Copy, Debug)]
pub struct CraftStats {
    /// Size and mass.
    pub mass: Mass,
    /// Hull points.
    pub hull: Hull,
    /// Shield points.
    pub shield: Shield,
}

impl CraftStats {
    /// Returns the figures that the content gives for `body`.
    #[must_use]
    pub fn of(body: &Body) -> Self {
        Self {
            mass: Mass {
                radius: body.radius.get(),
                inverse: 1.0 / body.mass.get(),
            },
            hull: Hull::whole(body.hull.get() as u16),
            shield: Shield::whole(body.shield.get() as u16),
        }
    }
}

/// All that follows from the class of an undamaged ship with full magazines. Inserted when a ship is spawned, and again
/// when a station replaces the ship.
#[derive(Bundle, Clone, Copy, Debug)]
pub struct ShipStats {
    /// The class.
    pub ship: Ship,
    /// Body, hull and shield.
    pub craft: CraftStats,
    /// Boost left.
    pub boost: Boost,
    /// Missiles aboard.
    pub magazine: Magazine,
}

impl ShipStats {
    /// Returns the figures of a class.
    #[must_use]
    pub fn of(rules: &Rules, class: u8) -> Self {
        let row = rules.class(class);
        Self {
            ship: Ship { class },
            craft: CraftStats::of(&row.body),
            boost: Boost((row.handling.boost_s.get() * 1_000.0) as u16),
            magazine: Magazine(row.missiles),
        }
    }
}

/// The initial state of a ship.
#[derive(Clone, Copy, Debug)]
pub struct Loadout {
    /// Index of its class.
    pub class: u8,
    /// Position, in units.
    pub place: Vec2,
    /// Heading, in radians.
    pub heading: f32,
    /// The ship's team.
    pub team: TeamId,
    /// Tick until which nothing harms it.
    pub protected_until: Tick,
}

impl Loadout {
    /// Returns an undamaged ship without a pilot.
    #[must_use]
    pub fn ship(self, rules: &Rules) -> impl Bundle + use<> {
        let condition = Condition {
            protected_until: self.protected_until,
            ..Condition::default()
        };
        (
            (Team(self.team), condition, Cargo(0)),
            ShipStats::of(rules, self.class),
            craft(self.place, self.heading),
        )
    }
}

/// Returns the components of all crafts besides their [`CraftStats`]. [`Replicated`] is last, so that the others exist
/// when it is given its slot.
pub(super) fn craft(position: Vec2, heading: f32) -> impl Bundle {
    (
        (Position(position), Heading(heading)),
        (Helm::default(), Guns::default(), Beam::default()),
        Replicated::default(),
    )
}
