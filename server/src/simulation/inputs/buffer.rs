//! The inputs of one player, by tick.
//!
//! Bounded: inputs beyond the bounds are dropped and counted, and have no other effect.

use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::InputBytes;
use throng_shared::tick::Tick;

use super::view;
use super::waiting::{AHEAD_TICKS_MAX, PendingInput, Waitlist};

/// Number of ticks for which a missing input is replaced by the last one. After that the neutral input
/// applies.
pub(super) const REPEAT_TICKS_MAX: u8 = 5;

/// The inputs of one player that wait for their ticks, and the state of the player's clock.
#[derive(Component, Clone, Debug, Serialize, Deserialize)]
pub struct InputBuffer {
    waiting: Waitlist,
    last: InputBytes,
    seen_at: Option<SeenAt>,
    repeats: u8,
    started: bool,
    last_applied: Tick,
    newest: Option<Tick>,
    margin_16: i16,
}

/// The result of offering an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The input waits for its tick.
    Kept,
    /// Dropped, because its tick has begun.
    Late,
    /// Dropped, because its tick is [`AHEAD_TICKS_MAX`] ticks away or more.
    Early,
    /// Dropped, because its tick has an input already. The first one counts.
    Duplicate,
}

/// The input of a player in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickInput {
    /// The input that was sent for this tick.
    Fresh(InputBytes),
    /// No input arrived for this tick; the last one is repeated.
    Repeated(InputBytes),
    /// No input arrived for more than [`REPEAT_TICKS_MAX`] ticks, or ever.
    Neutral,
}

impl Default for InputBuffer {
    fn default() -> Self {
        Self {
            waiting: Waitlist::default(),
            last: InputBytes::default(),
            seen_at: None,
            repeats: 0,
            started: false,
            last_applied: Tick(0),
            newest: None,
            margin_16: 0,
        }
    }
}

impl InputBuffer {
    /// Offers an input for `tick` while `current` is the tick that is about to run. `seen_at` is what its
    /// player saw, after validation. `margin_16` is how long before its tick the input arrived, in 1/16 tick.
    pub fn offer(
        &mut self,
        tick: Tick,
        input: InputBytes,
        seen_at: Option<SeenAt>,
        current: Tick,
        margin_16: i16,
    ) -> Offer {
        let ahead = tick.since(current);
        if ahead >= AHEAD_TICKS_MAX as i32 {
            self.margin_16 = margin_16;
            return Offer::Early;
        }
        // Only the newest input says how far ahead the client's clock is. Repeats of older inputs are late by
        // nature.
        if self.newest.is_none_or(|newest| tick.is_after(newest)) {
            self.newest = Some(tick);
            self.margin_16 = margin_16;
        }
        if ahead < 0 {
            return Offer::Late;
        }
        match self
            .waiting
            .insert(PendingInput { tick, input, seen_at }, current)
        {
            true => Offer::Kept,
            false => Offer::Duplicate,
        }
    }

    /// Takes the input of `tick`, which begins now.
    pub fn take(&mut self, tick: Tick) -> TickInput {
        if let Some(PendingInput { input, seen_at, .. }) = self.waiting.take(tick) {
            (self.last, self.seen_at) = (input, seen_at);
            self.repeats = 0;
            self.started = true;
            self.last_applied = tick;
            return TickInput::Fresh(input);
        }
        if !self.started || self.repeats == REPEAT_TICKS_MAX {
            self.seen_at = None;
            return TickInput::Neutral;
        }
        self.repeats += 1;
        // The player's view continues with the same delay.
        self.seen_at = self.seen_at.map(view::next);
        TickInput::Repeated(self.last)
    }

    /// Returns the newest tick in which an input that arrived was taken; 0 before the first.
    #[must_use]
    pub fn last_applied(&self) -> Tick {
        self.last_applied
    }

    /// Returns the time that the player saw when it gave the input of this tick: the time to which lag
    /// compensation rewinds before it decides whether a shot has hit. Whatever the client claims, the time is
    /// not later than the newest frame, and not more than [`REWIND_MAX`](super::REWIND_MAX) ago. It advances
    /// with an input that is repeated. `None` without an input, and for a client that does not send the time.
    #[must_use]
    pub fn seen_at(&self) -> Option<SeenAt> {
        self.seen_at
    }

    /// Returns how long before its tick the newest input arrived, in 1/16 tick; negative if it was late.
    #[must_use]
    pub fn margin_16(&self) -> i16 {
        self.margin_16
    }

