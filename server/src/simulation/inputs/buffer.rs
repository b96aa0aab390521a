//! The inputs of one player, by tick.
//!
//! Bounded: inputs beyond the bounds are dropped and counted, and have no other effect.

use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};
use throng_shared::limits::INPUT_TICKS_AHEAD_MAX;
use throng_shared::protocol::active::SeenAt;
use throng_shared::protocol::input::InputBytes;
use throng_shared::tick::Tick;

use super::view;
use super::waiting::{PendingInput, Waitlist};

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
    /// The tick of the last input if that was too far ahead. Not a part of checkpoints: only its client is told.
    #[serde(skip)]
    early: Option<Tick>,
    /// Whether the next input that is offered replaces those that wait for its tick and later ones.
    #[serde(skip)]
    replaces: bool,
}

/// The result of offering an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The input waits for its tick.
    Kept,
    /// Dropped, because its tick has begun.
    Late,
    /// Dropped, because its tick is [`INPUT_TICKS_AHEAD_MAX`] ticks away or more.
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
    /// No input arrived for longer than the last one is held, or ever.
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
            early: None,
            replaces: false,
        }
    }
}

impl InputBuffer {
    /// Offers an input for `tick` while `current` is the tick that is about to run. `seen_at` is what its
    /// player saw, after validation. `margin_16` is how long before its tick was due the input arrived, in 1/16 tick.
    pub fn offer(
        &mut self,
        tick: Tick,
        input: InputBytes,
        seen_at: Option<SeenAt>,
        current: Tick,
        margin_16: i16,
    ) -> Offer {
        if std::mem::take(&mut self.replaces) {
            self.waiting.remove_from(tick);
            (self.newest, self.early) = (None, None);
        }
        let ahead = tick.since(current);
        if ahead >= INPUT_TICKS_AHEAD_MAX as i32 {
            (self.early, self.margin_16) = (Some(tick), margin_16);
            return Offer::Early;
        }
        // Only the newest input says how far ahead the client's clock is. Repeats of older inputs are late by
        // nature.
        if self.newest.is_none_or(|newest| tick.is_after(newest)) {
            (self.newest, self.early) = (Some(tick), None);
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

    /// Lets the next input replace those that wait for its tick and later ones, because the client's clock has jumped
    /// backward.
    pub fn restart(&mut self) {
        self.replaces = true;
    }

    /// Takes the input of `tick`, which begins now. A missing one is replaced by the last one in up to `held_ticks`
    /// ticks in a row; ticks that were skipped do not count.
    pub fn take(&mut self, tick: Tick, held_ticks: u8) -> TickInput {
        if let Some(PendingInput { input, seen_at, .. }) = self.waiting.take(tick) {
            (self.last, self.seen_at) = (input, seen_at);
            self.repeats = 0;
            self.started = true;
            self.last_applied = tick;
            return TickInput::Fresh(input);
        }
        if !self.started || self.repeats >= held_ticks {
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

    /// Returns by how many ticks the newest input is ahead of `tick`, within -127 and 127; -128 before the first input.
    #[must_use]
    pub fn newest_ahead(&self, tick: Tick) -> i8 {
        let newest = self.early.or(self.newest);
        newest.map_or(i8::MIN, |newest| newest.since(tick).clamp(-127, 127) as i8)
    }

    /// Returns how long before its tick was due the newest input arrived, in 1/16 tick; negative if it was late.
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
    fn a_missing_input_is_repeated_while_the_last_one_is_held_and_neutral_after() {
        let mut buffer = InputBuffer::default();
        assert_eq!(buffer.take(Tick(9), 5), TickInput::Neutral);
        assert_eq!(buffer.offer(Tick(10), input(1), None, Tick(10), 3), Offer::Kept);
        assert_eq!(buffer.take(Tick(10), 5), TickInput::Fresh(input(1)));
        for tick in 11..16 {
            assert_eq!(
                buffer.take(Tick(tick), 5),
                TickInput::Repeated(input(1)),
                "{tick}"
            );
        }
        assert_eq!(buffer.take(Tick(16), 5), TickInput::Neutral);
        assert_eq!(buffer.last_applied(), Tick(10));
        assert_eq!(buffer.offer(Tick(17), input(2), None, Tick(17), 3), Offer::Kept);
        assert_eq!(buffer.take(Tick(17), 5), TickInput::Fresh(input(2)));
        assert_eq!(buffer.take(Tick(18), 5), TickInput::Repeated(input(2)));
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
        assert_eq!(buffer.take(now, 5), TickInput::Fresh(input(1)));
        for ahead in 1..31 {
            assert!(!matches!(buffer.take(now + ahead, 5), TickInput::Fresh(_)));
        }
        assert_eq!(buffer.take(now + 31, 5), TickInput::Fresh(input(3)));
    }

    #[test]
    fn newer_inputs_replace_those_that_wait_after_a_restart() {
        let mut buffer = InputBuffer::default();
        for tick in 10..15 {
            buffer.offer(Tick(tick), input(1), None, Tick(10), 0);
        }
        assert_eq!(buffer.take(Tick(10), 30), TickInput::Fresh(input(1)));
        assert_eq!(buffer.newest_ahead(Tick(10)), 4);
        buffer.restart();
        assert_eq!(
            buffer.take(Tick(11), 30),
            TickInput::Fresh(input(1)),
            "nothing newer has arrived"
        );
        assert_eq!(buffer.offer(Tick(12), input(2), None, Tick(12), 8), Offer::Kept);
        assert_eq!((buffer.newest_ahead(Tick(11)), buffer.margin_16()), (1, 8));
        assert_eq!(buffer.take(Tick(12), 30), TickInput::Fresh(input(2)));
        assert_eq!(
            buffer.take(Tick(13), 30),
            TickInput::Repeated(input(2)),
            "13 was discarded"
        );
    }

    #[test]
    fn the_last_input_is_held_over_skipped_ticks() {
        let mut buffer = InputBuffer::default();
        buffer.offer(Tick(10), input(1), None, Tick(10), 0);
        assert_eq!(buffer.take(Tick(10), 5), TickInput::Fresh(input(1)));
        for jump in 1..=5 {
            assert_eq!(
                buffer.take(Tick(10 + jump * 300), 5),
                TickInput::Repeated(input(1))
            );
        }
        assert_eq!(buffer.take(Tick(5_000), 5), TickInput::Neutral);
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
            buffer.take(Tick(tick), 5);
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
                match (buffer.take(now, 5), expected.remove(&now)) {
                    (TickInput::Fresh(taken), Some(value)) => prop_assert_eq!(taken, input(value)),
                    (TickInput::Fresh(_), None) | (_, Some(_)) => prop_assert!(false),
                    _ => {}
                }
            }
        }
    }
}
