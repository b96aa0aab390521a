//! The shape of the game's content: ship classes, weapons, breeds of drones, and space with its rules.
//!
//! Numbers carry their bounds in their types: a value out of range is refused where it is read, and a
//! [`Content`] may be used without further checks. Does not know where content comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::components::Score;
use throng_shared::hash::Fnv1a;
use throng_shared::protocol::codec;

/// A number above 0 and at most `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct UpTo<const MAX: u32>(f32);

/// Why a number is not an [`UpTo`] or a [`Share`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{value} is not {wanted} {max}")]
pub struct OutOfRange {
    value: f32,
    wanted: &'static str,
    max: u32,
}

impl<const MAX: u32> UpTo<MAX> {
    /// Returns the number as an `f32`.
    #[inline]
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl<const MAX: u32> TryFrom<f32> for UpTo<MAX> {
    type Error = OutOfRange;

    fn try_from(value: f32) -> Result<Self, Self::Error> {
        // Written so that NaN is refused too.
        if value > 0.0 && value <= MAX as f32 {
            return Ok(Self(value));
        }
        let wanted = "above 0 and at most";
        Err(OutOfRange {
            value,
            wanted,
            max: MAX,
        })
    }
}

impl<const MAX: u32> From<UpTo<MAX>> for f32 {
    fn from(value: UpTo<MAX>) -> Self {
        value.0
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Share(f32);

impl Share {
    /// Returns the number as an `f32`.
    #[inline]
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Share {
    type Error = OutOfRange;

    fn try_from(value: f32) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&value) {
            return Ok(Self(value));
        }
        let wanted = "from 0 to";
        Err(OutOfRange {
            value,
            wanted,
            max: 1,
        })
    }
}

impl From<Share> for f32 {
    fn from(value: Share) -> Self {
        value.0
    }
}

/// How a ship or drone responds to its controls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handling {
    /// Acceleration at full thrust, in units a second squared.
    pub thrust: UpTo<100>,
    /// Part of that acceleration that reverse thrust has.
    pub reverse: Share,
    /// Fastest turn, in radians a second.
    pub turn: UpTo<12>,
    /// Part of the speed that is lost in a second.
    pub drag: UpTo<10>,
    /// Highest speed without boost, in units a second.
    pub speed: UpTo<60>,
    /// Factor by which boost multiplies thrust and highest speed.
    pub boost: UpTo<2>,
    /// How long boost burns, in seconds; it takes twice as long to recover.
    pub boost_s: UpTo<60>,
}

/// The body of a ship or drone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Radius, in units.
    pub radius: UpTo<5>,
    /// Mass; an asteroid of radius 1 has 10.
    pub mass: UpTo<1000>,
    /// Hull points when undamaged.
    pub hull: UpTo<60000>,
    /// Shield points when undamaged.
    pub shield: UpTo<60000>,
    /// Shield points that recover in a second.
    pub shield_per_s: UpTo<1000>,
    /// Seconds without a hit before the shield recovers.
    pub shield_wait_s: UpTo<60>,
}

/// A class of ships that pilots fly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShipClass {
    /// Its name.
    pub name: String,
    /// Credits that it costs at a station. Every pilot begins with the first class.
    pub price: u32,
    /// How it flies.
    pub handling: Handling,
    /// Its radius, mass, hull and shield.
    pub body: Body,
    /// Name of its laser.
    pub laser: String,
    /// Name of its kind of missile.
    pub missile: String,
    /// Missiles it carries.
    pub missiles: u8,
    /// Ore it carries.
    pub cargo: u32,
    /// Ore it mines in a second.
    pub mining_per_s: UpTo<1000>,
}

/// A laser: hits the first thing in its way at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Laser {
    /// Its name.
    pub name: String,
    /// Points of damage of a hit.
    pub damage: UpTo<10000>,
    /// Seconds between two shots.
    pub cooldown_s: UpTo<60>,
    /// How far it reaches, in units.
    pub range: UpTo<100>,
    /// Half the width of the beam, in units.
    pub width: UpTo<3>,
    /// How far from the bow it can point, in radians.
    pub arc: UpTo<4>,
}

/// A kind of missile that ships can launch. Each missile homes on the target that was nearest ahead when it was
/// launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissileKind {
    /// Its name.
    pub name: String,
    /// Points of damage of a direct hit; half of it at the edge of the blast.
    pub damage: UpTo<10000>,
    /// Radius of the blast, in units.
    pub blast: UpTo<20>,
    /// Seconds between two launches.
    pub cooldown_s: UpTo<60>,
    /// Speed, in units a second.
    pub speed: UpTo<120>,
    /// Fastest turn, in radians a second.
    pub turn: UpTo<12>,
    /// Seconds until it explodes by itself.
    pub life_s: UpTo<60>,
    /// How far away its target can be at the launch, in units.
    pub seek: UpTo<100>,
    /// Credits that one costs at a station.
    pub price: u32,
}

