//! Lag compensation: a pilot's shot is judged by where others were when the pilot saw them.
//!
//! The one place that knows where the game's view of the past comes from: the simulation's frames, and the
//! view that came with an input. Guarantees that nobody looks into the future or farther back than the rules
//! allow, and that those who try are counted and gain nothing.

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::{GlobalId, Slot};
use throng_shared::protocol::input::ViewTick;
use throng_shared::skirmish::input::PilotInput;
use throng_shared::tick::Tick;

use crate::frame::FrameHistory;
use crate::input::ActiveInput;

/// What pilots claimed to have seen.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewindCounters {
    /// Shots that were judged in the past.
    pub rewound: u64,
    /// Views of what had not happened yet; taken as the present.
    pub future: u64,
    /// Views of what was longer ago than the rules allow; taken as the oldest that they allow.
    pub too_old: u64,
}

/// A moment in which shots are judged: a tick, and 256ths of the way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The tick.
    pub tick: Tick,
    /// 256ths after it.
    pub fraction: u8,
}

impl Moment {
    /// The moment that a view in an input for tick `now` stands for, `back_max` ticks back at most.
    pub fn seen(view: Option<ViewTick>, now: Tick, back_max: u32, counters: &mut RewindCounters) -> Self {
        let present = Self {
            tick: now,
            fraction: 0,
        };
        let Some(view) = view else {
            return present;
        };
        let (tick, fraction) = view.unwrap_near(now);
        if tick.since(now) >= 0 {
            counters.future += u64::from(tick != now || fraction > 0);
            return present;
        }
        counters.rewound += 1;
        if now.since(tick) > back_max as i32 {
            counters.too_old += 1;
            return Self {
                tick: now - back_max,
                fraction: 0,
            };
        }
        Self { tick, fraction }
    }
}

/// Where everybody was at a moment.
pub struct Past<'a> {
    /// The frames.
    pub frames: &'a FrameHistory,
    /// The tick that runs, of which there is no frame yet.
    pub now: Tick,
    /// The moment.
    pub moment: Moment,
}

impl Past<'_> {
    /// Where somebody was who is at `present` now. One who was not there yet counts as where it is.
    #[must_use]
    pub fn position(&self, slot: Slot, id: GlobalId, present: Vec2) -> Vec2 {
        let at = |tick: Tick| {
            if tick.since(self.now) >= 0 {
                return Some(present);
            }
            let frame = self.frames.at(tick)?;
            let row = frame.row(slot)?;
            (frame.identity(slot).global == id).then(|| row.pose.position().0)
        };
        let Some(before) = at(self.moment.tick) else {
            return present;
        };
        let after = at(self.moment.tick.next()).unwrap_or(before);
        before.lerp(after, f32::from(self.moment.fraction) / 256.0)
    }
}

/// The view that came with an input.
#[must_use]
pub fn view_of(active: &ActiveInput<PilotInput>) -> Option<ViewTick> {
    active.view
}
