//! A player's input of the running tick, as gameplay reads it.
//!
//! Owns [`ActiveInput`] and its decoding. Guarantees that an input that gameplay reads was decoded and
//! validated as the registered type, and is the type's default otherwise. Does not choose which input a tick
//! has: the server puts its bytes into [`TakenInput`].

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::input::{InputBytes, PlayerInput};
use super::registry::Protocol;
use crate::tick::Tick;

/// A time between two ticks: that of the states that a player saw when giving an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAt {
    /// The tick at or before this time.
    pub tick: Tick,
    /// How long after the tick, in 1/256 tick.
    pub fraction: u8,
}

/// The encoded input of a player for the running tick. On the player's entity; set in every `Input` phase.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenInput {
    /// The bytes; `None` when the player sent none, which means the neutral input.
    pub bytes: Option<InputBytes>,
    /// The time of the states that the player saw when giving it.
    pub seen_at: Option<SeenAt>,
}

/// The input of a player for the running tick. On the player's entity; set in every `Input` phase.
#[derive(Component, Clone, Debug, Default)]
pub struct ActiveInput<I: PlayerInput> {
    /// The input; its default while the player sends none.
    pub input: I,
    /// The time of the states that the player saw when giving it, for lag compensation. The server limits it.
    pub seen_at: Option<SeenAt>,
    /// The bytes from which `input` was decoded, so that an unchanged input is not decoded again.
    decoded: Option<InputBytes>,
}

/// Decodes every player's input of the tick. No player affects another, so their order does not matter.
pub(super) fn decode_inputs<I: PlayerInput>(
    mut players: Query<(&TakenInput, &mut ActiveInput<I>)>,
    protocol: Res<Protocol>,
) {
    for (taken, mut active) in &mut players {
        if taken.bytes != active.decoded {
            // The worker passes only valid inputs; an invalid one would become the neutral input.
            let decode = |bytes: InputBytes| protocol.decode_input(bytes.as_slice()).ok();
            active.input = taken.bytes.and_then(decode).unwrap_or_default();
            active.decoded = taken.bytes;
        }
        active.seen_at = taken.seen_at;
    }
}
