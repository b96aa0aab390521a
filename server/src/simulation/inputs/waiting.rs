//! The inputs of one player that wait for their ticks.
//!
//! Nearly always these are the next two or three inputs, so that [`NEAR`] of them are stored beside the
//! player's other state, and the rest in a list. A ring with room for each of the [`INPUT_TICKS_AHEAD_MAX`] ticks
//! would take about one cache line per tick and player, and every tick would wait for one that is not in the cache.

use serde::{Deserialize, Serialize};
use throng_shared::limits::INPUT_TICKS_AHEAD_MAX;
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::InputBytes;
use throng_shared::tick::Tick;

/// The number of inputs that are stored in the player's own memory.
const NEAR: usize = 4;

/// An input that waits for its tick.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct PendingInput {
    pub(super) tick: Tick,
    pub(super) input: InputBytes,
    pub(super) seen_at: Option<SeenAt>,
}

/// At most one input for each of the next [`INPUT_TICKS_AHEAD_MAX`] ticks. A checkpoint holds it as a ring of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Ring", into = "Ring")]
pub(super) struct Waitlist {
    /// Inputs by their tick modulo [`NEAR`].
    near: [Option<PendingInput>; NEAR],
    /// The inputs whose index in `near` was taken, in no order.
    far: Vec<PendingInput>,
}

type Ring = [Option<PendingInput>; INPUT_TICKS_AHEAD_MAX as usize];

impl Waitlist {
    /// Adds an input unless there is one for its tick, and returns whether it was added. Evicts inputs for
    /// ticks before `current` when room is needed.
    pub(super) fn insert(&mut self, waiting: PendingInput, current: Tick) -> bool {
        let near = &mut self.near[waiting.tick.0 as usize % NEAR];
        let is_same = |kept: &PendingInput| kept.tick == waiting.tick;
        if near.as_ref().is_some_and(is_same) || self.far.iter().any(is_same) {
            return false;
        }
        match near {
            Some(kept) if !current.is_after(kept.tick) => {
                self.far.retain(|kept| !current.is_after(kept.tick));
                self.far.push(waiting);
            }
            _ => *near = Some(waiting),
        }
        true
    }

    /// Removes the inputs of `tick` and of later ticks.
    pub(super) fn remove_from(&mut self, tick: Tick) {
        for near in &mut self.near {
            near.take_if(|kept| kept.tick.since(tick) >= 0);
        }
        self.far.retain(|kept| tick.is_after(kept.tick));
    }

    /// Removes and returns the input of a tick.
    pub(super) fn take(&mut self, tick: Tick) -> Option<PendingInput> {
        let near = self.near[tick.0 as usize % NEAR].take_if(|kept| kept.tick == tick);
        near.or_else(|| {
            let index = self.far.iter().position(|kept| kept.tick == tick)?;
            Some(self.far.swap_remove(index))
        })
    }
}

impl From<Waitlist> for Ring {
    fn from(list: Waitlist) -> Self {
        let mut ring = [None; INPUT_TICKS_AHEAD_MAX as usize];
        for waiting in list.near.into_iter().flatten().chain(list.far) {
            ring[waiting.tick.0 as usize % INPUT_TICKS_AHEAD_MAX as usize] = Some(waiting);
        }
        ring
    }
}

impl From<Ring> for Waitlist {
    fn from(ring: Ring) -> Self {
        let mut list = Self::default();
        for waiting in ring.into_iter().flatten() {
            // All inputs are kept: those of past ticks are evicted later, when `current` is known.
            list.insert(waiting, waiting.tick - INPUT_TICKS_AHEAD_MAX);
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
    fn the_waitlist_holds_every_tick_ahead_and_survives_a_checkpoint() {
        let start = Tick(u32::MAX - 9);
        let mut list = Waitlist::default();
        for ahead in (0..INPUT_TICKS_AHEAD_MAX).rev() {
            assert!(list.insert(waiting((start + ahead).0), start));
            assert!(!list.insert(waiting((start + ahead).0), start));
        }
        let mut list = Waitlist::from(Ring::from(list));
        for ahead in 0..INPUT_TICKS_AHEAD_MAX {
            let tick = start + ahead;
            assert_eq!(list.take(tick).unwrap().tick, tick);
            assert!(list.take(tick).is_none());
        }
    }

    #[test]
    fn the_waitlist_evicts_inputs_of_past_ticks() {
        let mut list = Waitlist::default();
        for tick in 0..10_000 {
            assert!(list.insert(waiting(tick + 29), Tick(tick)));
            assert!(
                list.far.len() <= INPUT_TICKS_AHEAD_MAX as usize,
                "{}",
                list.far.len()
            );
        }
    }
}
