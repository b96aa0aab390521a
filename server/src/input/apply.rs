//! Selects the input of each player for the tick.

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use throng_shared::protocol::active::TakenInput;
use throng_shared::protocol::input::held_ticks;

use super::counters::InputCounters;
use crate::runner::TickTime;
use crate::simulation::{InputBuffer, TickInput};

/// Takes every player's input of the tick. Players do not affect each other here, so that their order does
/// not matter. The inputs of one player are taken in the order of ticks.
pub(super) fn take_inputs(
    mut players: Query<(&mut InputBuffer, &mut TakenInput), Allow<Disabled>>,
    mut counters: ResMut<InputCounters>,
    time: Res<TickTime>,
) {
    let held = held_ticks(time.length);
    let mut tally = InputCounters::default();
    for (mut buffer, mut taken) in &mut players {
        taken.bytes = match buffer.take(time.tick, held) {
            TickInput::Fresh(bytes) => Some(bytes),
            TickInput::Repeated(bytes) => {
                tally.repeated += 1;
                Some(bytes)
            }
            TickInput::Neutral => {
                tally.neutral += u64::from(buffer.has_started());
                None
            }
        };
        taken.seen_at = buffer.seen_at();
    }
    counters.add(&tally);
}
