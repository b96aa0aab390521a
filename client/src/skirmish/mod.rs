//! Skirmish as far as a client needs it and nothing is drawn: its protocol, its content as the server tells it,
//! the own ship's prediction and that of its missiles, and what is interpolated.

mod chat;
mod content;
mod flight;
mod missiles;

use bevy_app::{App, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use skirmish_shared::SkirmishProtocol;
use skirmish_shared::components::{Boost, Missile};
use skirmish_shared::input::PilotInput;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use crate::interpolate::{HEADING_INTERPOLATION, InterpolateAppExt, POSITION_INTERPOLATION};
use crate::predict::{HEADING_SMOOTHING, POSITION_SMOOTHING, PredictAppExt, PredictTick};
use crate::schedule::ClientSystems;
use crate::spawns::PredictSpawnsAppExt;

pub use chat::{addressed, spoken};
pub use content::KnownContent;

/// The game on a client. Add it before what connects: [`ClientWorldPlugin`](crate::world::ClientWorldPlugin), or
/// a local game.
///
/// [`Shown<Position>`](crate::blend::Shown) and `Shown<Heading>` then say where everything is to be drawn; the own
/// ship is where its inputs have brought it.
pub struct SkirmishClientPlugin;

impl Plugin for SkirmishClientPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(SkirmishProtocol)
            .init_resource::<KnownContent>()
            .predict_by::<PilotInput>()
            .predict_shown::<Position>(POSITION_SMOOTHING)
            .predict_shown::<Heading>(HEADING_SMOOTHING)
            .predict::<Velocity>()
            .predict::<Boost>()
            .init_resource::<missiles::Launches>()
            .add_systems(PredictTick, (flight::fly, missiles::launch).chain())
            .predict_spawns::<Missile>(missiles::is_same)
            .interpolate::<Position>(POSITION_INTERPOLATION)
            .interpolate::<Heading>(HEADING_INTERPOLATION)
            .add_systems(
                PreUpdate,
                (
                    content::learn
                        .after(ClientSystems::Receive)
                        .before(ClientSystems::Predict),
                    missiles::fall_back
                        .after(ClientSystems::Show)
                        .before(ClientSystems::Measure),
                ),
            );
    }
}
