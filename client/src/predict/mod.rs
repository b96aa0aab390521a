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
mod errors;
mod kinds;
mod predicted;
mod show;
mod spawns;
mod track;

use std::time::Duration;

use bevy_app::{App, PreUpdate};
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::SingleThreadedExecutor;
use throng_shared::protocol::input::PlayerInput;

use crate::blend::{Blend, Smoothing};
use crate::schedule::{self, ClientSystems};
use drive::{predict, update_own};
pub use errors::PredictionErrors;
use kinds::{PredictedKind, Predictions};
pub use predicted::{PredictTick, PredictTime, Predicted, PredictedInput, Present};
use show::show_predicted;
pub use spawns::{PredictSpawnsAppExt, PredictedSpawn, SpawnMatch, SpawnOutcome};

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
        predictions.kinds.push(PredictedKind::hidden::<T>());
        self
    }

    fn predict_shown<T: Blend>(&mut self, smoothing: Smoothing) -> &mut Self {
        prepare(self);
        let mut predictions = self.world_mut().resource_mut::<Predictions>();
        predictions.kinds.push(PredictedKind::shown::<T>());
        let show = show_predicted::<T>(smoothing);
        self.add_systems(PreUpdate, show.in_set(ClientSystems::Show))
    }
}

/// Adds once what all predictions need.
fn prepare(app: &mut App) {
    if app.world().contains_resource::<Predictions>() {
        return;
    }
    schedule::configure(app);
    app.init_resource::<Predictions>()
        .init_resource::<PredictionErrors>()
        .init_resource::<PredictTime>()
        .edit_schedule(PredictTick, |schedule| {
            schedule.set_executor(SingleThreadedExecutor::new());
        })
        .add_systems(
            PreUpdate,
            (update_own, predict).chain().in_set(ClientSystems::Predict),
        );
}
