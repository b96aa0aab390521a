//! The predicted values of a component, by tick.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

/// Ticks that are remembered: more than a client ever leads by.
pub(super) const TRACK_TICKS: usize = 128;

/// What was predicted of a component for the last ticks; `None` where the entity had none.
#[derive(Component, Debug)]
pub(super) struct Track<T>(VecDeque<(Tick, Option<T>)>);

/// What the tick after the present one will bring if nothing changes.
#[derive(Component, Debug)]
pub(super) struct Ahead<T>(pub(super) T);

impl<T> Track<T> {
    pub(super) fn new(tick: Tick, value: Option<T>) -> Self {
        Self(VecDeque::from([(tick, value)]))
    }

    /// The oldest tick that is remembered, and its value.
    pub(super) fn first(&self) -> Option<&(Tick, Option<T>)> {
        self.0.front()
    }

    pub(super) fn at(&self, tick: Tick) -> Option<&Option<T>> {
        let found = self.0.iter().rev().find(|(at, _)| *at == tick);
        found.map(|(_, value)| value)
    }

    pub(super) fn push(&mut self, tick: Tick, value: Option<T>) {
        while self.0.back().is_some_and(|(at, _)| at.since(tick) >= 0) {
            self.0.pop_back();
        }
        if self.0.len() == TRACK_TICKS {
            self.0.pop_front();
        }
        self.0.push_back((tick, value));
    }
}
