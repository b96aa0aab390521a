//! Lag compensation: a pilot's shot is tested against the positions that the pilot saw.
//!
//! This module alone reads the past: from [`Rewind`], at the moment that came with an input. The engine limits that
//! moment: it is never in the future and at most [`REWIND_MAX`](throng_server::simulation::REWIND_MAX) ago, and
//! claims beyond are counted there.

use glam::Vec2;
use skirmish_shared::input::PilotInput;
use throng_server::prelude::{ActiveInput, Rewind, SeenAt};
use throng_shared::tick::Tick;

use super::bodies::BodyRow;

/// The positions of all bodies at one moment.
pub struct Past<'a> {
    /// The published frames.
    pub rewind: &'a Rewind<'a, 'a>,
    /// The running tick, which has no frame yet.
    pub now: Tick,
    /// The moment; `None` for the present.
    pub seen_at: Option<SeenAt>,
}

impl Past<'_> {
    /// Returns the number of ticks from the moment to the present, rounded up.
    #[must_use]
    pub fn age(&self) -> u32 {
        let age = self.seen_at.map_or(0, |seen| self.now.since(seen.tick));
        age.max(0) as u32
    }

    /// Returns the position at the moment of a body whose present position is `present`. Returns `present` if the body
    /// did not exist then.
    #[must_use]
    pub fn position(&self, body: &BodyRow, present: Vec2) -> Vec2 {
        let Some(seen) = self.seen_at else {
            return present;
        };
        let position_at = |tick: Tick| {
            if tick.since(self.now) >= 0 {
                return Some(present);
            }
            let pose = self.rewind.pose_of(body.id, body.slot, body.ghost_of, tick)?;
            Some(pose.position().0)
        };
        if seen.tick.since(self.now) >= 0 {
            return present;
        }
        // Skipped ticks have no frame: the client has interpolated between the states around them.
        let around = self.rewind.ticks_around(seen.tick);
        let Some((from, Some(before))) = around.map(|(from, _)| (from, position_at(from))) else {
            return present;
        };
        let to = around.and_then(|(_, to)| to).unwrap_or(self.now);
        let after = position_at(to).unwrap_or(before);
        let passed = seen.tick.since(from) as f32 + f32::from(seen.fraction) / 256.0;
        before.lerp(after, passed / to.since(from) as f32)
    }
}

/// Returns the moment that the pilot saw when it gave an input.
#[must_use]
pub fn seen_at(active: &ActiveInput<PilotInput>) -> Option<SeenAt> {
    active.seen_at
}
