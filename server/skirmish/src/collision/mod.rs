//! Collisions of discs: no disc passes through another, and none gains energy from a collision.
//!
//! In one tick every disc flies until its first touch, touching discs push each other apart, and then they fly on
//! for the rest of the tick. Guarantees, for any velocities:
//!
//! - no tunnelling: a disc never passes through another, because its whole path is tested;
//! - no energy gain, and momentum is kept: the contacts of a disc share its mass, so each can be solved without the
//!   others, and the mean of the solutions never has more energy than before (kinetic energy is convex);
//! - no dependence on order: every step reads the result of the step before, and sums go over pairs in the order of
//!   ids.
//!
//! Pure: independent of entities and of the game. Systems derive speeds and damage from the contacts.

mod solve;
mod sweep;
#[cfg(test)]
mod tests;

use glam::Vec2;

/// Share of the approach speed that is left as rebound.
pub const RESTITUTION: f32 = 0.4;
/// Distance at which two discs count as touching, beyond their radii, in units: at most what rounding to quanta may
/// take away.
pub const SKIN: f32 = 0.02;
/// Rounds of moving and pushing in one tick.
const ROUNDS: usize = 2;

/// A body as collisions treat it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disc {
    /// Position of the centre, in units.
    pub position: Vec2,
    /// Velocity, in units per second.
    pub velocity: Vec2,
    /// Radius, in units.
    pub radius: f32,
    /// 1 / mass; 0 for a body that nothing moves.
    pub inverse_mass: f32,
    /// Whether the disc stops at what it touches without pushing it.
    pub is_sensor: bool,
    /// Whether it was pushed in this tick.
    pub bumped: bool,
}

/// Two discs that touched in this tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// The lower row.
    pub a: u32,
    /// The higher row.
    pub b: u32,
    /// Speed of approach, in units per second.
    pub speed: f32,
}

/// Buffers of the computation, kept between ticks to reuse their memory.
#[derive(Debug, Default)]
pub struct Solver {
    ways: Vec<Vec2>,
    /// Positions at the start of the tick of the discs that moved then; `None` for discs at rest.
    starts: Vec<Option<Vec2>>,
    stops: Vec<f32>,
    next_stops: Vec<f32>,
    near: Vec<(u32, u32)>,
    touching: Vec<solve::Touch>,
    counts: Vec<u16>,
    pushes: Vec<Vec2>,
}

impl Solver {
    /// Moves `discs` by one tick of `tick_s` seconds and fills `contacts`. `pairs` are the rows that may meet, each
    /// with the lower row first, in order.
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
        let start_of = |disc: &Disc| (disc.velocity != Vec2::ZERO).then_some(disc.position);
        self.starts.clear();
        self.starts.extend(discs.iter().map(start_of));
        for round in 0..ROUNDS {
            self.advance(discs, pairs);
            self.find_touches(discs);
            if self.touching.is_empty() {
                break;
            }
            contacts.extend(self.touching.iter().map(solve::Touch::contact));
            self.respond(discs);
            self.update_ways(discs, tick_s, round);
        }
        self.separate(discs, pairs);
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
