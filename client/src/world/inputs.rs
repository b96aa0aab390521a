//! The player's inputs: the next one, and those of the last ticks.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_shared::protocol::input::{InputBytes, PlayerInput, held_ticks};
use throng_shared::protocol::registry::{Protocol, RegistryError};
use throng_shared::tick::Tick;

/// Ticks whose inputs are kept: more than a client ever leads the server by.
const INPUTS_MAX: usize = 128;

/// The input that is sent for every tick until it is replaced. Starts as the neutral input.
#[derive(Resource, Debug, Clone, Copy, Default)]
pub struct NextInput(pub InputBytes);

impl NextInput {
    /// Replaces the input that is sent from the next tick on.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # use throng_client::world::NextInput;
    /// # use throng_shared::protocol::input::PlayerInput;
    /// # use throng_shared::protocol::registry::Protocol;
    /// # #[derive(Clone, Default, Serialize, Deserialize)]
    /// # struct Stick(i8);
    /// # impl PlayerInput for Stick {}
    /// fn steer(protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
    ///     next.set(&protocol, &Stick(1))?;
    ///     Ok(())
    /// }
    /// # bevy_ecs::system::assert_is_system::<(), (), _>(steer);
    /// ```
    ///
    /// # Errors
    /// When it is not of the registered type, or does not fit an input: the neutral input is sent then. An input that does
    /// not fit, or that the server would refuse, is also logged, once.
    pub fn set<I: PlayerInput>(&mut self, protocol: &Protocol, input: &I) -> Result<(), RegistryError> {
        let encoded = protocol.encode_input(input);
        if let Some(fault) = protocol.input_fault(&encoded) {
            tracing::error!(
                input = protocol.input_name(),
                "an input is not sent as it is: {fault}"
            );
        }
        match encoded {
            Ok(input) => self.0 = input,
            Err(error) => {
                self.0 = protocol.neutral_input();
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The inputs of the last ticks, with the server's rule for missing ones.
#[derive(Resource, Debug, Clone, Default)]
pub struct InputHistory {
    neutral: InputBytes,
    /// Ticks for which the server repeats the last input in place of a missing one.
    held_ticks: i32,
    inputs: VecDeque<(Tick, InputBytes)>,
}

impl InputHistory {
    /// Returns the input that the server applies in `tick`: the one given for it, else the last one before it
    /// for 1.5 s, and then the neutral one.
    #[must_use]
    pub fn at(&self, tick: Tick) -> InputBytes {
        let before = self.inputs.iter().rev().find(|(given, _)| !given.is_after(tick));
        match before {
            Some((given, input)) if tick.since(*given) <= self.held_ticks => *input,
            _ => self.neutral,
        }
    }

    /// Returns the newest tick for which an input was given.
    #[must_use]
    pub fn newest(&self) -> Option<Tick> {
        self.inputs.back().map(|(tick, _)| *tick)
    }

    pub(super) fn new(neutral: InputBytes) -> Self {
        Self {
            neutral,
            held_ticks: 0,
            inputs: VecDeque::with_capacity(INPUTS_MAX),
        }
    }

    pub(super) fn set_tick_length(&mut self, length: Duration) {
        self.held_ticks = held_ticks(length).into();
    }

    /// Adds the input of `tick`. It replaces those of this tick and later ones: the clock of inputs has jumped backward.
    pub(super) fn push(&mut self, tick: Tick, input: InputBytes) {
        while self.newest().is_some_and(|newest| newest.since(tick) >= 0) {
            self.inputs.pop_back();
        }
        if self.inputs.len() == INPUTS_MAX {
            self.inputs.pop_front();
        }
        self.inputs.push_back((tick, input));
    }

    pub(super) fn clear(&mut self) {
        self.inputs.clear();
    }
}
