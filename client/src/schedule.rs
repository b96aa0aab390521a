//! The order of a client's frame.

use bevy_app::{App, PreUpdate};
use bevy_ecs::prelude::*;

/// What happens in a frame, in this order, in `PreUpdate`.
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientSystems {
    /// The game reads its controls and sets [`NextInput`](crate::world::NextInput).
    Input,
    /// Datagrams are exchanged and the mirror is written.
    Receive,
    /// Predictions are reconciled and carried on.
    Predict,
    /// What is shown follows: [`Shown`](crate::blend::Shown) is written.
    Show,
    /// Figures are taken.
    Measure,
}

/// Chains the sets. Doing it twice changes nothing.
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
