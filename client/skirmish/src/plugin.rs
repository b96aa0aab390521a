//! The game's client plugin: which parts of the protocol are predicted and which are interpolated.

use bevy_app::{App, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use skirmish_shared::SkirmishProtocol;
use skirmish_shared::components::{Boost, Missile};
use skirmish_shared::input::PilotInput;
use throng_client::interpolate::{HEADING_INTERPOLATION, InterpolateAppExt, POSITION_INTERPOLATION};
use throng_client::predict::PredictSpawnsAppExt;
use throng_client::predict::{HEADING_SMOOTHING, POSITION_SMOOTHING, PredictAppExt, PredictTick};
use throng_client::schedule::ClientSystems;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use crate::content::{self, KnownContent};
use crate::prediction::{flight, missiles};

/// The game's plugin for a client's app. Add it before the plugin that connects:
/// [`ClientWorldPlugin`](throng_client::world::ClientWorldPlugin), or a local game.
///
/// [`Shown<Position>`](throng_client::blend::Shown) and `Shown<Heading>` then hold where to draw an entity; the
/// own ship is drawn where its inputs have moved it.
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