/// A breed of drones and how it behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroneBreed {
    /// Its name.
    pub name: String,
    /// How many of the drones are of this breed, relative to the others.
    pub weight: u8,
    /// How it flies.
    pub handling: Handling,
    /// Its radius, mass, hull and shield.
    pub body: Body,
    /// Name of its laser.
    pub laser: String,
    /// Number of drones that fly together.
    pub flock: u8,
    /// How far it sees, in units.
    pub sight: UpTo<80>,
    /// Distance that it keeps from others of its flock, in units.
    pub spacing: UpTo<30>,
    /// How far from its patrol it hunts, in units.
    pub leash: UpTo<1000>,
    /// Part of the hull below which it flees.
    pub flees_below: Share,
    /// Largest error of its aim, in radians to either side.
    pub spread: UpTo<1>,
    /// Seconds until a destroyed drone is replaced.
    pub replaced_after_s: UpTo<3600>,
}

/// A part of space that contains drones, asteroids and pilots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Centre, in units.
    pub at: (f32, f32),
    /// Radius, in units. The station is in the middle.
    pub radius: UpTo<2000>,
}

/// Bounds, regions, and the rules that apply to all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceContent {
    /// Half the side of the square around the origin that contains all entities, in units.
    pub half: UpTo<4000>,
    /// How far pilots see, in units.
    pub view: UpTo<200>,
    /// The parts of space that contain drones, asteroids and pilots.
    pub regions: Vec<Region>,
    /// Ore in an asteroid of radius 1; it grows with the square of the radius.
    pub ore: UpTo<100000>,
    /// Radius of the smallest and of the largest asteroid, in units.
    pub asteroid_radius: (UpTo<10>, UpTo<10>),
    /// Radius of a station, in units.
    pub station_radius: UpTo<25>,
    /// Distance from a station's hull within which a ship is docked, in units.
    pub dock: UpTo<50>,
    /// Highest speed of a docked ship, in units a second.
    pub dock_speed: UpTo<60>,
    /// Hull points that a station repairs in a second.
    pub repair_per_s: UpTo<10000>,
    /// Credits for one ore.
    pub ore_price: u32,
    /// Credits for the destruction of a pilot's ship.
    pub ship_bounty: u32,
    /// Credits for the destruction of a drone.
    pub drone_bounty: u32,
    /// How far a mining beam reaches, in units.
    pub mining_range: UpTo<60>,
    /// Highest speed of an impact without damage, in units a second.
    pub impact_speed: UpTo<100>,
    /// Points of damage for every unit a second above that speed.
    pub impact_damage: UpTo<100>,
    /// Seconds until a destroyed pilot has a new ship.
    pub respawn_s: UpTo<60>,
    /// Seconds in which a new ship takes no damage, unless it fires.
    pub protected_s: UpTo<60>,
}

impl SpaceContent {
    /// Returns the credits that a pilot of this score was paid for what it destroyed.
    #[must_use]
    pub fn bounties(&self, score: &Score) -> u64 {
        let [kills, drones] = [(score.kills, self.ship_bounty), (score.drones, self.drone_bounty)]
            .map(|(count, bounty)| u64::from(count) * u64::from(bounty));
        kills + drones
    }
}

/// All content of the game.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Bounds and regions of space, and its rules.
    pub space: SpaceContent,
    /// Ship classes, at least one.
    pub ships: Vec<ShipClass>,
    /// Lasers that ships and drones refer to.
    pub lasers: Vec<Laser>,
    /// Kinds of missiles that ships refer to.
    pub missiles: Vec<MissileKind>,
    /// Breeds of drones, at least one.
    pub drones: Vec<DroneBreed>,
}

/// Digest of a [`Content`]; equal content has the same one on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub u64);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Content {
    /// Returns the digest of all content.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let mut bytes = Vec::new();
        // The only error is content of more than 64 KiB, which the loader refuses by hashing it first.
        let _ = codec::encode_into(self, &mut bytes);
        let mut hash = Fnv1a::default();
        hash.field(&bytes);
        ContentHash(hash.finish())
    }

    /// Returns the index of the laser of this name.
    #[must_use]
    pub fn laser(&self, name: &str) -> Option<usize> {
        self.lasers.iter().position(|laser| laser.name == name)
    }

    /// Returns the index of the kind of missile of this name.
    #[must_use]
    pub fn missile(&self, name: &str) -> Option<usize> {
        self.missiles.iter().position(|missile| missile.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(UpTo::<5>::try_from(5.0).is_ok() && Share::try_from(0.0).is_ok());
        for bad in [0.0, -1.0, 5.1, f32::NAN, f32::INFINITY] {
            assert!(UpTo::<5>::try_from(bad).is_err(), "{bad}");
        }
        for bad in [-0.1, 1.1, f32::NAN] {
            assert!(Share::try_from(bad).is_err(), "{bad}");
        }
        let error = UpTo::<5>::try_from(7.0).unwrap_err();
        assert_eq!(error.to_string(), "7 is not above 0 and at most 5");
    }
}
