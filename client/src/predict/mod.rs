//! Prediction: the player's entity is shown where the player's inputs have moved it, ahead of the server's
//! newest state.
//!
//! A game selects the components to predict and adds to [`PredictTick`] the systems that advance them by one
//! tick. These systems work on [`Present<T>`] instead of `T`, which stays the server's newest value. The
//! schedule runs once for every tick for which an input is given. When the server's state of a tick differs
//! from the prediction for it, the state is adopted and all later inputs are applied again. The value to draw
//! is [`Shown<T>`](crate::blend::Shown). It lies between the present tick and the next, and is corrected at a
//! bounded speed.
//!
//! Guarantees that after every frame [`Present<T>`] is the result of the server's newest known state and the
//! inputs since. Refuses to predict other players' actions, and to have more than one world: systems of
//! [`PredictTick`] that do more than change predicted components must check [`PredictTime::is_new`].

mod drive;
mod errors;
mod kinds;
mod predicted;
mod show;
mod spawns;
mod track;
mod watch;

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

/// Registers components and inputs for prediction.
///
/// ```
/// use bevy_app::App;
/// use bevy_ecs::prelude::*;
/// use serde::{Deserialize, Serialize};
/// use throng_client::predict::{PredictAppExt, PredictTick, PredictTime, PredictedInput, Present, POSITION_SMOOTHING};
/// use throng_client::world::Own;
/// use throng_shared::protocol::input::PlayerInput;
/// use throng_shared::protocol::pose::Position;
/// use throng_shared::protocol::registry::ProtocolAppExt;
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Stick(i8);
/// impl PlayerInput for Stick {}
///
/// // The server applies the same rule to its `Position`.
/// fn walk(mut own: Query<&mut Present<Position>, With<Own>>, stick: Res<PredictedInput<Stick>>) {
///     own.iter_mut().for_each(|mut position| position.0.0.x += f32::from(stick.0.0));
/// }
///
/// let mut app = App::new();
/// app.predicted::<Position>(); // In the protocol, which both ends add: they round it to what is sent.
/// app.predict_by::<Stick>()
///     .predict_shown::<Position>(POSITION_SMOOTHING)
///     .add_systems(PredictTick, walk);
/// ```
pub trait PredictAppExt {
    /// Provides the input of the tick to systems of [`PredictTick`] as a [`PredictedInput<I>`]. `I` is the
    /// input type of the protocol.
    fn predict_by<I: PlayerInput>(&mut self) -> &mut Self;

    /// Predicts `T` on [`Predicted`] entities that have this component. Of a component that is sent with fewer digits than
    /// it has, such as a position, the protocol lists `T` as
    /// [`predicted`](throng_shared::protocol::registry::ProtocolAppExt::predicted); without it the log has a warning.
    fn predict<T>(&mut self) -> &mut Self
    where
        T: Component<Mutability = Mutable> + Clone + PartialEq;

    /// Predicts `T` and writes [`Shown<T>`](crate::blend::Shown) for it in every frame.
    fn predict_shown<T: Blend>(&mut self, smoothing: Smoothing) -> &mut Self;
}

/// A preset for positions of entities that are a few units long and move a few of their lengths in a second.
pub const POSITION_SMOOTHING: Smoothing = Smoothing {
    time: Duration::from_millis(100),
    speed_max: 40.0,
    snap_above: 20.0,
};

/// A preset for headings, in radians.
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
            // The bytes were encoded by this client, from the registered type.
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

/// Adds the resources and systems of prediction, once.
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
