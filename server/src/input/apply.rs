//! Gives gameplay each player's input of the tick, decoded.

use bevy_ecs::prelude::*;
use throng_shared::protocol::input::{InputBytes, PlayerInput};
use throng_shared::protocol::registry::Protocol;

use super::InputCounters;
use super::buffer::{InputBuffer, Taken};
use super::view::SeenAt;
use crate::runner::TickTime;

/// What a player does in this tick. On the player's entity; set anew in every `Input` phase.
#[derive(Component, Clone, Debug, Default)]
pub struct ActiveInput<I: PlayerInput> {
    /// The input; its default while the player sends none.
    pub input: I,
    /// What the player saw when giving it, for lag compensation: see [`InputBuffer::seen_at`].
    pub seen_at: Option<SeenAt>,
    /// The bytes from which `input` was decoded, so that an unchanged input is not decoded again.
    decoded: Option<InputBytes>,
}

/// Takes every player's input of the tick. Players do not meet here, so their order does not matter; each
/// one's inputs come in the order of ticks.
pub(super) fn apply_inputs<I: PlayerInput>(
    mut players: Query<(&mut InputBuffer, &mut ActiveInput<I>)>,
    mut counters: ResMut<InputCounters>,
    protocol: Res<Protocol>,
    time: Res<TickTime>,
) {
    let mut tally = InputCounters::default();
    for (mut buffer, mut active) in &mut players {
        let bytes = match buffer.take(time.tick) {
            Taken::Fresh(bytes) => Some(bytes),
            Taken::Repeated(bytes) => {
                tally.repeated += 1;
                Some(bytes)
            }
            Taken::Neutral => {
                tally.neutral += u64::from(buffer.has_started());
                None
            }
        };
        if bytes != active.decoded {
            // The worker let only valid inputs pass; were one not valid after all, it would be neutral.
            let input = bytes.and_then(|bytes| protocol.decode_input(bytes.as_slice()).ok());
            active.input = input.unwrap_or_default();
            active.decoded = bytes;
        }
        active.seen_at = buffer.seen_at();
    }
    counters.add(&tally);
}
