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
mod state;
mod sweep;
#[cfg(test)]
mod tests;

use glam::Vec2;

pub(crate) use state::REACH;
pub use state::{Contact, Disc, RESTITUTION, SKIN, Solver};
use state::{ROUNDS, Touch};

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
            contacts.extend(self.touching.iter().map(Touch::contact));
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
