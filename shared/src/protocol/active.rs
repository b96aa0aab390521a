//! A player's input of the running tick, as gameplay reads it.
//!
//! Owns [`ActiveInput`] and its decoding. Guarantees that what gameplay sees was decoded and validated as the
//! registered type, and is the type's default otherwise. Refuses to choose which input a tick has: the
//! server leaves its bytes in [`TakenInput`].

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::input::{InputBytes, PlayerInput};
use super::registry::Protocol;
use crate::tick::Tick;

/// A moment between two ticks' states of the world: what a player saw when giving an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAt {
    /// The tick at or before the moment.
    pub tick: Tick,
    /// How long after it, in 1/256 tick.
    pub fraction: u8,
}

/// Which input a player's tick has, encoded. On the player's entity; set anew in every `Input` phase.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenInput {
    /// The bytes; none when the player sent none, which means hands off.
    pub bytes: Option<InputBytes>,
    /// What the player saw when giving it.
    pub seen_at: Option<SeenAt>,
}

/// What a player does in this tick. On the player's entity; set anew in every `Input` phase.
#[derive(Component, Clone, Debug, Default)]
pub struct ActiveInput<I: PlayerInput> {
    /// The input; its default while the player sends none.
    pub input: I,
    /// What the player saw when giving it, for lag compensation. The server limits what clients claim.
    pub seen_at: Option<SeenAt>,
    /// The bytes from which `input` was decoded, so that an unchanged input is not decoded again.
    decoded: Option<InputBytes>,
}

/// Decodes every player's input of the tick. Players do not meet here, so their order does not matter.
pub(super) fn decode_inputs<I: PlayerInput>(
    mut players: Query<(&TakenInput, &mut ActiveInput<I>)>,
    protocol: Res<Protocol>,
) {
    for (taken, mut active) in &mut players {
        if taken.bytes != active.decoded {
            // The worker let only valid inputs pass; were one not valid after all, it would be neutral.
            let decode = |bytes: InputBytes| protocol.decode_input(bytes.as_slice()).ok();
            active.input = taken.bytes.and_then(decode).unwrap_or_default();
            active.decoded = taken.bytes;
        }
        active.seen_at = taken.seen_at;
    }
}
