//! What gameplay sees of prediction: its schedule, its markers, and the tick that is predicted.

use std::time::Duration;

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use throng_shared::tick::Tick;

/// One tick of what is predicted; see the [module](super).
#[derive(ScheduleLabel, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictTick;

/// An entity that is predicted. The library marks the player's [`Own`](crate::world::Own) entity; a game may mark
/// others, whose components are then carried on and reconciled likewise.
#[derive(Component, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[require(Tracked)]
pub struct Predicted {
    /// The tick of the server's state that was compared last.
    pub(super) reconciled: Option<Tick>,
}

/// Marks what prediction has added to.
#[derive(Component, Debug, Default)]
pub(super) struct Tracked;

/// The predicted value of `T` in the tick that [`PredictTime`] names; between frames, in the present one.
#[derive(Component, Debug, Clone, Copy, PartialEq)]
pub struct Present<T>(pub T);

/// The player's input in the tick that is predicted, for systems of [`PredictTick`].
#[derive(Resource, Debug, Clone, Default, PartialEq)]
pub struct PredictedInput<I>(pub I);

/// Which tick is predicted, for systems of [`PredictTick`].
#[derive(Resource, Debug, Clone, Copy, Default)]
pub struct PredictTime {
    /// The tick.
    pub tick: Tick,
    /// Its length.
    pub length: Duration,
    /// Whether this tick is predicted for the first time: not again after a correction, and not tentatively for
    /// what is shown between two ticks.
    pub is_new: bool,
}
