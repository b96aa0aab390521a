//! The order of systems in a client's frame.

use bevy_app::{App, PreUpdate};
use bevy_ecs::prelude::*;

/// The stages of a frame, in this order, in `PreUpdate`.
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientSystems {
    /// The game reads its controls and sets [`NextInput`](crate::world::NextInput).
    Input,
    /// Datagrams are exchanged and the mirror is written.
    Receive,
    /// Predictions are reconciled with received states and advanced to the present tick.
    Predict,
    /// Values to draw are computed: [`Shown`](crate::blend::Shown) is written.
    Show,
    /// Network statistics are sampled.
    Measure,
}

/// Chains the [`ClientSystems`] in `PreUpdate`. Repeated calls change nothing.
pub(crate) fn configure(app: &mut App) {
    app.configure_sets(
        PreUpdate,
        (
            ClientSystems::Input,
            ClientSystems::Receive,
            ClientSystems::Predict,
            ClientSystems::Show,
            ClientSystems::Measure,
        )
            .chain(),
    );
}
