//! The items that the client side of a game needs.

pub use throng_shared::prelude::*;

pub use crate::blend::{Blend, Shown};
pub use crate::interpolate::InterpolateAppExt;
pub use crate::player::ClientSettings;
pub use crate::predict::{PredictAppExt, PredictTick, PredictTime, Predicted, PredictedInput, Present};
pub use crate::schedule::ClientSystems;
pub use crate::world::{
    ClientClock, ClientWorldPlugin, ConnectionEvent, Mirrored, NextInput, Own, TellServer,
};
