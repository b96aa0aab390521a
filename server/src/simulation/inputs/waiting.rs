//! The inputs of one player that wait for their ticks.
//!
//! Nearly always these are the next two or three, so there is room for [`NEAR`] beside the player's other state
//! and a list for the rest. A ring over all ticks that an input may be ahead would be as many cache lines a
//! player, another one of which is waited for in every tick.

use serde::{Deserialize, Serialize};
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::InputBytes;
use throng_shared::tick::Tick;

/// Inputs are kept for this many ticks ahead. A client needs a few; one further ahead is dropped.
pub const AHEAD_TICKS_MAX: u32 = 32;
/// Inputs that a player's own memory has room for.
const NEAR: usize = 4;

/// An input that waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PendingInput {
    pub(super) tick: Tick,
    pub(super) input: InputBytes,
    pub(super) seen_at: Option<SeenAt>,
}

/// At most one input for each of the next [`AHEAD_TICKS_MAX`] ticks. In a checkpoint it is a ring of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Ring", into = "Ring")]
pub(super) struct Waitlist {
    /// By tick.
    near: [Option<PendingInput>; NEAR],
    /// Those whose place was taken, in no order.
    far: Vec<PendingInput>,
}

type Ring = [Option<PendingInput>; AHEAD_TICKS_MAX as usize];

impl Waitlist {
    /// Adds an input unless there is one for its tick; answers whether it did. Whose tick was before `current`
    /// is forgotten where room is needed.
    pub(super) fn insert(&mut self, waiting: PendingInput, current: Tick) -> bool {
        let place = &mut self.near[waiting.tick.0 as usize % NEAR];
        let is_same = |kept: &PendingInput| kept.tick == waiting.tick;
        if place.as_ref().is_some_and(is_same) || self.far.iter().any(is_same) {
            return false;
        }
        match place {
            Some(kept) if !current.is_after(kept.tick) => {
                self.far.retain(|kept| !current.is_after(kept.tick));
                self.far.push(waiting);
            }
            _ => *place = Some(waiting),
        }
        true
    }

    /// Takes out the input of a tick.
    pub(super) fn take(&mut self, tick: Tick) -> Option<PendingInput> {
        let near = self.near[tick.0 as usize % NEAR].take_if(|kept| kept.tick == tick);
        near.or_else(|| {
            let at = self.far.iter().position(|kept| kept.tick == tick)?;
            Some(self.far.swap_remove(at))
        })
    }
}

impl From<Waitlist> for Ring {
    fn from(list: Waitlist) -> Self {
        let mut ring = [None; AHEAD_TICKS_MAX as usize];
        for waiting in list.near.into_iter().flatten().chain(list.far) {
            ring[waiting.tick.0 as usize % AHEAD_TICKS_MAX as usize] = Some(waiting);
        }
        ring
    }
}

impl From<Ring> for Waitlist {
    fn from(ring: Ring) -> Self {
        let mut list = Self::default();
        for waiting in ring.into_iter().flatten() {
            // All of them wait: whose tick is over is known in the next tick.
            list.insert(waiting, waiting.tick - AHEAD_TICKS_MAX);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(tick: u32) -> PendingInput {
        PendingInput {
            tick: Tick(tick),
            input: InputBytes::default(),
            seen_at: None,
        }
    }

    #[test]
    fn every_tick_ahead_has_room_and_a_checkpoint_keeps_all() {
        let start = Tick(u32::MAX - 9);
        let mut list = Waitlist::default();
        for ahead in (0..AHEAD_TICKS_MAX).rev() {
            assert!(list.insert(waiting((start + ahead).0), start));
            assert!(!list.insert(waiting((start + ahead).0), start));
        }
        let mut list = Waitlist::from(Ring::from(list));
        for ahead in 0..AHEAD_TICKS_MAX {
            let tick = start + ahead;
            assert_eq!(list.take(tick).unwrap().tick, tick);
            assert!(list.take(tick).is_none());
        }
    }

    #[test]
    fn what_was_never_taken_makes_room() {
        let mut list = Waitlist::default();
        for tick in 0..10_000 {
            assert!(list.insert(waiting(tick + 29), Tick(tick)));
            assert!(list.far.len() <= AHEAD_TICKS_MAX as usize, "{}", list.far.len());
        }
    }
}