    /// Returns whether any input was ever taken.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn input(value: u8) -> InputBytes {
        InputBytes::new(&[value]).unwrap()
    }

    #[test]
    fn a_missing_input_is_repeated_for_five_ticks_and_neutral_after_them() {
        let mut buffer = InputBuffer::default();
        assert_eq!(buffer.take(Tick(9)), TickInput::Neutral);
        assert_eq!(buffer.offer(Tick(10), input(1), None, Tick(10), 3), Offer::Kept);
        assert_eq!(buffer.take(Tick(10)), TickInput::Fresh(input(1)));
        for tick in 11..16 {
            assert_eq!(buffer.take(Tick(tick)), TickInput::Repeated(input(1)), "{tick}");
        }
        assert_eq!(buffer.take(Tick(16)), TickInput::Neutral);
        assert_eq!(buffer.last_applied(), Tick(10));
        assert_eq!(buffer.offer(Tick(17), input(2), None, Tick(17), 3), Offer::Kept);
        assert_eq!(buffer.take(Tick(17)), TickInput::Fresh(input(2)));
        assert_eq!(buffer.take(Tick(18)), TickInput::Repeated(input(2)));
    }

    #[test]
    fn late_early_and_duplicate_inputs_are_distinguished() {
        let mut buffer = InputBuffer::default();
        let now = Tick(u32::MAX - 3);
        assert_eq!(buffer.offer(now, input(1), None, now, 8), Offer::Kept);
        assert_eq!(buffer.offer(now, input(2), None, now, 8), Offer::Duplicate);
        assert_eq!(buffer.offer(now - 1, input(1), None, now, -20), Offer::Late);
        assert_eq!(buffer.margin_16(), 8, "an older input does not change the margin");
        assert_eq!(buffer.offer(now + 31, input(3), None, now, 40), Offer::Kept);
        assert_eq!(
            buffer.offer(now + 32, input(4), None, now, i16::MAX),
            Offer::Early
        );
        assert_eq!(
            buffer.offer(now - 0x7000_0000, input(4), None, now, i16::MIN),
            Offer::Late
        );
        assert_eq!(buffer.take(now), TickInput::Fresh(input(1)));
        for ahead in 1..31 {
            assert!(!matches!(buffer.take(now + ahead), TickInput::Fresh(_)));
        }
        assert_eq!(buffer.take(now + 31), TickInput::Fresh(input(3)));
    }

    #[test]
    fn the_seen_time_of_an_input_advances_while_the_input_is_repeated() {
        let seen = |tick| {
            Some(SeenAt {
                tick: Tick(tick),
                fraction: 9,
            })
        };
        let mut buffer = InputBuffer::default();
        for (tick, seen_at) in [(10, seen(7)), (11, None), (12, seen(9))] {
            buffer.offer(Tick(tick), input(1), seen_at, Tick(10), 0);
        }
        assert_eq!(
            buffer.offer(Tick(10), input(2), seen(8), Tick(10), 0),
            Offer::Duplicate
        );
        let after = (10..20).map(|tick| {
            buffer.take(Tick(tick));
            buffer.seen_at()
        });
        let expected = [
            seen(7),
            None,
            seen(9),
            seen(10),
            seen(11),
            seen(12),
            seen(13),
            seen(14),
            None,
            None,
        ];
        assert_eq!(after.collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn every_input_is_taken_in_its_tick_or_counted(
            offers in prop::collection::vec((0u32..30, -4i32..40, any::<u8>()), 0..200),
        ) {
            let mut offers = offers;
            offers.sort_by_key(|&(due, ..)| due);
            let mut buffer = InputBuffer::default();
            let mut expected = BTreeMap::new();
            let mut offers = offers.into_iter().peekable();
            for offset in 0..80u32 {
                let now = Tick(u32::MAX - 20) + offset;
                while let Some((_, ahead, value)) = offers.next_if(|&(due, ..)| due == offset) {
                    let tick = now + ahead as u32;
                    let wanted = match ahead {
                        ..0 => Offer::Late,
                        32.. => Offer::Early,
                        _ if expected.contains_key(&tick) => Offer::Duplicate,
                        _ => Offer::Kept,
                    };
                    prop_assert_eq!(buffer.offer(tick, input(value), None, now, 0), wanted);
                    if wanted == Offer::Kept {
                        expected.insert(tick, value);
                    }
                }
                match (buffer.take(now), expected.remove(&now)) {
                    (TickInput::Fresh(taken), Some(value)) => prop_assert_eq!(taken, input(value)),
                    (TickInput::Fresh(_), None) | (_, Some(_)) => prop_assert!(false),
                    _ => {}
                }
            }
        }
    }
}
