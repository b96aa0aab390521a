//! Prediction: what the player controls is where its inputs have brought it, and not where the server last saw it.
//!
//! A game says which components are predicted and adds to [`PredictTick`] the systems that carry them on by one
//! tick; they work on [`Present<T>`] instead of `T`, which stays what the server last said. For every tick for
//! which an input is given, the schedule runs once. When the server's state of a tick is not the one predicted
//! for it, the state is taken over and all inputs since are applied again. What is drawn is
//! [`Shown<T>`](crate::blend::Shown), between the present tick and the next, led to corrected values at a bounded speed.
//!
//! Guarantees that after every frame [`Present<T>`] is what the server's newest known state and the inputs since
//! give. Refuses to predict what others do, and to have more than one world: systems of [`PredictTick`] that do
//! more than change predicted components must ask [`PredictTime::is_new`].

mod drive;
mod kinds;
mod show;

use std::collections::VecDeque;
use std::time::Duration;

use bevy_app::{App, PreUpdate};
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use throng_shared::protocol::input::{InputBytes, PlayerInput};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::blend::{Blend, Smoothing};
use crate::schedule::ClientSystems;
pub(crate) use drive::hand_over;
use drive::{follow_own, predict};
use kinds::Kind;
use show::show_predicted;

/// One tick of what is predicted; see the [module](self).
#[derive(ScheduleLabel, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictTick;

/// An entity that is predicted. The library marks the player's [`Own`](crate::world::Own) entity; a game may mark
/// others, whose components are then carried on and reconciled likewise.
#[derive(Component, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[require(Tracked)]
pub struct Predicted {
    /// The tick of the server's state that was compared last.
    reconciled: Option<Tick>,
}

/// Marks what prediction has added to.
#[derive(Component, Debug, Default)]
struct Tracked;

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

/// How good predictions are.
#[derive(Resource, Debug, Clone, Default)]
pub struct PredictionErrors {
    errors: VecDeque<f32>,
    compared: u64,
    corrected: u64,
    steps: u64,
}

/// Errors that are remembered.
const ERRORS_MAX: usize = 1_024;

impl PredictionErrors {
    /// Distances between what was predicted for a tick and the server's state of it, of the own entity and the
    /// first shown component that was registered, oldest first; at most 1,024.
    pub fn errors(&self) -> impl Iterator<Item = f32> + '_ {
        self.errors.iter().copied()
    }

    /// The newest of them.
    #[must_use]
    pub fn newest(&self) -> Option<f32> {
        self.errors.back().copied()
    }

    /// The error that the share `rank` of the remembered ones does not exceed, 0 to 1; `None` without any.
    #[must_use]
    pub fn quantile(&self, rank: f32) -> Option<f32> {
        let mut sorted: Vec<f32> = self.errors.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted
            .get((last as f32 * rank.clamp(0.0, 1.0)).ceil() as usize)
            .copied()
    }

    /// States of the server that were compared with predictions.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Of these, how many differed.
    #[must_use]
    pub fn corrected(&self) -> u64 {
        self.corrected
    }

    /// Ticks predicted, again or for the first time.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn note(&mut self, error: f32) {
        if self.errors.len() == ERRORS_MAX {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
    }
}

/// What is predicted, and how far.
#[derive(Resource, Default)]
struct Predictions {
    kinds: Vec<Kind>,
    load_input: Option<fn(&mut World, &Protocol, InputBytes)>,
    /// The tick of all [`Present`] values.
    present: Option<Tick>,
}

/// Says what is predicted.
///
/// ```
/// use bevy_app::App;
/// use bevy_ecs::prelude::*;
/// use serde::{Deserialize, Serialize};
/// use throng_client::predict::{PredictAppExt, PredictTick, PredictTime, PredictedInput, Present, POSITION_SMOOTHING};
/// use throng_client::world::Own;
/// use throng_shared::protocol::input::PlayerInput;
/// use throng_shared::protocol::pose::Position;
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Stick(i8);
/// impl PlayerInput for Stick {}
///
/// // The server does the same with its `Position`.
/// fn walk(mut own: Query<&mut Present<Position>, With<Own>>, stick: Res<PredictedInput<Stick>>) {
///     own.iter_mut().for_each(|mut position| position.0.0.x += f32::from(stick.0.0));
/// }
///
/// let mut app = App::new();
/// app.predict_by::<Stick>()
///     .predict_shown::<Position>(POSITION_SMOOTHING)
///     .add_systems(PredictTick, walk);
/// ```
pub trait PredictAppExt {
    /// Lets systems of [`PredictTick`] read the input of the tick as a [`PredictedInput<I>`]. `I` is the input
    /// type of the protocol.
    fn predict_by<I: PlayerInput>(&mut self) -> &mut Self;

    /// Predicts `T` on [`Predicted`] entities that have one.
    fn predict<T>(&mut self) -> &mut Self
    where
        T: Component<Mutability = Mutable> + Clone + PartialEq;

    /// Predicts `T` and writes [`Shown<T>`](crate::blend::Shown) for it in every frame.
    fn predict_shown<T: Blend>(&mut self, smoothing: Smoothing) -> &mut Self;
}

/// Suits positions of things that are a few units long and move a few of their lengths in a second.
pub const POSITION_SMOOTHING: Smoothing = Smoothing {
    time: Duration::from_millis(100),
    speed_max: 40.0,
    snap_above: 20.0,
};

/// Suits headings.
pub const HEADING_SMOOTHING: Smoothing = Smoothing {
    time: Duration::from_millis(80),
    speed_max: 8.0,
    snap_above: std::f32::consts::TAU,
};

impl PredictAppExt for App {
    fn predict_by<I: PlayerInput>(&mut self) -> &mut Self {
        prepare(self);
        self.insert_resource(PredictedInput(I::default()));
        self.world_mut().resource_mut::<Predictions>().load_input = Some(|world, protocol, bytes| {
            // The bytes are this client's own, of the registered type.
            let input = protocol.decode_input(bytes.as_slice()).unwrap_or_default();
            world.insert_resource(PredictedInput::<I>(input));
        });
        self
    }

    fn predict<T>(&mut self) -> &mut Self
    where
        T: Component<Mutability = Mutable> + Clone + PartialEq,
    {
        prepare(self);
        let mut predictions = self.world_mut().resource_mut::<Predictions>();
        predictions.kinds.push(Kind::hidden::<T>());
        self
    }

    fn predict_shown<T: Blend>(&mut self, smoothing: Smoothing) -> &mut Self {
        prepare(self);
        let mut predictions = self.world_mut().resource_mut::<Predictions>();
        predictions.kinds.push(Kind::shown::<T>());
        let show = show_predicted::<T>(smoothing);
        self.add_systems(PreUpdate, show.in_set(ClientSystems::Show))
    }
}

/// Adds once what all predictions need.
fn prepare(app: &mut App) {
    if app.world().contains_resource::<Predictions>() {
        return;
    }
    crate::schedule::configure(app);
    app.init_resource::<Predictions>()
        .init_resource::<PredictionErrors>()
        .init_resource::<PredictTime>()
        .edit_schedule(PredictTick, |schedule| {
            schedule.set_executor(SingleThreadedExecutor::new());
        })
        .add_systems(
            PreUpdate,
            (follow_own, predict).chain().in_set(ClientSystems::Predict),
        );
}
