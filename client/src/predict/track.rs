//! The history of a component's predicted values, by tick.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

/// Ticks that are remembered: more than a client ever leads the server by.
pub(super) const TRACK_TICKS: usize = 128;

/// The predicted values of a component in the last ticks; `None` where the entity had none.
#[derive(Component, Debug)]
pub(super) struct Track<T>(VecDeque<(Tick, Option<T>)>);

/// The value predicted for the tick after the present one, if the input does not change.
#[derive(Component, Debug)]
pub(super) struct Ahead<T>(pub(super) T);

impl<T> Track<T> {
    pub(super) fn new(tick: Tick, value: Option<T>) -> Self {
        Self(VecDeque::from([(tick, value)]))
    }

    /// Returns the oldest remembered tick and its value.
    pub(super) fn first(&self) -> Option<&(Tick, Option<T>)> {
        self.0.front()
    }

    /// Returns the value of `tick`, if it is remembered.
    pub(super) fn at(&self, tick: Tick) -> Option<&Option<T>> {
        let found = self.0.iter().rev().find(|(stored, _)| *stored == tick);
        found.map(|(_, value)| value)
    }

    /// Stores the value of `tick` and discards those of later ticks.
    pub(super) fn push(&mut self, tick: Tick, value: Option<T>) {
        while self.0.back().is_some_and(|(stored, _)| stored.since(tick) >= 0) {
            self.0.pop_back();
        }
        if self.0.len() == TRACK_TICKS {
            self.0.pop_front();
        }
        self.0.push_back((tick, value));
    }
}
