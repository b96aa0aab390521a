//! The items that the client side of a game needs.

#[doc(no_inline)]
pub use throng_shared::prelude::*;
#[doc(no_inline)]
pub use throng_shared::protocol::hello::Goodbye;

pub use crate::blend::{Blend, Shown, Smoothing};
pub use crate::bots::{BotsReport, bots};
pub use crate::connection::{ClientEvent, EndReason};
pub use crate::interpolate::{
    HEADING_INTERPOLATION, InterpolateAppExt, Interpolation, POSITION_INTERPOLATION,
};
pub use crate::join::ReconnectConfig;
pub use crate::link::LinkConditions;
pub use crate::player::{Client, ClientSettings, ConnectionStatus, PlayerEvent};
pub use crate::predict::{
    HEADING_SMOOTHING, POSITION_SMOOTHING, PredictAppExt, PredictSpawnsAppExt, PredictTick, PredictTime,
    Predicted, PredictedInput, PredictedSpawn, PredictionErrors, Present, SpawnOutcome,
};
pub use crate::schedule::ClientSystems;
pub use crate::stats::{NetStats, NetStatsPlugin, Series};
pub use crate::world::{
    ClientClock, ClientPlugin, ClientWorldPlugin, Connection, ConnectionEvent, InputHistory, MirrorPlugin,
    Mirrored, NextInput, Own, TellError, TellServer,
};
