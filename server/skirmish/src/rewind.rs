//! Lag compensation: a pilot's shot is judged by where others were when the pilot saw them.
//!
//! The one place that knows where the game's view of the past comes from: [`Rewind`], and the moment that came
//! with an input. That moment is judged by the engine: it is never of the future, nor longer
//! ago than [`REWIND_MAX`](throng_server::simulation::REWIND_MAX), and claims beyond are counted there.

use glam::Vec2;
use skirmish_shared::input::PilotInput;
use throng_server::prelude::{ActiveInput, Rewind, SeenAt};
use throng_shared::tick::Tick;

use super::bodies::BodyRow;

/// Where everybody was at a moment.
pub struct Past<'a> {
    /// The frames.
    pub rewind: &'a Rewind<'a, 'a>,
    /// The tick that runs, of which there is no frame yet.
    pub now: Tick,
    /// The moment; none is the present.
    pub seen_at: Option<SeenAt>,
}

impl Past<'_> {
    /// Ticks from the moment to the present, at most.
    #[must_use]
    pub fn age(&self) -> u32 {
        let age = self.seen_at.map_or(0, |seen| self.now.since(seen.tick));
        age.max(0) as u32
    }

    /// Where somebody was who is at `present` now. One who was not there yet counts as where it is.
    #[must_use]
    pub fn position(&self, body: &BodyRow, present: Vec2) -> Vec2 {
        let Some(seen) = self.seen_at else {
            return present;
        };
        let at = |tick: Tick| {
            if tick.since(self.now) >= 0 {
                return Some(present);
            }
            let pose = self.rewind.pose_of(body.id, body.slot, body.ghost_of, tick)?;
            Some(pose.position().0)
        };
        let Some(before) = at(seen.tick) else {
            return present;
        };
        let after = at(seen.tick.next()).unwrap_or(before);
        before.lerp(after, f32::from(seen.fraction) / 256.0)
    }
}

/// What the pilot saw when giving an input.
#[must_use]
pub fn seen_at(active: &ActiveInput<PilotInput>) -> Option<SeenAt> {
    active.seen_at
}
