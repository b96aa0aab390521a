//! The public parts of prediction: its schedule, its markers, and the tick that is predicted.

use std::time::Duration;

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use throng_shared::tick::Tick;

/// The schedule that advances predictions by one tick; see the [module](super).
#[derive(ScheduleLabel, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictTick;

/// Marks an entity whose registered components are predicted. The library marks the player's
/// [`Own`](crate::world::Own) entity; a game may mark others, whose components are then predicted and reconciled
/// in the same way.
#[derive(Component, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[require(Tracked)]
pub struct Predicted {
    /// The tick of the server's state that was last compared with the prediction.
    pub(super) reconciled: Option<Tick>,
}

/// Marks an entity to which prediction has added components.
#[derive(Component, Debug, Default)]
pub(super) struct Tracked;

/// The predicted value of `T` in the tick of [`PredictTime`]; between frames, in the present tick.
#[derive(Component, Debug, Clone, Copy, PartialEq)]
pub struct Present<T>(pub T);

/// The player's input in the predicted tick, for systems of [`PredictTick`].
#[derive(Resource, Debug, Clone, Default, PartialEq)]
pub struct PredictedInput<I>(pub I);

/// The predicted tick, for systems of [`PredictTick`].
#[derive(Resource, Debug, Clone, Copy, Default)]
pub struct PredictTime {
    /// The tick that is predicted.
    pub tick: Tick,
    /// The length of a tick.
    pub length: Duration,
    /// Whether this tick is predicted for the first time: not repeated after a correction, and not predicted
    /// tentatively for values shown between two ticks.
    pub is_new: bool,
}
