//! Collisions of discs: nobody passes through anybody, nobody gains by it.
//!
//! One tick: everybody flies until its first touch, those that touch push each other off, and fly on for what
//! is left of the tick. Guarantees, for any velocities:
//!
//! - no tunnelling: a disc never passes through another, because its way is tested as a whole;
//! - no energy gained and momentum kept: contacts of one disc share its mass, so each may be solved without
//!   the others, and their mean never has more energy than they had (kinetic energy is convex);
//! - no order: every step reads what the step before left, and sums go over pairs in the order of ids.
//!
//! Pure: knows no entities and nothing of the game. Speeds and damage are what others make of the contacts.

mod solve;
mod sweep;
#[cfg(test)]
mod tests;

use glam::Vec2;

/// Part of the approach that is left as rebound.
pub const RESTITUTION: f32 = 0.4;
/// Distance at which two discs count as touching, beyond their radii, in units: what rounding to quanta may
/// take away.
pub const SKIN: f32 = 0.02;
/// Rounds of flying and pushing in one tick.
const ROUNDS: usize = 2;

/// A body in collisions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disc {
    /// Centre, in units.
    pub position: Vec2,
    /// In units a second.
    pub velocity: Vec2,
    /// In units.
    pub radius: f32,
    /// 1 / mass; 0 for what nothing moves.
    pub inverse_mass: f32,
    /// Stops at what it touches, and pushes nobody.
    pub is_sensor: bool,
    /// Whether it was pushed in this tick.
    pub bumped: bool,
}

/// Two that touched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// The lower row.
    pub a: u32,
    /// The higher row.
    pub b: u32,
    /// How fast they approached each other, in units a second.
    pub speed: f32,
}

/// What collisions need while they are computed; kept for its memory.
#[derive(Debug, Default)]
pub struct Solver {
    ways: Vec<Vec2>,
    /// Where those began the tick who set out at all.
    starts: Vec<Option<Vec2>>,
    stops: Vec<f32>,
    next_stops: Vec<f32>,
    near: Vec<(u32, u32)>,
    touching: Vec<solve::Touch>,
    counts: Vec<u16>,
    pushes: Vec<Vec2>,
}

impl Solver {
    /// Moves `discs` by one tick of `tick_s` and fills `contacts`. `pairs` are the rows that may meet, the
    /// lower first, in order.
    pub fn solve(
        &mut self,
        discs: &mut [Disc],
        pairs: &[(u32, u32)],
        tick_s: f32,
        contacts: &mut Vec<Contact>,
    ) {
        contacts.clear();
        self.ways.clear();
        self.ways.extend(discs.iter().map(|disc| disc.velocity * tick_s));
        let set_out = |disc: &Disc| (disc.velocity != Vec2::ZERO).then_some(disc.position);
        self.starts.clear();
        self.starts.extend(discs.iter().map(set_out));
        for round in 0..ROUNDS {
            self.advance(discs, pairs);
            self.find_touches(discs);
            if self.touching.is_empty() {
                break;
            }
            contacts.extend(self.touching.iter().map(solve::Touch::contact));
            self.respond(discs);
            self.ways_left(discs, tick_s, round);
        }
        self.part(discs, pairs);
        contacts.sort_unstable_by_key(|contact| (contact.a, contact.b));
        contacts.dedup_by(|later, first| {
            let same = (later.a, later.b) == (first.a, first.b);
            if same {
                first.speed = first.speed.max(later.speed);
            }
            same
        });
    }
}
